"""The timeline: spans, zoom, what the lanes show, and that nobody waits for anything on it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Route

from tests.e2e.person import Person

pytestmark = pytest.mark.browser

LANE_1 = ".ln[data-id='1']"


def at(person: Person, where: str, frame: int) -> tuple[float, float]:
    """The place of a frame on the ruler, the thumbnails or a lane, in the window's pixels."""
    ruler = person.page.locator(".ruler").bounding_box()
    row = person.page.locator(where).bounding_box()
    assert ruler
    assert row
    last = person.state("info")["total_frames"] - 1
    return ruler["x"] + ruler["width"] * frame / last, row["y"] + row["height"] / 2


def drag(person: Person, where: str, first: int, last: int) -> None:
    mouse = person.page.mouse
    mouse.move(*at(person, where, first))
    mouse.down()
    mouse.move(*at(person, where, (first + last) // 2), steps=3)
    mouse.move(*at(person, where, last), steps=3)
    mouse.up()


def test_a_drag_chooses_a_span_and_a_click_goes_there(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.press("n").click(0.7, 0.4).settled()
    drag(person, ".ruler", 30, 50)
    assert person.state("range") == [30, 50]
    assert person.state("target") is None, "the ruler is everybody's"
    person.until("s.shown === 50")
    drag(person, LANE_1, 80, 60)
    assert person.state("range") == [60, 80]
    assert person.state("target") == person.state("selected") == 1, "a lane is its object's"
    person.until("s.shown === 60")
    assert person.page.locator(f"{LANE_1} .pick").count() == 1
    assert person.page.locator(".ln[data-id='2'] .pick").count() == 0
    assert "Propagate 21 frames" in person.page.locator("[data-part=run]").inner_text()
    person.page.mouse.click(*at(person, LANE_1, 100))
    person.until("s.shown === 100")
    drag(person, ".strip", 100, 20)
    person.until("s.shown === 20")
    assert person.state("range") == [60, 80], "clicks and the thumbnails only move the playhead"
    left = person.page.locator(f"{LANE_1} .pick i.a").bounding_box()
    assert left
    person.page.mouse.move(left["x"] + 2, left["y"] + 8)
    person.page.mouse.down()
    person.page.mouse.move(at(person, ".ruler", 40)[0], left["y"] + 8, steps=4)
    person.page.mouse.up()
    assert person.state("range") == [40, 80], "its ends can be moved on the lane too"
    person.press("Escape")
    assert person.state("range") is None
    person.page.mouse.dblclick(*at(person, LANE_1, 90))
    assert person.state("range") == [1, 143], "a double click chooses the piece: here what was never computed"
    assert person.state("target") == 1

    # Zoomed in, as many pixels are fewer frames.
    person.press("Escape")
    x, y = at(person, ".ruler", 72)
    person.page.mouse.move(x, y)
    person.page.keyboard.down("Control")
    for _ in range(6):
        person.page.mouse.wheel(0, -100)
    person.page.keyboard.up("Control")
    person.page.mouse.down()
    person.page.mouse.move(x + 60, y, steps=4)
    person.page.mouse.up()
    first, last = person.state("range")
    assert first == 72
    assert last - first < 60 / (at(person, ".ruler", 1)[0] - at(person, ".ruler", 0)[0]) / 2


def test_frames_to_check_are_marked_and_gone_through_by_key(person: Person) -> None:
    person.sample().click(0.2, 0.3).settled()
    person.press("n").click(0.2, 0.7).settled()
    person.find("#at-40-dim")  # an order to the stand-in: its scores drop on that frame
    person.press("Escape", "Escape")
    person.propagate().finished()
    person.until("s.problems.length === 2")
    assert {(p["frame_index"], p["kind"]) for p in person.state("problems")} == {(40, "score_drop")}
    assert person.page.locator(".pb").count() == person.page.locator(".ln .low").count() == 2
    assert person.page.locator("[data-do=nextProblem]").inner_text().split() == ["2", "to", "check"]
    assert person.page.locator(".spark").count() == 2
    person.seek(0).press("2", ".")
    person.until("s.shown === 40 && s.selected === 1")
    detail = person.state("problems")[0]["detail"]
    assert detail in person.page.locator("[data-part=stat]").inner_text()
    person.press(".")
    person.until("s.shown === 40 && s.selected === 2")
    person.press("Home", ",")
    person.until("s.shown === 40")
    person.press("1", "Home")
    person.page.locator(".ob[data-id='1']").get_by_role("button", name="frame 40").click()
    person.until("s.shown === 40 && s.selected === 1")
    person.press("a")
    person.until("s.problems.length === 1 && s.edits.at(-1).kind === 'approve'")
    assert person.page.locator("[data-do=nextProblem]").inner_text().split()[0] == "1"
    person.press("Control+z")
    person.until("s.problems.length === 2")


def test_during_a_run_one_scrubs_inspects_and_stops(person: Person) -> None:
    person.sample()
    bare = person.pixel(0.3, 0.4)
    person.click(0.3, 0.4).settled()
    person.propagate()
    person.until("s.run?.state === 'running' && s.run.done > 8")
    person.page.mouse.click(*at(person, LANE_1, 5))
    person.until("s.shown === 5 && !s.following")
    # The stand-in moves a mask two pixels right and one down a frame: this pixel is masked on frame 5, too.
    assert person.pixel(0.3, 0.42) != pytest.approx(bare, abs=4)
    assert person.masks(5)[0]["area"] > 0
    done = person.state("run")["done"]
    drag(person, LANE_1, 2, 7)
    assert person.state("range") is None, "a drag scrubs, while the run has its range"
    person.until("s.shown === 7 && s.run.done > arg", done)
    person.press("Escape")
    person.finished()
    assert person.state("run")["state"] == "cancelled"
    [[first, last]] = person.objects()[0]["computed"]
    assert (first, last > done) == (0, True)
    assert person.state("shown") == 7, "and nobody is carried away when it ends"


def test_during_a_run_that_is_followed_no_thumbnail_sends_the_reader_elsewhere(person: Person) -> None:
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    held: list[Route] = []
    person.page.route("**/frame/*?width=160", lambda route: held.append(route))
    person.sample().click(0.3, 0.4).settled()
    assert person.page.locator(".strip .skel").count() > 4
    person.propagate()
    person.until("s.following && s.run?.state === 'running' && s.run.done > 2")
    asked.clear()
    # Those that were on their way come back; what the run shows fills others, and nothing more is fetched.
    for route in held:
        route.continue_()
    person.until("s.following && s.run.done > 20")
    assert [url for url in asked if "width=160" in url] == []
    person.page.unroute("**/frame/*?width=160")
    person.finished()
    person.page.wait_for_function("() => !document.querySelector('.strip .skel')")


def test_an_answer_that_was_overtaken_is_not_drawn(person: Person) -> None:
    person.sample().click(0.3, 0.3).settled()
    asked: list[Route] = []
    held: list[tuple[Route, Any]] = []

    def hold_the_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()
        else:
            # The service takes it; only its answer is kept back.
            held.append((route, route.fetch()))

    person.page.route("**/prompt", hold_the_first)
    person.click(0.4, 0.3)
    person.until("s.pending.length === 1")
    assert person.page.locator(".pt").count() == 2, "the mark is there before any answer"
    person.page.wait_for_function(
        "async () => (await (await fetch(`api/v1/video/session/${__sam3.state().sid}/log`)).json()).edits.length === 2"
    )
    with person.page.expect_response("**/prompt"):
        person.click(0.4, 0.4)
        # Before its answer, which can't be there before the first one's: both marks stand.
        person.page.wait_for_function("document.querySelectorAll('.pt').length === 3")
    person.until("s.edits.length === 3 && s.pending.length === 1")
    assert person.page.evaluate("__sam3.inMask(0, 1, 0.4, 0.4)")
    both = person.page.evaluate("__sam3.masks(0)[0].area")
    route, reply = held[0]
    route.fulfill(response=reply)
    person.settled()
    assert person.masks(0)[0]["area"] == both
    assert person.page.evaluate("__sam3.inMask(0, 1, 0.4, 0.4)"), "the older answer did not undo the newer click"
