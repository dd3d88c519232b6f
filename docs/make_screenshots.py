"""Take the pictures of the page in `docs/screenshots/`, from a real server and a real browser.

    python docs/make_screenshots.py

Starts the server with the embedded engine in a temporary folder, does the whole job on the sample
as a person would, and writes PNGs. Needs the test requirements (playwright and a chromium).
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

from tests.e2e.browser import chromium  # noqa: E402
from tests.e2e.person import Person  # noqa: E402
from tests.server import running_server  # noqa: E402

OUT = ROOT / "docs" / "screenshots"
MOST_BYTES = 400_000

# Where the sample's things are on frame 0: a name and a click, or a box's two corners.
OBJECTS = (
    ("Star", ((0.723, 0.21),)),
    ("Box", ((0.35, 0.28), (0.585, 0.69))),
    ("Ball", ((0.157, 0.69),)),
    ("Doughnut", ((0.715, 0.565), (0.925, 0.925))),
)


def visit(browser: Browser, address: str, width: int, theme: str) -> Person:
    """Open the page in a window of that width."""
    height = {1024: 768, 1280: 800}.get(width, width * 9 // 16)
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
    )
    context.set_default_timeout(60_000)
    return Person(context.new_page(), address).open()


def shoot(person: Person, name: str) -> None:
    """Save the window, with a palette so that the file stays small."""
    person.page.evaluate("() => document.fonts.ready")
    person.page.wait_for_load_state("networkidle")
    shot = Image.open(io.BytesIO(person.page.screenshot(animations="disabled"))).convert("RGB")
    path = OUT / f"{name}.png"
    for colours in (256, 192, 128):
        # Maximum coverage keeps the few pixels of an object's colour; the means then settle the rest.
        palette = shot.quantize(colours, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        palette.save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            return


def prompt_objects(person: Person) -> None:
    """Click or box each of the sample's things and give it its name."""
    for index, (name, where) in enumerate(OBJECTS):
        person.press("n")
        if len(where) == 1:
            person.click(*where[0])
        else:
            person.drag(*where)
        person.until("s.objects.length === arg && s.pending.length === 0", index + 1, seconds=60)
        person.page.locator(".ob .nm .b").nth(index).dblclick()
        person.page.locator("input.rename").fill(name)
        person.press("Enter")
        person.until("s.objects[arg[0]].name === arg[1] && s.edits.at(-1).kind === 'rename'", [index, name])


def main() -> None:
    """Do the job once and take every picture on the way."""
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder), ENGINE="lite") as address,
        chromium() as browser,
    ):
        take: Callable[[int, str], Person] = lambda width, theme: visit(browser, address, width, theme)  # noqa: E731
        empty = take(1280, "dark")
        shoot(empty, "empty-dark-1280")
        empty.sample()
        shoot(empty, "ready-dark-1280")

        person = take(1920, "light").sample()
        prompt_objects(person)
        shoot(person, "prompted-light-1920")
        person.propagate()
        person.until("s.run?.state === 'running' && s.run.done >= 48", seconds=300)
        shoot(person, "propagating-light-1920")
        person.finished(seconds=600)
        person.seek(84).press("2")
        box = next(m["box"] for m in person.masks(84) if m["id"] == 2)
        person.click(box[0] + box[2] * 0.5, box[1] + box[3] * 0.5, modifier="Shift").settled()
        person.page.mouse.move(*person.at(box[0] + box[2] * 0.7, box[1] + box[3] * 0.7))
        person.until("s.objects[1].stale.length > 0")
        work = person.page.url
        for width, theme in ((1280, "light"), (1280, "dark"), (1920, "dark"), (1920, "light"), (1024, "dark")):
            other = take(width, theme)
            other.page.goto(work)
            other.page.reload()
            other.until("s.view === 'work' && s.shown === 84", seconds=60)
            other.press("2")
            other.masks(84)
            other.page.mouse.move(*other.at(box[0] + box[2] * 0.7, box[1] + box[3] * 0.7))
            other.page.locator(".hint").wait_for()
            shoot(other, f"work-{theme}-{width}")
            if (width, theme) == (1280, "light"):
                other.page.get_by_role("button", name="Export").click()
                shoot(other, "export-light-1280")
                other.press("Escape")
            if (width, theme) == (1280, "dark"):
                other.find("red bicycle")
                shoot(other, "nothing-dark-1280")
            other.page.context.close()


if __name__ == "__main__":
    main()
