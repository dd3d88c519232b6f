"""The whole job in a real browser: open, prompt, propagate, correct, export."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.person import Person, nearer

pytestmark = pytest.mark.browser


def test_a_click_shows_the_mask_in_the_objects_colour(person: Person) -> None:
    person.sample()
    bare = person.pixel(0.3, 0.4)
    outside = person.pixel(0.9, 0.1)
    person.click(0.3, 0.4).settled()
    [mask] = person.masks(0)
    [one] = person.objects()
    assert mask["id"] == one["id"] == person.state("selected")
    assert person.page.evaluate("__sam3.inMask(0, 1, 0.32, 0.4)")
    assert nearer(person.pixel(0.33, 0.42), one["color"], bare)
    assert person.pixel(0.9, 0.1) == pytest.approx(outside, abs=4)
    assert person.page.locator(".tag").inner_text().split() == ["1", "Object", "1"]


def test_the_prompts_own_mark_is_there_before_the_reply(person: Person) -> None:
    person.sample()
    with_reply: list[int] = []
    person.page.on("response", lambda r: with_reply.append(1) if r.url.endswith("/prompt") else None)
    person.click(0.5, 0.5)
    assert person.page.locator(".pt").count() == 1
    person.click(0.52, 0.5)
    person.settled()
    assert len(person.objects()) == 1, "a second click refines the object that the first one starts"
    assert len(with_reply) == 2


@pytest.mark.parametrize(("button", "modifier"), [("right", None), ("left", "Alt")])
def test_right_and_alt_click_take_away(person: Person, button: str, modifier: str | None) -> None:
    person.sample().click(0.5, 0.5).settled()
    before = person.masks(0)[0]["area"]
    person.click(0.53, 0.5, button, modifier).settled()
    assert person.masks(0)[0]["area"] < before
    assert person.page.locator(".pt.neg").count() == 1


def test_a_drag_is_a_box_and_a_small_one_a_click(person: Person) -> None:
    person.sample().drag((0.2, 0.2), (0.5, 0.6)).settled()
    [mask] = person.masks(0)
    x, y, w, h = mask["box"]
    assert (x, y) == pytest.approx((0.2, 0.2), abs=0.01)
    assert (w, h) == pytest.approx((0.3, 0.4), abs=0.01)
    assert person.state("edits")[-1]["prompts"][0]["type"] == "box"
    person.press("n").drag((0.8, 0.8), (0.8015, 0.8)).settled()
    assert person.state("edits")[-1]["prompts"][0]["type"] == "point"


def test_brush_paints_and_eraser_takes_away(person: Person) -> None:
    person.sample().press("p").drag((0.3, 0.3), (0.5, 0.3)).settled()
    painted = person.masks(0)[0]["area"]
    assert person.page.evaluate("__sam3.inMask(0, 1, 0.4, 0.3)")
    person.press("e").drag((0.4, 0.2), (0.4, 0.4)).settled()
    assert 0 < person.masks(0)[0]["area"] < painted
    assert not person.page.evaluate("__sam3.inMask(0, 1, 0.4, 0.3)")
    assert [e["prompts"][0]["mode"] for e in person.state("edits")] == ["add", "subtract"]


def test_an_example_card_opens_the_sample_and_prompts_it(person: Person) -> None:
    person.page.locator(".card").filter(has_text="Box").click()
    person.until("s.objects.length === 1 && s.pending.length === 0")
    assert person.masks(0)[0]["area"] > 0
    assert person.state("edits")[0]["prompts"][0]["type"] == "box"


def test_words_find_objects_or_say_what_is_known(person: Person) -> None:
    person.sample().find("things")
    assert len(person.objects()) == 2
    person.find("red bicycle")
    answer = person.page.locator(".answer")
    assert "No “red bicycle” on frame 0" in answer.inner_text()
    assert "thing" in answer.inner_text()
    person.press("Escape", "Escape")
    assert len(person.objects()) == 2


def test_undo_redo_and_going_back_in_the_history(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.press("n").click(0.7, 0.4).settled()
    person.press("Control+z")
    person.until("s.objects.length === 1 && s.canRedo")
    assert len(person.masks(0)) == 1
    assert person.page.locator(".hist li.undone").count() == 1
    person.press("Control+Shift+z")
    person.until("s.objects.length === 2")
    person.page.locator(".hist li").last.locator("button").click()
    person.until("s.objects.length === 1")
    person.page.locator(".hist li").first.locator("button").click()
    person.until("s.objects.length === 2 && !s.canRedo")


def test_propagation_is_followed_live_stopped_and_gone_on(person: Person) -> None:
    person.sample().click(0.3, 0.3).settled()
    seen: list[int] = []
    person.propagate()
    person.until("s.run?.state === 'running' && s.run.done > 5")
    seen.append(person.state("shown"))
    assert person.state("following")
    assert person.page.get_by_role("progressbar", name="Propagation").is_visible()
    assert re.search(r"[\d.]+ frames/s", person.page.locator("[data-part=run]").inner_text())
    person.until("s.shown > arg", seen[0])
    stop = person.page.get_by_role("button", name=re.compile(r"^Stop and keep \d+ frames"))
    stop.click()
    person.finished()
    assert person.state("run")["state"] == "cancelled"
    [one] = person.objects()
    last = one["computed"][-1][1]
    assert 5 < last < 143, "what was computed is kept"
    person.propagate().finished()
    assert person.objects()[0]["computed"] == [[0, 143]]
    person.seek(100)
    [mask] = person.masks(100)
    x, y, w, h = mask["box"]
    # The stand-in moves a mask two pixels right and one down a frame.
    assert x + w / 2 == pytest.approx(0.3 + 200 / 960, abs=0.02)
    assert person.page.evaluate("p => __sam3.inMask(100, 1, ...p)", [x + w / 2, y + h / 2])


def test_a_correction_makes_the_rest_out_of_date_and_is_propagated(person: Person) -> None:
    person.sample().click(0.3, 0.3).settled()
    person.propagate().finished()
    person.seek(60)
    person.click(0.5, 0.55, modifier="Shift").settled()
    person.until("s.objects[0].stale.length > 0")
    assert person.page.locator(".sp.stale").count() >= 1
    assert "out of date" in person.page.locator(".foot:visible").inner_text()
    plan = person.page.get_by_role("button", name=re.compile("^Propagate ")).inner_text()
    assert "frames" in plan
    person.propagate().finished()
    person.until("s.objects[0].stale.length === 0")


def test_export_downloads_the_masks(person: Person) -> None:
    person.sample().click(0.3, 0.3).settled()
    person.page.get_by_role("button", name="Export").click()
    menu = person.page.get_by_role("menu")
    with person.page.expect_download() as download:
        menu.get_by_role("menuitem").filter(has_text="json").first.click()
    data = json.loads(Path(download.value.path()).read_text())
    assert data["annotations"]


def test_a_session_s_file_opens_as_that_session(person: Person, tmp_path: Path) -> None:
    person.sample().click(0.3, 0.3).settled()
    person.find("things").settled()
    before = person.objects()
    person.page.get_by_role("button", name="Export").click()
    with person.page.expect_download() as download:
        person.page.get_by_role("menuitem").filter(has_text="Session").click()
    assert download.value.suggested_filename == "sample.sam3.zip"
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    old = person.state("sid")
    person.page.locator("[data-part=file]").set_input_files(file)
    person.until("s.sid && s.sid !== arg && s.shown >= 0", old)
    assert person.objects() == before
    assert [e["kind"] for e in person.state("edits")] == ["prompt", "prompt"]
    assert person.state("info")["name"] == "sample.mp4"


def test_a_real_video_is_uploaded_scrubbed_and_played(person: Person, bikes: Path) -> None:
    person.upload(bikes)
    info = person.state("info")
    assert info["name"] == "bikes.mp4"
    person.seek(100).click(0.5, 0.5).settled()
    assert person.masks(100)
    person.press("ArrowRight", "ArrowRight", "Shift+ArrowLeft")
    person.until("s.shown === 92")
    person.press("Home")
    person.until("s.shown === 0")
    person.press("Space")
    person.until("s.playing && s.shown > 0")
    took = person.page.evaluate(
        """() => new Promise(done => {
          const times = [];
          const look = () => {
            const s = __sam3.state();
            if (s.shown >= 10 && !times.length) times.push([performance.now(), s.timestamps[s.shown]]);
            if (s.shown >= 50) {
              const [t0, m0] = times[0];
              done((performance.now() - t0) / 1000 / (s.timestamps[s.shown] - m0));
            } else requestAnimationFrame(look);
          };
          look();
        })"""
    )
    assert took == pytest.approx(1, abs=0.25), "it plays at the video's own speed"
    person.press("Space")
    assert not person.state("playing")


def test_lite_finds_what_is_clicked_and_follows_it(visit: Callable[..., Person], lite_server: str) -> None:
    person = visit(lite_server).sample()
    person.click(0.43, 0.45).settled()
    [mask] = person.masks(0)
    assert mask["area"] > 2000
    person.page.locator("[data-range='1']").fill("12")
    person.page.locator("[data-range='1']").press("Enter")
    person.until("s.range?.[1] === 12")
    person.propagate().finished(seconds=180)
    assert person.state("run")["state"] == "complete"
    person.seek(12)
    [later] = person.masks(12)
    assert later["area"] == pytest.approx(mask["area"], rel=0.5)
