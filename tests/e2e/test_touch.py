"""The picture under fingers: tap, hold, drag, pinch, and a pan with two; on a tablet's screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession

from tests.e2e.person import Person

pytestmark = pytest.mark.browser

Point = tuple[float, float]


class Fingers:
    """Fingers on the screen, put there by Chromium's own touch events."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.cdp: CDPSession = person.page.context.new_cdp_session(person.page)

    def _send(self, kind: str, points: list[Point]) -> None:
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self.cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def down(self, *points: Point) -> None:
        self._send("touchStart", list(points))

    def move(self, *ways: tuple[Point, Point], steps: int = 8) -> None:
        """Move each finger from one point of the window to another, all at once."""
        for i in range(1, steps + 1):
            share = i / steps
            self._send("touchMove", [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in ways])

    def up(self) -> None:
        self._send("touchEnd", [])


def test_tap_hold_drag_and_pinch(visit: Callable[..., Person], server: str) -> None:
    person = visit(server, width=1024, height=768, touch=True).sample()
    page = person.page
    fingers = Fingers(person)
    assert "Tap add" in page.locator(".stat").inner_text()

    page.touchscreen.tap(*person.at(0.3, 0.4))
    person.until("s.objects.length === 1")
    person.settled()
    before = person.masks(0)[0]["area"]

    # A finger that rests takes away, while it is still down.
    fingers.down(person.at(0.33, 0.4))
    person.until("s.pending.length + s.edits.length > 1", seconds=5)
    person.settled()
    fingers.up()
    person.settled()
    assert [e["prompts"][0]["point_labels"] for e in person.state("edits")] == [[1], [0]]
    assert person.masks(0)[0]["area"] < before

    # A drag is a box.
    page.get_by_role("button", name="New object").first.tap()
    a, b = person.at(0.55, 0.3), person.at(0.8, 0.7)
    fingers.down(a)
    fingers.move((a, b))
    fingers.up()
    person.until("s.objects.length === 2")
    person.settled()
    assert person.state("edits")[-1]["prompts"][0]["box"] == pytest.approx([0.55, 0.3, 0.25, 0.4], abs=0.01)

    # Two fingers apart zoom about their middle, together they pan; neither prompts.
    middle = person.at(0.5, 0.5)
    zoom = person.state("zoom")
    left, right = (middle[0] - 60, middle[1]), (middle[0] + 60, middle[1])
    fingers.down(left, right)
    fingers.move((left, (left[0] - 60, left[1])), (right, (right[0] + 60, right[1])))
    person.until("Math.abs(s.zoom / arg - 2) < 0.04", zoom)
    assert person.at(0.5, 0.5) == pytest.approx(middle, abs=2)
    apart = ((left[0] - 60, left[1]), (right[0] + 60, right[1]))
    fingers.move(*((p, (p[0] + 50, p[1] + 30)) for p in apart))
    fingers.up()
    assert person.at(0.5, 0.5) == pytest.approx((middle[0] + 50, middle[1] + 30), abs=2)
    assert len(person.state("edits")) == 3

    # The timeline scrubs.
    strip = page.locator(".strip").bounding_box()
    assert strip is not None
    y = strip["y"] + strip["height"] / 2
    start, end = (strip["x"] + 4, y), (strip["x"] + strip["width"] / 2, y)
    fingers.down(start)
    fingers.move((start, end))
    fingers.up()
    person.until("Math.abs(s.frame - 72) <= 2")

    # Two fingers bring it nearer: twice as far apart, half the frames; they choose no span.
    lane = page.locator(".ln[data-id='1']").bounding_box()
    assert lane is not None
    y = lane["y"] + lane["height"] / 2
    near = [(lane["x"] + lane["width"] * share, y) for share in (0.4, 0.6)]
    wide = [(lane["x"] + lane["width"] * share, y) for share in (0.3, 0.7)]
    fingers.down(*near)
    fingers.move((near[0], wide[0]), (near[1], wide[1]))
    fingers.up()
    person.until("Math.abs(s.timeZoom - Math.log(2) / Math.log(143 / 24)) < 0.03")
    assert person.state("range") is None


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (820, 1180)])
def test_what_fingers_press_is_large_enough_on_a_tablet(
    visit: Callable[..., Person], server: str, width: int, height: int
) -> None:
    person = visit(server, width=width, height=height, touch=True).sample().click(0.3, 0.4)
    person.settled()
    assert not person.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    if width <= 900:
        person.page.get_by_role("button", name="Objects 1").tap()
    # On the screen and not under something else; marks are where they mark, and a badge's area is larger than it looks.
    small = person.page.evaluate(
        """() => [...document.querySelectorAll('.s3 button, .s3 input:not([type=range])')].filter(e => {
          const r = e.getBoundingClientRect();
          const at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
          const small = Math.min(r.height, r.width) < 28;
          return small && e.contains(at) && !e.closest('.tag, .pm, .badge, label');
        }).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert small == []
    person.page.keyboard.press("Escape")
