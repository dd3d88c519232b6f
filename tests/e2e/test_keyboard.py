"""Everything by keyboard: each line of the keys' table, drawing without a mouse, and a focus that is never lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.person import Person

pytestmark = pytest.mark.browser

FOCUS = "document.activeElement"
# An outline, or a shadow around the field that a bare input stands in.
RING = """() => {
  const s = getComputedStyle(document.activeElement.closest('.field, .fr') ?? document.activeElement);
  return s.outlineStyle !== 'none' || s.boxShadow.includes('2px');
}"""

ROWS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # What it does, the keys in turn, and what then holds of the state `s`, where `arg` is the state before.
    ("box", ("b",), "s.tool === 'box'"),
    ("brush", ("p",), "s.tool === 'brush'"),
    ("eraser", ("e",), "s.tool === 'erase'"),
    ("pan", ("h",), "s.tool === 'pan'"),
    ("point", ("v",), "s.tool === 'point'"),
    ("find", ("t",), f"{FOCUS}.matches('.field input')"),
    ("keys rest while one types", ("b",), "s.tool === 'point'"),
    ("out of the field", ("Escape",), f"{FOCUS}.matches('canvas')"),
    ("100 %", ("z",), "s.zoom === 1"),
    ("zoom in", ("+",), "s.zoom === 1.25"),
    ("zoom out", ("-", "-"), "Math.abs(s.zoom - 0.8) < 1e-6"),
    ("fit", ("z", "f"), "s.zoom !== 1"),
    ("step", ("ArrowRight",), "s.frame === 1"),
    ("ten frames", ("Shift+ArrowRight",), "s.frame === 11"),
    ("step back", ("ArrowLeft",), "s.frame === 10"),
    ("ten frames back", ("Shift+ArrowLeft",), "s.frame === 0"),
    ("last frame", ("End",), "s.frame === 143"),
    ("first frame", ("Home",), "s.frame === 0 && s.shown === 0"),
    ("play", ("Space",), "s.playing"),
    ("pause", ("Space",), "!s.playing"),
    ("timeline nearer", (">",), "Math.abs(s.timeZoom - Math.log(1.5) / Math.log(143 / 24)) < 1e-6"),
    ("timeline wider", ("<",), "Math.abs(s.timeZoom) < 1e-6"),
    ("range to", ("Home", *["Shift+ArrowRight"] * 2, "o"), "s.range[1] === 20"),
    ("range from", ("Shift+ArrowLeft", "i"), "s.range[0] === 10"),
    ("loop", ("r",), "s.loop"),
    ("loop off", ("r",), "!s.loop"),
    ("aim and add", ("Home", "Alt+ArrowLeft", "Enter"), "s.objects.length === 1 && s.selected === 1 && s.shown === 0"),
    ("take away", ("Alt+ArrowUp", "Shift+Enter"), "s.edits.at(-1).prompts[0].point_labels[0] === 0"),
    ("new object", ("n", *["Alt+ArrowLeft"] * 20, "Enter"), "s.objects.length === 2 && s.selected === 2"),
    ("select", ("1",), "s.selected === 1"),
    ("hide", ("Shift+Digit1",), "s.hidden.includes(1)"),
    ("show", ("Shift+Digit1",), "!s.hidden.length"),
    ("previous mark", ("End", "["), "s.frame === 0"),
    ("next mark", ("End", "Alt+ArrowDown", "Enter", "Home", "]"), "s.frame === 143 && s.edits.length === 4"),
    ("undo", ("Control+z",), "s.edits.at(-1).undone"),
    ("redo", ("Control+Shift+Z",), "!s.edits.at(-1).undone"),
    ("remove", ("2", "Delete"), "s.objects.length === 1"),
    ("undo a removal", ("Control+z",), "s.objects.length === 2"),
    ("run", ("Escape", "Control+Enter"), "s.run?.state === 'running' && s.run.done > 2"),
    ("stop", ("Escape",), "s.run.state === 'cancelled' && s.run.done >= arg.run.done"),
    ("keys", ("?",), f"{FOCUS}.matches('[role=dialog]')"),
    ("out of the keys", ("Escape",), f"{FOCUS}.matches('canvas')"),
)


def test_each_line_of_the_table(person: Person, subtests: pytest.Subtests) -> None:
    person.page.get_by_role("button", name="Try the sample").focus()
    person.press("Enter").until("s.view === 'work' && s.shown === 0")
    for what, keys, then in ROWS:
        with subtests.test(what):
            before = person.page.evaluate("() => ({ ...__sam3.state(), model: null })")
            for key in keys:
                person.press(key).settled()
            person.until(then, before, seconds=10)


def test_drawing_without_a_mouse(person: Person) -> None:
    """A box has two corners, a stroke a beginning and an end; Esc drops them; the crosshair stays in sight."""
    person.sample().press("b", "Alt+ArrowLeft", "Enter")
    assert person.page.locator(".hint").inner_text() == "Enter sets the other corner\nEsc drops the box"
    person.press("Escape", "Enter", *["Alt+ArrowLeft"] * 30, *["Alt+ArrowUp"] * 20, "Enter").settled()
    [mask] = person.masks(0)
    # From a step left of the middle: 30 steps of 8 pixels of 960, 20 of 540.
    assert mask["box"] == pytest.approx([0.5 - 31 / 120, 0.5 - 160 / 540, 30 / 120, 160 / 540], abs=0.01)

    person.press("n", "p", "Alt+ArrowDown", "Alt++", "Enter", *["Alt+ArrowRight"] * 10, "Enter").settled()
    painted = person.masks(0)[1]["area"]
    assert person.state("edits")[-1]["prompts"][0]["mode"] == "add"
    assert person.state("brush") == round(24 * 1.15)
    assert person.page.evaluate("__sam3.inMask(0, 2, 0.5 - 26 / 120, 0.5 - 152 / 540)"), (
        "along the way, not only its ends"
    )
    person.press("Enter", "Alt+ArrowRight", "Escape")
    assert len(person.state("edits")) == 2, "a stroke that was dropped is no prompt"
    person.press("e", "Alt+ArrowLeft", "Alt+ArrowLeft", "Enter", "Alt+ArrowLeft", "Enter").settled()
    assert 0 < person.masks(0)[1]["area"] < painted

    # Zoomed in, the picture goes along.
    person.press("v", *["+"] * 8, *["Alt+ArrowRight"] * 40)
    aim = person.page.locator(".aim").bounding_box()
    mat = person.page.locator("[data-part=mat]").bounding_box()
    assert aim is not None
    assert mat is not None
    assert mat["x"] <= aim["x"] <= mat["x"] + mat["width"] - 22
    x, _ = person.at(0.5, 0.5)
    person.press("h", "Alt+ArrowRight")
    assert person.at(0.5, 0.5)[0] == pytest.approx(x - 48, abs=1), "the hand pans"


def focused(person: Person) -> str:
    """What has the focus: its name, else its tag."""
    name: str = person.page.evaluate(
        f"() => {FOCUS}.getAttribute('aria-label') || {FOCUS}.textContent.trim().slice(0, 40) || {FOCUS}.tagName"
    )
    return name


def test_the_focus_is_trapped_returned_and_never_lost(person: Person) -> None:
    person.sample()
    page = person.page
    lost = f"() => {FOCUS} === document.body"

    def kept() -> None:
        page.wait_for_function(f"() => !({lost})()")

    # Tab goes through the page, with a ring around where it is, and never to nothing.
    person.click(0.3, 0.4).settled()
    person.press("n").click(0.7, 0.4).settled()
    page.evaluate("document.activeElement.blur()")
    names = []
    for _ in range(70):
        person.press("Tab")
        ring = page.evaluate(RING)
        if not page.evaluate(lost):
            assert ring, focused(person)
            names.append(focused(person))
    assert {"Video", "Point", "Play", "Playhead", "Hide Object 1"} <= set(names)

    # The keys' overlay: Tab goes round in it, Esc returns.
    help_button = page.get_by_role("button", name="Keyboard shortcuts")
    help_button.focus()
    person.press("Enter")
    for _ in range(5):
        person.press("Tab")
        assert page.evaluate(f"() => Boolean({FOCUS}.closest('[role=dialog]'))")
    person.press("Escape")
    assert focused(person) == "Keyboard shortcuts"

    # A menu: arrows walk it, Esc and Tab leave it by its button.
    speed = page.get_by_role("button", name="Playback speed")
    speed.focus()
    person.press("Enter", "ArrowDown")
    assert focused(person) == "0.5×"
    person.press("Escape")
    assert focused(person) == "Playback speed"
    person.press("Enter", "End", "Enter")
    assert (person.state("speed"), focused(person)) == (4, "Playback speed")
    person.press("Enter", "Tab")
    assert page.get_by_role("menu").count() == 0
    assert focused(person) != "Playback speed"
    kept()

    # What had the focus goes away: undo with nothing left to undo, an object that is removed, a session that is left.
    undo = page.get_by_role("button", name="Undo", exact=True)
    undo.focus()
    person.press("Enter", "Enter").until("!s.canUndo")
    kept()
    person.press("Control+Shift+Z", "Control+Shift+Z").until("s.objects.length === 2")
    page.get_by_role("button", name="Hide Object 2").focus()
    person.press("2", "Delete").until("s.objects.length === 1")
    kept()
    page.get_by_role("button", name="sample.mp4").focus()
    person.press("Enter", "Enter").until("s.view === 'empty'")
    kept()


def test_sliders_and_choices_take_the_arrows(person: Person) -> None:
    person.sample().press("p")
    page = person.page
    page.get_by_label("Brush size").focus()
    person.press("ArrowRight", "ArrowRight")
    assert (person.state("brush"), person.state("frame")) == (26, 0)
    page.get_by_role("radio", name="Fill").focus()
    person.press("Tab", "Shift+Tab", "ArrowRight")
    assert (person.state("maskView"), person.state("frame")) == ("outline", 0)
    page.get_by_label("Playhead").focus()
    person.press("ArrowRight").until("s.frame === 1")
    # A button that was clicked does not take Space from the player; one that was reached by Tab does.
    page.get_by_role("button", name="Brush").click()
    person.press("Space").until("s.playing")
    person.press("Space").until("!s.playing")
    page.get_by_role("button", name="Eraser").focus()
    person.press("Shift+Tab", "Space").until("s.tool === 'brush' && !s.playing")


def test_an_export_by_keyboard(visit: Callable[..., Person], server: str, tmp_path: Path) -> None:
    person = visit(server, width=820, height=1180).sample()
    person.press("Alt+ArrowLeft", "Enter").settled()
    objects = person.page.get_by_role("button", name="Objects 1")
    objects.focus()
    person.press("Enter")
    person.page.wait_for_function(f"() => {FOCUS}.closest('.panel')")
    assert objects.get_attribute("aria-expanded") == "true"
    person.page.get_by_role("button", name="Export").focus()
    person.press("Enter", "ArrowDown", "ArrowDown")
    with person.page.expect_download() as download:
        person.press("Enter")
    download.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").stat().st_size > 0
    person.press("Escape")
    assert objects.get_attribute("aria-expanded") == "false"
    assert focused(person).startswith("Objects")
