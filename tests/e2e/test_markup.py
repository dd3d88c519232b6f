"""Names that hold markup are shown as they are, everywhere they are shown, and never run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Route

from tests.clips import write_clip
from tests.e2e.person import Person

pytestmark = pytest.mark.browser

NAMES = (
    "<img src=x onerror=window.pwned=1>",
    '"><script>window.pwned=1</script>',
    "' onmouseover=window.pwned=1 x='",
    "<svg onload=window.pwned=1>",
)
ANYTHING_RAN = "() => window.pwned === 1"
READABLE = """names => {
  const written = [...document.querySelectorAll('.s3 input')].map(input => input.value);
  const text = [document.body.innerText, ...written].join(' ');
  return names.every(name => text.includes(name));
}"""
STRANGE = "[onerror], [onload], [onmouseover], [src='x'], .s3 script, .s3 iframe"


def unharmed(person: Person, *shown: str) -> None:
    """No markup came from a name, and the names are there to be read."""
    person.settled()
    # What is listed may be on its way still.
    person.page.wait_for_function(READABLE, arg=list(shown))
    assert person.page.locator(STRANGE).count() == 0
    # What is written with the mouse over it, too.
    for element in person.page.locator(".ob, .sess, .srow, .rec, .toast").all()[:20]:
        if element.is_visible():
            element.hover(force=True)
    assert not person.page.evaluate(ANYTHING_RAN)


def test_markup_in_names_never_runs(visit: Callable[..., Person], server: str, tmp_path: Path) -> None:
    person = visit(server)
    clip = write_clip(tmp_path / "clip.mp4").read_bytes()
    title = "<img src=x onerror=window.pwned=1>.mp4"
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Choose a video").click()
    chooser.value.set_files({"name": title, "mimeType": "video/mp4", "buffer": clip})
    person.until("s.view === 'work' && s.shown >= 0", seconds=60)
    unharmed(person, title)

    # As words to find that nobody finds, and as words that were found, in the history.
    for name in NAMES:
        person.find(name)
        unharmed(person, name)
    person.find("thing")
    person.press("n").click(0.8, 0.8).settled()
    assert len(person.objects()) >= 2

    def worse(route: Route) -> None:
        log = route.fetch().json()
        text = json.dumps(log).replace('"text": "thing"', '"text": ' + json.dumps(" ".join(NAMES)))
        route.fulfill(body=text, content_type="application/json")

    person.page.route("**/log", worse)
    person.page.reload()
    person.until("s.view === 'work' && s.shown >= 0 && s.edits.length > 0")
    unharmed(person)
    person.page.locator(".hist").filter(has_text=" ".join(NAMES)).wait_for()
    person.page.unroute("**/log")

    # As a name and a class, from elsewhere and by hand.
    session_id = person.state("sid")
    first, second, *_ = (o["id"] for o in person.objects())
    for name in NAMES:
        url = f"{server}/api/v1/video/session/{session_id}/object/{first}"
        assert httpx.patch(url, json={"name": name, "label": f"{name} as a class"}).json()["name"] == name
        person.page.reload()
        person.until("s.view === 'work' && s.shown >= 0")
        unharmed(person, name, f"{name} as a class")
    person.page.locator(f".ob[data-id='{second}']").dblclick()
    person.page.locator("input.rename").fill(NAMES[3])
    unharmed(person, NAMES[3])
    person.press("Enter")
    person.until(f"s.objects.some(o => o.id === {second} && o.name === arg)", NAMES[3])
    unharmed(person, NAMES[3])

    # In the notes: what could not be opened, and what is out of date in the menu of exports.
    person.propagate().finished()
    person.click(0.5, 0.5).settled()
    person.page.get_by_role("button", name="Export").click()
    unharmed(person)
    person.press("Escape")
    person.page.get_by_role("button", name="Sessions").click()
    unharmed(person, title)
    person.page.get_by_role("button", name="Video", exact=True).click()


def test_markup_in_a_file_that_can_t_be_opened_is_shown_as_it_is(visit: Callable[..., Person], server: str) -> None:
    person = visit(server)
    for name in ("<img src=x onerror=window.pwned=1>.mp4", '"><svg onload=window.pwned=1>.txt'):
        with person.page.expect_file_chooser() as chooser:
            person.page.get_by_role("button", name="Choose a video").click()
        chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": b"nothing"})
        person.page.get_by_role("alert").filter(has_text=name).wait_for()
        unharmed(person, name)
    # A refused file is a failed request to the browser, and nothing else is to be seen in its console.
    assert all("400" in problem for problem in person.problems)
    person.problems.clear()


def test_a_colour_is_a_colour(visit: Callable[..., Person], server: str) -> None:
    """The service refuses what is none; and if one came anyway, the page would not take it for markup."""
    person = visit(server).sample().click(0.4, 0.4)
    person.settled()
    url = f"{server}/api/v1/video/session/{person.state('sid')}/object/1"
    for colour in ('#fff"><img src=x onerror=window.pwned=1>', "red", "#12345", "#1234567", "url(x)", "#ffffff\n"):
        assert httpx.patch(url, json={"color": colour}).status_code == 422, colour

    def worse(route: Route) -> None:
        status = route.fetch().json()
        for found in status["objects"]:
            found["color"] = '#fff"><img src=x onerror=window.pwned=1>'
        route.fulfill(body=json.dumps(status), content_type="application/json")

    person.page.route("**/status", worse)
    person.page.reload()
    person.until("s.view === 'work' && s.objects.length > 0 && s.objects[0].color.includes('onerror')")
    unharmed(person)


def test_a_handler_in_markup_would_not_run_even_if_it_got_in(visit: Callable[..., Person], server: str) -> None:
    """The page's policy is the second wall."""
    person = visit(server)
    person.page.evaluate(
        """() => new Promise(done => {
          document.addEventListener('securitypolicyviolation', done, { once: true });
          document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.pwned=1">');
        })"""
    )
    person.page.evaluate(
        """() => new Promise(done => {
          document.addEventListener('securitypolicyviolation', done, { once: true });
          const script = document.createElement('script');
          script.textContent = 'window.pwned=1';
          document.body.append(script);
        })"""
    )
    assert not person.page.evaluate(ANYTHING_RAN)
    assert all("Content Security Policy" in p or "404" in p for p in person.problems), person.problems
    person.problems.clear()
