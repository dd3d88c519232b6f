"""The page itself: keys, zoom, the list of objects, themes, errors, reload, and no calls elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from tests.e2e.person import Person

pytestmark = pytest.mark.browser


def test_the_canvas_reads_and_writes_rle_like_pycocotools(person: Person) -> None:
    rng = np.random.default_rng(7)
    masks = [(rng.random((h, w)) < rng.random()).astype(np.uint8) for h, w in rng.integers(1, 40, (30, 2))]
    masks += [np.zeros((5, 7), np.uint8), np.ones((5, 7), np.uint8)]
    big = np.zeros((270, 480), np.uint8)
    cv2.ellipse(big, (200, 120), (90, 60), 30, 0, 360, 1, -1)
    masks.append(big)
    cases = []
    for mask in masks:
        counts = coco.encode(np.asfortranarray(mask))["counts"].decode()
        cases.append({"counts": counts, "size": list(mask.shape), "data": mask.ravel().tolist()})
    wrong = person.page.evaluate(
        """async cases => {
          const { decode, encode, holdsPixel } = await import("/canvas/rle.js");
          return cases.filter(({ counts, size: [height, width], data }) => {
            const { x0, y0, x1, y1, data: own } = decode(counts, [height, width]);
            const whole = data.map((_, i) => {
              const [x, y] = [i % width, Math.floor(i / width)];
              return x >= x0 && x < x1 && y >= y0 && y < y1 ? own[(y - y0) * (x1 - x0) + x - x0] : 0;
            });
            const held = (v, i) => holdsPixel(counts, height, i % width, Math.floor(i / width)) === (v === 1);
            return whole.some((v, i) => v !== data[i]) || !data.every(held) || encode(whole, width, height) !== counts;
          }).length;
        }""",
        cases,
    )
    assert wrong == 0


def test_zoom_and_pan_keep_the_mask_on_the_object(person: Person) -> None:
    person.sample().click(0.4, 0.4).settled()
    x0, y0 = person.at(0.4, 0.4)
    person.page.mouse.move(x0, y0)
    person.page.mouse.wheel(0, -400)
    person.until("s.zoom > 1.2")
    assert person.at(0.4, 0.4) == pytest.approx((x0, y0), abs=1), "the wheel zooms about the pointer"
    mark = person.page.locator(".pt").bounding_box()
    assert mark is not None
    assert (mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2) == pytest.approx((x0, y0), abs=1.5)
    person.page.keyboard.down("Space")
    person.page.mouse.down()
    person.page.mouse.move(x0 + 60, y0 + 30, steps=5)
    person.page.mouse.up()
    person.page.keyboard.up("Space")
    assert person.at(0.4, 0.4) == pytest.approx((x0 + 60, y0 + 30), abs=1.5), "Space-drag pans"
    assert not person.state("playing"), "a Space that panned does not play"
    assert len(person.state("edits")) == 1, "panning prompts nothing"
    person.click(0.4, 0.4).settled()
    assert len(person.state("edits")) == 2
    assert person.state("edits")[-1]["prompts"][0]["points"][0] == pytest.approx([0.4, 0.4], abs=0.003)
    person.press("f")
    assert person.at(0.4, 0.4) == pytest.approx((x0, y0), abs=1)


def test_objects_are_hidden_soloed_renamed_and_removed(person: Person) -> None:
    person.sample()
    bare = person.pixel(0.3, 0.4)
    person.click(0.3, 0.4).settled()
    person.press("n").click(0.7, 0.4).settled()
    person.press("n")  # with nothing selected no mark covers the pixel
    masked = person.pixel(0.3, 0.4)
    assert masked != bare
    person.page.get_by_role("button", name="Hide Object 1").click()
    assert person.pixel(0.3, 0.4) == pytest.approx(bare, abs=4)
    person.press("Shift+Digit1")
    assert person.pixel(0.3, 0.4) == pytest.approx(masked, abs=4)
    person.page.get_by_role("button", name="Show only Object 2").click()
    assert person.pixel(0.3, 0.4) == pytest.approx(bare, abs=4)
    person.page.get_by_role("button", name="Show only Object 2").click()
    person.page.locator(".ob .nm .b").first.dblclick()
    person.page.locator("input.rename").fill("Bike")
    person.press("Enter")
    person.until("s.objects[0].name === 'Bike' && s.edits.at(-1).kind === 'rename'")
    assert person.page.locator(".tag").filter(has_text="Bike").count() == 1
    person.press("1", "Delete")
    person.until("s.objects.length === 1 && s.edits.at(-1).kind === 'remove'")
    assert person.pixel(0.3, 0.4) == pytest.approx(bare, abs=4)
    person.press("Control+z")
    person.until("s.objects.length === 2")


def test_a_click_on_another_mask_selects_it(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.press("n").click(0.7, 0.4).settled()
    person.click(0.3, 0.41)
    person.until("s.selected === 1")
    assert len(person.state("edits")) == 2


def test_the_timeline_scrubs_and_shows_what_is_where(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    assert person.page.locator(".pm").count() == 1
    strip = person.page.locator(".strip").bounding_box()
    assert strip is not None
    person.page.mouse.click(strip["x"] + strip["width"] / 2, strip["y"] + 10)
    person.until("Math.abs(s.shown - 72) <= 1")
    person.page.locator(".pm").click()
    person.until("s.shown === 0")
    person.page.locator(".range i.z").hover()
    person.page.mouse.down()
    person.page.mouse.move(strip["x"] + strip["width"] / 2, strip["y"] - 6, steps=5)
    person.page.mouse.up()
    person.until("s.range && Math.abs(s.range[1] - 72) <= 1")
    assert person.page.get_by_role("button", name=re.compile(r"^Propagate 7[234] frames")).is_visible()


def test_where_drawing_is_slow_a_dragged_playhead_gets_fewer_pixels_and_a_still_one_all(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    share = "() => (c => c.width / c.clientWidth / devicePixelRatio)(document.querySelector('.mat > canvas'))"
    assert person.page.evaluate(share) == pytest.approx(1, abs=0.01)
    masked = person.pixel(0.3, 0.4)
    # A screen that gets 20 pictures a second.
    person.page.evaluate("""() => {
      const real = requestAnimationFrame;
      window.requestAnimationFrame = (then) => setTimeout(() => real(then), 50);
    }""")
    ruler = person.page.locator(".tl .ruler").bounding_box()
    assert ruler is not None
    y = ruler["y"] + ruler["height"] / 2
    person.page.mouse.move(ruler["x"] + 40, y)
    person.page.mouse.down()
    for step in range(1, 13):
        person.page.mouse.move(ruler["x"] + 40 + 12 * step, y)
        person.page.wait_for_function("() => __sam3.frame() === __sam3.shown()")
    person.page.wait_for_function(f"() => ({share})() < 0.75")
    person.page.mouse.move(ruler["x"], y)
    person.until("s.shown === 0")
    person.page.mouse.up()
    person.page.wait_for_function(f"() => Math.abs(({share})() - 1) < 0.01")
    assert np.abs(np.subtract(person.pixel(0.3, 0.4), masked)).max() <= 3


def test_keys_choose_tools_and_open_the_help(person: Person) -> None:
    person.sample()
    for key, tool in (("b", "box"), ("p", "brush"), ("e", "erase"), ("h", "pan"), ("v", "point")):
        person.press(key)
        person.until("s.tool === arg", tool)
    person.press("?")
    assert person.page.get_by_role("dialog").is_visible()
    person.press("Escape")
    assert person.page.get_by_role("dialog").count() == 0
    person.press("t")
    person.page.keyboard.type("box")
    assert person.state("tool") == "point", "keys rest while something is typed"
    person.press("Escape", "Alt+ArrowRight", "Enter")
    person.settled()
    assert len(person.objects()) == 1, "a point can be set from the keyboard"


def test_a_reload_reopens_the_session(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    sid = person.state("sid")
    person.page.reload()
    person.until("s.view === 'work' && s.shown >= 0 && s.objects.length === 1")
    assert person.state("sid") == sid
    assert person.masks(0)


def test_a_reload_rejoins_a_run(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.propagate()
    person.until("s.run?.state === 'running' && s.run.done > 3")
    person.page.reload()
    person.page.wait_for_function("window.__sam3")
    person.until("s.run?.state === 'running' && s.run.done > 10")
    person.finished()
    assert person.objects()[0]["computed"] == [[0, 143]]


def test_an_error_in_a_run_is_a_sentence_with_a_way_on(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.find("#later-engine-error")
    person.press("Escape", "Escape")
    person.propagate().finished()
    toast = person.page.get_by_role("alert")
    toast.wait_for()
    assert "The GPU ran out of memory." in toast.inner_text()
    assert person.state("view") == "work"


def test_a_file_that_is_no_video_is_refused_in_words(person: Person, tmp_path: Path) -> None:
    fake = tmp_path / "not-a-video.mp4"
    fake.write_bytes(b"this is no video" * 100)
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Choose a video").click()
    chooser.value.set_files(fake)
    toast = person.page.get_by_role("alert")
    toast.wait_for()
    assert "not-a-video.mp4 could not be opened" in toast.inner_text()
    person.until("s.view === 'empty'")
    person.problems = [p for p in person.problems if "400" not in p]  # the browser logs the refusal itself


def test_a_folder_of_frames_goes_as_one_zip(person: Person, tmp_path: Path) -> None:
    files = []
    for index in range(5):
        path = tmp_path / f"{index:03}.png"
        cv2.imwrite(str(path), np.full((60, 80, 3), index * 40, np.uint8))
        files.append({"name": path.name, "bytes": list(path.read_bytes())})
    person.page.evaluate(
        """files => {
          const data = new DataTransfer();
          for (const f of files) data.items.add(new File([new Uint8Array(f.bytes)], f.name, { type: "image/png" }));
          window.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }""",
        files,
    )
    person.until("s.view === 'work' && s.info?.total_frames === 5")


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_layout_holds_at_both_widths_and_themes(
    visit: Callable[..., Person], server: str, tmp_path: Path, width: int, theme: str
) -> None:
    person = visit(server, width=width, height=width * 9 // 16, theme=theme)
    person.sample().click(0.3, 0.4).settled()
    person.page.screenshot(path=tmp_path / f"work-{theme}-{width}.png")
    boxes = {
        name: person.page.locator(f"[data-part={name}]").bounding_box()
        for name in ("top", "rail", "ask", "mat", "stat", "time", "panel")
    }
    assert all(boxes.values()), boxes
    top, rail, panel, time = (boxes[n] or {} for n in ("top", "rail", "panel", "time"))
    assert top["height"] == 48
    assert rail["width"] == 52
    assert panel["width"] == (360 if width > 1440 else 304)
    assert time["y"] + time["height"] == pytest.approx(width * 9 // 16, abs=1)
    overflow = person.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not overflow
    dark = person.page.evaluate("document.body.classList.contains('dark')")
    assert dark == (theme == "dark")
    surface = person.page.evaluate("getComputedStyle(document.querySelector('.s3 .top')).backgroundColor")
    assert surface == ("rgb(23, 24, 27)" if theme == "dark" else "rgb(250, 250, 251)")
    person.page.get_by_role("button", name="Switch theme").click()
    assert person.page.evaluate("document.body.classList.contains('dark')") != dark
    loaded = "[...document.fonts].some(f => f.family.includes('Plex') && f.status === 'loaded')"
    font = person.page.evaluate(loaded)
    assert font, "IBM Plex is served by Gradio itself"


def test_the_api_page_says_how_programs_do_it(person: Person) -> None:
    person.page.get_by_role("button", name="API").click()
    text = person.page.locator(".sheet").inner_text()
    assert "gradio_client" in text
    assert "/api/v1/video/session/start" in text


def test_the_examples_on_the_api_page_run_as_shown(person: Person, tmp_path: Path) -> None:
    person.page.get_by_role("button", name="API").click()
    python, shell = person.page.locator(".sheet pre").all_inner_texts()
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "143 [0.9]" in done.stdout
    done = subprocess.run(["bash", "-ec", shell], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "masks.json").read_text())["results"]) == 144


@pytest.mark.parametrize("way", ["button", "address"])
def test_gradios_api_view_opens_over_the_page(person: Person, way: str) -> None:
    if way == "address":
        person.page.goto(f"{person.address}/?view=api")
    else:
        person.page.get_by_role("button", name="API").click()
        person.page.get_by_role("button", name="Gradio's API view").click()
    docs = person.page.locator(".api-docs")
    docs.get_by_text("/start_session").first.wait_for()
    person.problems = [p for p in person.problems if "404" not in p]  # Gradio's view asks for MCP, which is off


def test_a_lost_connection_is_said_and_the_run_is_joined_again(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    person.propagate()
    person.until("s.run?.state === 'running' && s.run.done > 3")
    person.page.context.set_offline(True)
    person.page.get_by_text("Connection lost.").wait_for()
    person.page.context.set_offline(False)
    person.finished()
    person.until("s.connection === 'ok'")
    assert person.objects()[0]["computed"] == [[0, 143]]
    person.problems = [p for p in person.problems if "DISCONNECTED" not in p]  # the browser logs these itself


def object_of(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "frames": [], "computed": [], "stale": [], "prompts": [], **fields}


@pytest.mark.parametrize(
    ("prompted", "fields", "expected"),
    [
        ([0], {"computed": [[0, 0]]}, ("forward", 0, 99)),
        ([99], {"computed": [[99, 99]]}, ("backward", 0, 99)),
        ([40], {"computed": [[40, 40]]}, ("both", 0, 99)),
        ([0], {"computed": [[0, 30]]}, ("forward", 30, 99)),
        ([0, 60], {"computed": [[0, 99]], "stale": [[61, 99]]}, ("forward", 60, 99)),
        ([0, 60], {"computed": [[0, 99]], "stale": [[1, 59], [61, 99]]}, ("both", 0, 99)),
    ],
)
def test_the_propagate_box_chooses_what_is_missing(
    person: Person, prompted: list[int], fields: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    state = {
        "info": {"total_frames": 100},
        "objects": [object_of(**fields)],
        "edits": [
            {"seq": i, "kind": "prompt", "undone": False, "frame_index": f, "obj_ids": [1]}
            for i, f in enumerate(prompted)
        ],
        "selected": 1,
        "run": None,
        "target": None,
        "direction": None,
        "range": None,
        "model": None,
    }
    work = person.page.evaluate("async s => (await import('/canvas/plan.js')).plan(s)", state)
    assert (work["direction"], work["first"], work["last"]) == expected


def test_a_lost_websocket_falls_back_to_gradios_generator(visit: Callable[..., Person], server: str) -> None:
    person = visit(server)
    person.page.evaluate(
        "() => { window.WebSocket = class { constructor() { throw new Error('no sockets here'); } }; }"
    )
    person.sample().click(0.3, 0.4).settled()
    person.propagate().finished()
    assert person.state("run")["state"] == "complete"
    assert person.objects()[0]["computed"] == [[0, 143]]


def test_a_session_that_can_t_be_opened_now_is_kept_and_opened_later(person: Person) -> None:
    person.sample().click(0.3, 0.4).settled()
    sid = person.state("sid")
    person.page.route("**/status", lambda route: route.abort())
    person.page.reload()
    person.page.get_by_role("alert").filter(has_text="The session could not be opened").wait_for()
    assert person.page.url.endswith(f"#session={sid}"), "it is not given up"
    # Once the server answers again, nobody has to press anything.
    person.page.unroute("**/status")
    person.until("s.view === 'work' && s.sid === arg && s.objects.length === 1", sid)
    assert person.masks(0)
    person.problems = [p for p in person.problems if "ERR_FAILED" not in p]  # the browser logs these itself
