"""The looks: what the canvas shows in each, side by side with the source, and what the export menu offers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
import pytest
from playwright.sync_api import Browser

from backend.domain import Image
from tests.e2e.person import Person

pytestmark = pytest.mark.browser

OBJECT, OTHER = (0.3, 0.4), (0.7, 0.4)
"""The middles of two discs that the stand-in engine draws, on the sample."""
GROUND = (0.775, 0.75)
"""On the doughnut, which is no object here and has sprinkles to lose."""


def look(person: Person, name: str) -> None:
    """Choose a look in the menu."""
    person.press("l")
    person.page.locator(f".looks [data-view={name}]").click()
    person.press("Escape")
    person.until("s.maskView === arg", name)


def patch(person: Person, at: tuple[float, float], source: bool = False, reach: int = 4) -> Image:
    """Pixels of the canvas around a point of the frame, (2 reach + 1) each way, a few screen pixels apart."""
    person.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    steps = [
        (at[0] + i * 0.0035, at[1] + j * 0.006) for j in range(-reach, reach + 1) for i in range(-reach, reach + 1)
    ]
    pixels = person.page.evaluate("([p, source]) => p.map(at => __sam3.pixel(...at, source))", [steps, source])
    return np.asarray(pixels, np.uint8)[:, :3].reshape(2 * reach + 1, 2 * reach + 1, 3)


def far(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def fine(pixels: Image) -> float:
    """How much neighbours differ."""
    return float(np.abs(np.diff(pixels.astype(int), axis=1)).mean())


@pytest.fixture(scope="module")
def session(server: str, browser: Browser) -> str:
    """The address of a session on the sample: two objects, computed on the first frames only."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    person = Person(context.new_page(), server).open().sample()
    person.click(*OBJECT).settled()
    person.press("n").click(*OTHER).settled()
    address = person.page.url
    assert person.problems == []
    context.close()
    return address


@pytest.fixture
def looker(visit: Callable[..., Person], server: str, session: str) -> Person:
    person = visit(server)
    person.page.goto(session)
    person.page.reload()
    person.until("s.view === 'work' && s.shown >= 0 && s.objects.length >= 2")
    person.masks(0)
    person.press("n")  # with nothing selected no mark covers the pixels
    person.page.mouse.move(5, 5)
    return person


def test_each_look_on_the_canvas(looker: Person) -> None:
    person = looker
    # As it is, by an outline: it leaves the insides alone.
    look(person, "outline")
    inside, ground = patch(person, OBJECT), patch(person, GROUND)
    assert fine(inside) > 4, "the sample is not smooth there"
    assert fine(ground) > 4

    for name in ("blur_object", "pixelate_object"):
        look(person, name)
        assert far(patch(person, GROUND), ground) < 1
        assert fine(patch(person, OBJECT)) < 0.6 * fine(inside)
    for name in ("blur_background", "pixelate_background"):
        look(person, name)
        assert far(patch(person, OBJECT), inside) < 1
        assert fine(patch(person, GROUND)) < 0.6 * fine(ground)
    look(person, "cutout")
    assert far(patch(person, OBJECT), inside) < 1
    assert patch(person, GROUND).max() < 50

    look(person, "spotlight")
    assert far(patch(person, OBJECT), inside) < 1
    dark = patch(person, GROUND)
    assert far(dark, (ground * 0.28).astype(np.uint8)) < 3
    person.press("l")
    slider = person.page.get_by_role("slider", name="Darkness")
    slider.focus()
    person.press("Home")
    assert far(patch(person, GROUND), ground) < 1, "a darkness of 0 is none; and the slider takes the keys"
    person.press(*["ArrowRight"] * 50, "Escape")
    assert far(patch(person, GROUND), (ground * 0.5).astype(np.uint8)) < 3
    assert person.state("frame") == 0

    # What is shown counts: a hidden object is background.
    person.press("Shift+Digit1")
    assert far(patch(person, OBJECT), (inside * 0.5).astype(np.uint8)) < 3
    person.press("Shift+Digit1")
    assert far(patch(person, OBJECT), inside) < 1

    look(person, "fill")
    person.press("l")
    person.page.get_by_role("slider", name="Opacity").fill("100")
    person.press("Escape")
    assert (patch(person, OBJECT) == (0x45, 0xB0, 0xFF)).all(), "the colour alone"

    # It is remembered.
    look(person, "blur_background")
    person.page.reload()
    person.until("s.view === 'work' && s.shown >= 0 && s.maskView === 'blur_background'")
    assert person.state("opacity") == {"fill": 1, "spotlight": 0.5}
    person.masks(0)
    assert fine(patch(person, GROUND)) < 0.6 * fine(ground)
    # Where nothing was computed the picture is there to be worked on.
    person.seek(100)
    person.masks(100)
    assert fine(patch(person, GROUND)) > 4


def test_a_strange_memory_is_no_harm(looker: Person) -> None:
    for text in ("no json", '{"look": "constructor", "opacity": {"fill": 7, "spotlight": "x"}, "sideBySide": 1}'):
        looker.page.evaluate("text => localStorage.setItem('sam3.looks', text)", text)
        looker.page.reload()
        looker.until("s.view === 'work' && s.shown >= 0 && s.maskView === 'fill' && !s.sideBySide")
        assert looker.state("opacity") == {"fill": 0.34, "spotlight": 0.72}


def test_side_by_side_with_the_source(visit: Callable[..., Person], server: str) -> None:
    person = visit(server).sample()
    bare = patch(person, OBJECT)
    person.press("l")
    person.page.get_by_role("switch", name="Side by side with the source").click()
    person.press("Escape")
    person.until("s.sideBySide")

    def on(at: tuple[float, float], source: bool) -> tuple[float, float]:
        x, y = person.page.evaluate("([x, y, source]) => __sam3.toClient(x, y, source)", [*at, source])
        return x, y

    # A click on either side prompts the same point; marks are on both.
    person.page.mouse.click(*on(OBJECT, True))
    person.settled()
    person.press("n")
    person.page.mouse.click(*on(OTHER, False))
    person.settled()
    points = [e["prompts"][0]["points"][0] for e in person.state("edits")]
    assert points[0] == pytest.approx(OBJECT, abs=0.003)
    assert points[1] == pytest.approx(OTHER, abs=0.003)
    marks = [box["x"] + box["width"] / 2 for m in person.page.locator(".pt").all() if (box := m.bounding_box())]
    assert marks == pytest.approx([on(OTHER, True)[0], on(OTHER, False)[0]], abs=2)

    # A drag that began on one side stays there, over the seam too.
    person.press("n")
    (x0, y0), (x1, y1) = on((0.8, 0.6), True), on((0.1, 0.9), False)
    person.page.mouse.move(x0, y0)
    person.page.mouse.down()
    person.page.mouse.move(x1, y1, steps=5)
    person.page.mouse.up()
    person.settled()
    box = person.state("edits")[-1]["prompts"][0]["box"]
    assert box[:2] == pytest.approx([0.8, 0.6], abs=0.005)
    assert box[0] + box[2] == pytest.approx(1, abs=0.001)

    look(person, "blur_object")
    person.press("n")
    person.page.mouse.move(5, 5)
    left, right = patch(person, OBJECT, source=True), patch(person, OBJECT)
    assert abs(fine(left) - fine(bare)) < 0.5 * fine(bare)
    assert fine(right) < 0.6 * fine(left)
    assert far(patch(person, GROUND, source=True), patch(person, GROUND)) < 2

    # Zoom and pan move both alike, about the pointer on either.
    at = on(OTHER, True)
    person.page.mouse.move(*at)
    person.page.mouse.wheel(0, -500)
    person.until("s.zoom > 0.7")
    assert on(OTHER, True)[0] == pytest.approx(at[0], abs=1)
    width = on(OTHER, False)[0] - on(OTHER, True)[0]
    mat = person.page.locator("[data-part=mat]").bounding_box()
    assert mat is not None
    assert width == pytest.approx(mat["width"] / 2, abs=2)
    person.press("f", "l")
    person.page.get_by_role("switch", name="Side by side with the source").click()
    person.press("Escape")
    person.until("!s.sideBySide")
    assert fine(patch(person, OBJECT)) < 0.6 * fine(bare)


def test_the_export_menu_offers_what_is_shown(looker: Person, tmp_path: Path) -> None:
    person = looker
    videos = person.page.locator("a[data-format=overlay_mp4]")

    def offered() -> list[tuple[dict[str, list[str]], str]]:
        person.page.get_by_role("button", name="Export").click()
        links = [(link.get_attribute("href") or "", link.inner_text()) for link in videos.all()]
        return [(parse_qs(urlsplit(href).query), text) for href, text in links]

    (options, _), *others = offered()
    assert (options, others) == ({}, [])
    person.press("Escape")
    person.press("l")
    person.page.get_by_role("slider", name="Opacity").fill("60")
    person.page.get_by_role("switch").click()
    person.press("Escape", "Shift+Digit2")
    (options, text), *others = offered()
    assert options == {"opacity": ["0.6"], "side_by_side": ["true"], "objects": ["1"]}
    assert "As shown: Fill 60%, side by side with the source, 1 of 2 objects." in text
    assert others == []
    person.press("Escape")

    # What hides objects says which frames it can't, and leaves the source out of the file.
    look(person, "blur_object")
    (options, text), (kept, warning) = offered()
    assert options == {"look": ["blur_object"], "objects": ["1"]}
    assert "143 frames, where an object was never computed, are black" in text
    assert kept == {**options, "uncomputed": ["keep"]}
    assert "show what the others hide" in warning
    person.page.mouse.move(5, 5)
    with person.page.expect_download() as download:
        videos.first.click()
    path = tmp_path / "blurred.mp4"
    download.value.save_as(path)
    with av.open(str(path)) as container:
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
    assert [i for i, p in enumerate(pictures) if p.max() > 3] == [0]
    height, width = pictures[0].shape[:2]
    y, x = int(OBJECT[1] * height), int(OBJECT[0] * width)
    y2, x2 = int(OTHER[1] * height), int(OTHER[0] * width)
    seen, other = pictures[0][y - 14 : y + 15, x - 14 : x + 15], pictures[0][y2 - 14 : y2 + 15, x2 - 14 : x2 + 15]
    assert fine(seen) < 0.5 * fine(other), "the hidden object 2 is left as it is"

    person.press("Shift+Digit1")
    (_, text), *_ = offered()
    assert "No object is shown" in text
    assert videos.first.get_attribute("href") is None
