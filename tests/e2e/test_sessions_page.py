"""The page of sessions: what there is, how a run stands, what it costs; open, export, import, close."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Route

from tests.e2e.person import Person
from tests.server import running_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, so that the list is what these tests make."""
    with running_server(
        tmp_path_factory.mktemp("sessions"), ENGINE="fake", FAKE_STEP_SECONDS="0.06", MAX_CONCURRENT_SESSIONS="10"
    ) as address:
        yield address


def go_to_list(person: Person) -> None:
    person.page.get_by_role("button", name="Sessions").click()


def row(person: Person, session_id: str) -> Locator:
    return person.page.locator(f".srow[data-id='{session_id}']")


def test_the_list_shows_what_goes_on_and_closes_only_when_told_twice(
    visit: Callable[..., Person], own_server: str
) -> None:
    person = visit(own_server)
    go_to_list(person)
    person.page.get_by_role("heading", name="No sessions yet").wait_for()
    person.page.get_by_role("button", name="Open a video").click()
    person.sample().click(0.3, 0.4).settled()
    sid = person.state("sid")
    person.propagate()
    person.until("s.run?.state === 'running' && s.run.done > 3")

    # Live, also after a reload: the run goes on, and the list says how far it is.
    person.page.reload()
    person.page.wait_for_function("window.__sam3")
    go_to_list(person)
    mine = row(person, sid)
    bar = mine.get_by_role("progressbar")
    bar.wait_for()
    first = int(bar.get_attribute("aria-valuenow") or 0)
    person.page.wait_for_function(
        "first => Number(document.querySelector('.srow [role=progressbar]')?.getAttribute('aria-valuenow')) > first",
        arg=first,
    )
    text = mine.inner_text()
    assert "sample.mp4" in text
    assert "144 frames · 1 object" in text
    assert re.search(r"Propagating, frame\s+\d+", text)
    assert re.search(r"[\d.]+ MB", text), "what it costs in memory"
    assert sid[:8] in text
    shown = "sid => document.querySelector(`.srow[data-id='${sid}'] img`)?.naturalWidth > 0"
    person.page.wait_for_function(shown, arg=sid)
    bar.wait_for(state="detached", timeout=60_000)
    assert "Ready" in mine.inner_text()

    # Open and back.
    mine.get_by_role("button", name="Go on").click()
    person.until("s.tab === 'video' && s.view === 'work'")
    go_to_list(person)

    # Closing deletes, so it asks; to keep it is what has the focus.
    mine.get_by_role("button", name="Close sample.mp4").click()
    keep = mine.get_by_role("button", name="Keep")
    assert keep.evaluate("e => e === document.activeElement")
    person.press("Escape")
    assert mine.get_by_role("button", name="Close for good").count() == 0
    assert httpx.get(f"{own_server}/api/v1/video/session/{sid}/status").status_code == 200
    mine.get_by_role("button", name="Close sample.mp4").click()
    mine.get_by_role("button", name="Close for good").click()
    mine.wait_for(state="detached")
    person.page.get_by_role("heading", name="No sessions yet").wait_for()
    assert person.state("sid") is None
    assert httpx.get(f"{own_server}/api/v1/video/session/{sid}/status").status_code == 404


def test_a_session_s_file_leaves_by_its_row_and_comes_back(
    visit: Callable[..., Person], own_server: str, tmp_path: Path
) -> None:
    person = visit(own_server).sample()
    person.click(0.3, 0.3).settled()
    before = person.objects()
    sid = person.state("sid")
    go_to_list(person)
    with person.page.expect_download() as download:
        row(person, sid).get_by_role("link", name="Download sample.mp4 as a file").click()
    file = tmp_path / "kept.zip"
    download.value.save_as(file)
    broken = tmp_path / "broken.sam3.zip"
    broken.write_bytes(file.read_bytes()[:-200])

    # By the button, together with one that is damaged, which is said while the other one comes.
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Open a session file").click()
    chooser.value.set_files([broken, file])
    fresh = person.page.locator(".srow.fresh")
    fresh.wait_for(timeout=60_000)
    alert = person.page.get_by_role("alert").filter(has_text="broken.sam3.zip could not be opened")
    assert alert.is_visible()
    again = fresh.get_attribute("data-id")
    assert again != sid
    # And dropped.
    person.page.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "kept.sam3.zip"));
          window.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }""",
        list(file.read_bytes()),
    )
    person.page.wait_for_function("document.querySelectorAll('.srow.fresh').length === 2", timeout=60_000)
    assert person.state("tab") == "sessions"
    row(person, again or "").get_by_role("button", name="Open").click()
    person.until("s.sid === arg && s.view === 'work'", again)
    assert person.objects() == before

    # While it can't be read, what was read before stays, and why is said; then it goes on by itself.
    go_to_list(person)
    row(person, sid).wait_for()
    person.page.route("**/api/v1/video/sessions", unreadable)
    person.page.get_by_text("The server can't use its data folder. Try again later. This is how it was").wait_for()
    assert row(person, sid).is_visible()
    person.page.reload()
    person.page.wait_for_function("window.__sam3")
    go_to_list(person)
    person.page.get_by_role("heading", name="The sessions could not be read").wait_for()
    person.page.unroute("**/api/v1/video/sessions")
    person.page.get_by_role("button", name="Try again").click()
    row(person, sid).wait_for()
    person.problems = [p for p in person.problems if not re.search("422|400|507", p)]  # the browser logs them itself


def unreadable(route: Route) -> None:
    route.fulfill(status=507, json={"detail": "The server can't use its data folder. Try again later.", "code": "x"})
