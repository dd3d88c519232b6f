"""The page as a person uses it, and what can be read off it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, Response

READY = "() => window.__sam3 && __sam3.state().view !== 'boot'"
QUIET = "() => __sam3.state().pending.length === 0 && __sam3.state().waiting === 0"


class Person:
    """Drives one page. `problems` collects what no page may do: console errors, foreign requests.

    Nobody is offered the tour but who is there for the `first` time.
    """

    def __init__(self, page: Page, address: str, first: bool = False) -> None:
        self.page = page
        if not first:
            page.add_init_script("if (origin !== 'null') localStorage.setItem('sam3.tour', 'seen')")
        self.address = address
        self.problems: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.address, self.address.replace("http", "ws"), "blob:", "data:")):
            self.problems.append(f"foreign request: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.problems.append(f"{response.status}: {response.url}")

    # --- what is on the page

    def state(self, key: str) -> Any:
        return self.page.evaluate("key => __sam3.state()[key]", key)

    def masks(self, frame: int) -> list[dict[str, Any]]:
        """What the page holds for a frame, once it is up to date: id, area, box, score of each object."""
        self.page.wait_for_function("n => __sam3.fresh(n) && __sam3.masks(n) !== null", arg=frame)
        found: list[dict[str, Any]] = self.page.evaluate("n => __sam3.masks(n)", frame)
        return sorted(found, key=lambda m: m["id"])

    def pixel(self, x: float, y: float) -> tuple[int, int, int]:
        """The canvas's colour at a point of the frame, once everything asked for is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        r, g, b, _ = self.page.evaluate("p => __sam3.pixel(...p)", [x, y])
        return r, g, b

    def objects(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.state("objects")
        return found

    def until(self, condition: str, arg: Any = None, seconds: float = 30) -> None:
        """Wait until a condition on the state `s` holds."""
        self.page.wait_for_function(
            f"arg => {{ const s = window.__sam3?.state(); return s && ({condition}); }}",
            arg=arg,
            timeout=seconds * 1000,
        )

    def settled(self) -> None:
        self.page.wait_for_function(QUIET)

    # --- what a person does

    def open(self) -> Person:
        self.page.goto(self.address)
        self.page.wait_for_function(READY)
        return self

    def _opened(self) -> Person:
        self.until("s.view === 'work' && s.shown >= 0", seconds=60)
        return self

    def sample(self) -> Person:
        self.page.get_by_role("button", name="Try the sample").click()
        return self._opened()

    def upload(self, path: Path) -> Person:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=re.compile("^Choose (a|images)")).click()
        chooser.value.set_files(path)
        return self._opened()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the frame in the window's pixels."""
        cx, cy = self.page.evaluate("p => __sam3.toClient(...p)", [x, y])
        return cx, cy

    def click(self, x: float, y: float, button: Any = "left", modifier: str | None = None) -> Person:
        if modifier:
            self.page.keyboard.down(modifier)
        self.page.mouse.click(*self.at(x, y), button=button)
        if modifier:
            self.page.keyboard.up(modifier)
        return self

    def drag(self, *points: tuple[float, float]) -> Person:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()
        return self

    def press(self, *keys: str) -> Person:
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def seek(self, frame: int) -> Person:
        field = self.page.get_by_label("Frame", exact=True)
        field.fill(str(frame))
        field.press("Enter")
        self.until("s.shown === arg", frame)
        return self

    def find(self, words: str) -> Person:
        field = self.page.get_by_label("Describe what to find")
        field.fill(words)
        field.press("Enter")
        self.settled()
        return self

    def propagate(self) -> Person:
        self.page.get_by_role("button", name=re.compile("^Propagate ")).click()
        return self

    def finished(self, seconds: float = 120) -> Person:
        self.until(
            "s.run && !['queued', 'running'].includes(s.run.state) && s.edits.at(-1).outcome !== 'running'",
            seconds=seconds,
        )
        return self


def nearer(colour: tuple[int, int, int], target: str, other: tuple[int, int, int]) -> bool:
    """Whether a pixel moved towards a #rrggbb colour from what it was without the mask."""
    goal = [int(target[i : i + 2], 16) for i in (1, 3, 5)]

    def far(c: tuple[int, int, int]) -> float:
        return float(sum((a - b) ** 2 for a, b in zip(c, goal, strict=True)) ** 0.5)

    return far(colour) < 0.8 * far(other)
