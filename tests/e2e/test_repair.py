"""Repair: one object over one span, what is approved stays, late objects, split, merge, classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.e2e.person import Person
from tests.e2e.test_timeline import LANE_1, drag

pytestmark = pytest.mark.browser


def stored(person: Person) -> dict[int, dict[int, str]]:
    """Every mask that the service holds, by object and frame."""
    url = f"{person.address}/api/v1/video/session/{person.state('sid')}/results"
    out: dict[int, dict[int, str]] = {}
    for frame, result in httpx.get(url, timeout=60).raise_for_status().json()["results"].items():
        for found in result["objects"]:
            out.setdefault(found["id"], {})[int(frame)] = found["mask"]
    return out


def changed(before: dict[int, str], after: dict[int, str]) -> list[int]:
    return sorted(f for f in before.keys() | after.keys() if before.get(f) != after.get(f))


def row(person: Person, obj_id: int) -> Any:
    return person.page.locator(f".ob[data-id='{obj_id}']")


def menu(person: Person, obj_id: int, *items: str) -> None:
    person.page.get_by_label(f"More for Object {obj_id}", exact=True).click()
    for item in items:
        person.page.get_by_role("menuitem").filter(has_text=item).click()


def test_one_object_is_fixed_over_one_span_and_what_is_approved_stays(person: Person) -> None:
    person.sample().click(0.2, 0.3).settled()
    person.press("n").click(0.2, 0.7).settled()
    person.propagate().finished()
    person.press("1")
    drag(person, LANE_1, 70, 80)
    person.press("a")
    person.until("s.objects[0].approved.length === 1 && s.edits.at(-1).kind === 'approve'")
    assert person.objects()[0]["approved"] == [[70, 80]]
    assert person.state("range") is None
    assert person.page.locator(f"{LANE_1} .okd").count() == 1
    assert "11 frames" in row(person, 1).inner_text()
    person.seek(75)
    assert person.page.locator(".tag.sel svg").count() == 1, "the picture says that it is approved"

    drag(person, LANE_1, 90, 50)
    person.seek(60).click(0.3, 0.4, modifier="Shift").settled()
    assert person.state("range") == [50, 90], "a fix within the chosen span leaves it chosen"
    before = stored(person)
    box = person.page.locator("[data-part=run]").inner_text()
    assert "Propagate 41 frames" in box
    assert "Object 1" in box
    assert "11 approved frames stay as they are" in box
    assert person.page.get_by_role("radio", name="Both").get_attribute("aria-checked") == "true"
    person.propagate().finished()
    person.until("s.edits.length === 7")  # the second of its two ways
    person.finished()
    after = stored(person)
    assert changed(before[2], after[2]) == [], "the other object was not touched"
    # What follows the approved frames follows from them, as before.
    assert changed(before[1], after[1]) == [f for f in range(50, 70) if f != 60]
    assert person.objects()[0]["stale"] == [[1, 49], [91, 143]], "and only the span was propagated"
    assert [e["obj_ids"] for e in person.state("edits")[-2:]] == [[1], [1]]

    # A fix on an approved frame is newer than the approval.
    person.seek(72).click(0.5, 0.6, modifier="Shift").settled()
    assert person.objects()[0]["approved"] == [[70, 71], [73, 80]]
    person.seek(70).press("a")
    person.until("s.objects[0].approved[0][0] === 71")
    person.press("Control+z")
    person.until("s.objects[0].approved[0][0] === 70")


def test_a_late_object_is_propagated_alone(person: Person) -> None:
    person.sample().click(0.3, 0.3).settled()
    person.propagate().finished()
    before = stored(person)[1]
    person.seek(80).press("n").click(0.7, 0.7).settled()
    drag(person, ".ln[data-id='2']", 60, 100)
    person.page.get_by_role("radio", name="Back").click()
    assert person.state("range") == [60, 100], "either way over the chosen span"
    person.propagate().finished()
    assert person.objects()[1]["computed"] == [[60, 80]]
    # From here nobody has to say that it is the only one with frames to compute.
    for computed in ([[60, 143]], [[0, 143]]):
        assert "Object 2" in person.page.locator("[data-part=run]").inner_text()
        person.propagate()
        person.until("JSON.stringify(s.objects[1].computed) === arg", json.dumps(computed, separators=(",", ":")))
        person.finished()
    assert [e["obj_ids"] for e in person.state("edits")[-3:]] == [[2], [2], [2]]
    assert changed(before, stored(person)[1]) == []


def test_an_object_is_split_merged_and_both_are_undone(person: Person) -> None:
    person.sample().click(0.2, 0.3).settled()
    person.click(0.5, 0.3).settled()
    person.propagate().finished()
    whole = person.seek(0).masks(0)[0]["area"]
    menu(person, 1, "Split…")
    assert "Click the part of Object 1" in person.page.locator(".banner").inner_text()
    person.press("Escape")
    assert person.page.locator(".banner").count() == 0
    menu(person, 1, "Split…")
    person.click(0.5, 0.3)
    assert person.page.locator(".pt").count() >= 1
    person.until("s.objects.length === 2 && s.pending.length === 0")
    assert person.state("selected") == 2
    first, second = person.masks(0)
    assert first["area"] + second["area"] == whole
    assert person.page.evaluate("__sam3.inMask(0, 2, 0.5, 0.3) && !__sam3.inMask(0, 1, 0.5, 0.3)")
    assert person.objects()[1]["frames"] == person.objects()[0]["frames"], "on all frames"
    assert person.page.locator(".hist li.now").inner_text().split()[:2] == ["Split", "off"]

    menu(person, 2, "Merge into…", "Object 1")
    person.until("s.objects.length === 1 && s.edits.at(-1).kind === 'merge'")
    assert person.state("selected") == 1
    assert person.masks(0)[0]["area"] == whole
    person.press("Control+z")
    person.until("s.objects.length === 2")
    person.press("Control+z")
    person.until("s.objects.length === 1 && s.edits.at(-2).undone")
    assert person.masks(0)[0]["area"] == whole

    # What can't be split is said in a sentence.
    person.press("n").click(0.8, 0.8).settled()
    other = person.state("selected")
    menu(person, other, "Split…")
    person.click(0.8, 0.8)
    person.page.get_by_role("alert").filter(has_text="Nothing was split off").wait_for()
    person.settled()
    assert len(person.objects()) == 2
    person.problems = [p for p in person.problems if "422" not in p]  # the browser logs the refusal itself


def test_classes_are_kept_with_their_colours_for_other_videos(visit: Callable[..., Person], server: str) -> None:
    person = visit(server).sample().click(0.3, 0.4)
    person.settled()
    row(person, 1).get_by_role("button", name="Class").click()
    field = person.page.get_by_label("Class to choose or add")
    field.fill("star <b>fish</b>")
    field.press("Enter")
    person.until("s.objects[0].label === arg && s.edits.at(-1).kind === 'rename'", "star <b>fish</b>")
    row(person, 1).get_by_role("button", name="star <b>fish</b>").click()
    colour = person.page.get_by_label("Colour of star <b>fish</b>")
    with person.page.expect_response("**/labels"):
        colour.fill("#4b5cf0")
        colour.dispatch_event("change")
    person.press("Escape")

    again = visit(server).sample().click(0.6, 0.6)
    again.settled()
    row(again, 1).get_by_role("button", name="Class").click()
    again.page.locator(".cl button").filter(has_text="star <b>fish</b>").click()
    again.until("s.objects[0].label === arg", "star <b>fish</b>")
    again.until("s.objects[0].color.toLowerCase() === '#4b5cf0'")
    menu(again, 1, "Colour…")
    again.page.get_by_role("button", name="Colour 3", exact=True).click()
    again.until("s.objects[0].color === '#E07FC8' && s.edits.filter(e => e.kind === 'rename').length >= 2")
