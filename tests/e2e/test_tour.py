"""The tour: offered once, four steps on the sample, by hand or by Next, and never in the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.person import Person

pytestmark = pytest.mark.browser

SEEN = "() => localStorage.getItem('sam3.tour')"


def step(person: Person, title: str) -> None:
    person.page.locator(".coach h2").filter(has_text=title).wait_for()


def at_the_star(person: Person) -> None:
    """The first step's ring lies around the star, once the picture has its place."""
    person.page.wait_for_function(
        """() => {
          const r = document.querySelector('.coach-ring').getBoundingClientRect();
          const [x, y] = __sam3.toClient(0.723, 0.23);
          return r.width && Math.hypot(r.x + r.width / 2 - x, r.y + r.height / 2 - y) < 2;
        }"""
    )


def test_the_tour_by_keyboard_does_the_whole_job(visit: Callable[..., Person], server: str) -> None:
    person = visit(server, first=True)
    card = person.page.get_by_role("dialog", name="First time here?")
    card.wait_for()
    card.get_by_role("button", name="Take the tour").focus()
    person.press("Enter")
    step(person, "1 of 4 Click the star")
    # The card is told whole: it has the focus, a name and a description.
    assert person.page.evaluate("() => document.activeElement.matches('.coach')")
    described = "() => document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent"
    assert "One click makes a mask" in person.page.evaluate(described)
    at_the_star(person)
    person.press("Enter")
    step(person, "2 of 4 Let it follow")
    person.press("Enter")
    step(person, "3 of 4 Look, and fix")
    person.finished()
    assert [e["kind"] for e in person.state("edits")] == ["prompt", "propagate"]
    assert person.page.evaluate("__sam3.inMask(0, 1, 0.723, 0.21)")
    person.press("Enter")
    step(person, "4 of 4 Take it with you")
    person.press("Enter")
    person.page.locator(".coach").wait_for(state="hidden")
    assert person.page.evaluate("() => document.activeElement.tagName") == "CANVAS"
    assert person.page.evaluate(SEEN) == "seen"
    # Once: not offered again, but there in the keys' overlay.
    person.page.goto(server)
    person.page.evaluate("() => sessionStorage.clear()")
    person.page.reload()
    person.until("s.view === 'empty' && s.config")
    assert not person.page.locator(".coach").is_visible()
    person.press("?")
    person.page.get_by_role("dialog").get_by_role("button", name="Take the tour").click()
    step(person, "1 of 4")
    person.press("Escape")
    assert not person.page.locator(".coach").is_visible()


def test_doing_what_it_says_goes_on_and_not_now_is_kept(visit: Callable[..., Person], server: str) -> None:
    person = visit(server, first=True).sample()
    step(person, "1 of 4")
    at_the_star(person)
    # No wall: the page behind it works.
    person.click(0.723, 0.21).settled()
    step(person, "2 of 4")
    person.propagate()
    step(person, "3 of 4")
    person.page.locator(".coach").get_by_role("button", name="Back").click()
    step(person, "2 of 4")
    person.page.get_by_role("button", name="End the tour").click()
    person.finished()
    assert not person.page.locator(".coach, .coach-ring").first.is_visible()

    other = visit(server, first=True)
    other.page.get_by_role("button", name="Not now").click()
    other.page.reload()
    other.sample().click(0.5, 0.5).settled()
    assert not other.page.locator(".coach").is_visible()
