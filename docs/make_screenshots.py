"""Take the pictures of the page in `docs/screenshots/`, from a real server and a real browser.

    python docs/make_screenshots.py            # all of them
    python docs/make_screenshots.py work error # those whose names begin so

Starts the server with the embedded engine in a temporary folder, does the whole job on the sample
as a person would, and writes PNGs. Needs the test requirements (playwright and a chromium).
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, WebSocketRoute  # noqa: E402

from tests import web  # noqa: E402
from tests.e2e.browser import chromium  # noqa: E402
from tests.e2e.person import Person  # noqa: E402
from tests.gated import gated_server  # noqa: E402
from tests.server import running_server  # noqa: E402
from tests.tiny import make_checkpoint  # noqa: E402

OUT = ROOT / "docs" / "screenshots"
SAMPLE = ROOT / "assets" / "sample.mp4"
MOST_BYTES = 400_000
# Pictures below the window's edge may wait until somebody scrolls to them.
LOADED = "() => [...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)"

# Where the sample's things are on frame 0: a name and a click, or a box's two corners.
OBJECTS = (
    ("Star", ((0.723, 0.21),)),
    ("Box", ((0.35, 0.28), (0.585, 0.69))),
    ("Ball", ((0.157, 0.69),)),
    ("Doughnut", ((0.715, 0.565), (0.925, 0.925))),
)
HEIGHTS = {820: 1180, 1024: 768, 1280: 800, 1440: 900, 1920: 1080}


class Studio:
    """The browser, the servers that the pictures need, and the one session that most of them show.

    Args:
        browser: where pages are opened.
        stack: what ends the servers.
        folder: an empty folder for their data.
        wanted: whether a picture of that name is to be taken.
    """

    def __init__(self, browser: Browser, stack: ExitStack, folder: Path, wanted: Callable[[str], bool]) -> None:
        self.browser = browser
        self.stack = stack
        self.folder = folder
        self.wanted = wanted

    @cached_property
    def lite(self) -> str:
        """The address of a server with the embedded engine."""
        return self.stack.enter_context(running_server(self.folder / "lite", ENGINE="lite"))

    def visit(self, address: str, width: int, theme: str, *, first: bool = False) -> Person:
        """Open the page in a window of that width; who is there for the `first` time is offered the tour."""
        context = self.browser.new_context(
            viewport={"width": width, "height": HEIGHTS[width]},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=width <= 1024,
        )
        context.set_default_timeout(60_000)
        return Person(context.new_page(), address, first).open()

    def shoot(self, person: Person, name: str) -> None:
        """Save the window, with a palette so that the file stays small."""
        if not self.wanted(name):
            return
        person.page.evaluate("() => document.fonts.ready")
        person.page.wait_for_function(LOADED)
        shot = Image.open(io.BytesIO(person.page.screenshot(animations="disabled"))).convert("RGB")
        path = OUT / f"{name}.png"
        for colours in (256, 192, 128):
            # Maximum coverage keeps the few pixels of an object's colour; the means then settle the rest.
            palette = shot.quantize(colours, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
            palette.save(path, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                return

    @cached_property
    def work(self) -> str:
        """The address of the session after the whole job: prompted, propagated, and one object corrected."""
        person = self.visit(self.lite, 1920, "light").sample()
        prompt_objects(person)
        quiet(person)
        self.shoot(person, "prompted-light-1920")
        person.propagate()
        person.until("s.run?.state === 'running' && s.run.done >= 48", seconds=600)
        self.shoot(person, "propagating-light-1920")
        person.finished(seconds=1200)
        person.seek(84).press("2")
        x, y = middle(person)
        person.click(x, y, modifier="Shift").settled()
        person.until("s.objects[1].stale.length > 0")
        return person.page.url

    def reopen(self, width: int, theme: str) -> Person:
        """The session after the job, in a new window, with the box chosen."""
        person = self.visit(self.lite, width, theme)
        person.page.goto(self.work)
        person.page.reload()
        person.until("s.view === 'work' && s.shown === 84", seconds=60)
        person.press("2").masks(84)
        quiet(person)
        return person


def quiet(person: Person) -> None:
    """Wait until nothing is on its way, thumbnails included."""
    person.page.wait_for_function("() => !document.querySelector('.strip .skel')")
    person.page.wait_for_load_state("networkidle")


def middle(person: Person) -> tuple[float, float]:
    """The middle of object 2 on frame 84."""
    x, y, w, h = next(m["box"] for m in person.masks(84) if m["id"] == 2)
    return x + w / 2, y + h / 2


def point_at(person: Person) -> None:
    """Rest the mouse on object 2, until it says what a click would do."""
    x, y = middle(person)
    person.page.mouse.move(*person.at(x + 0.03, y + 0.05))
    person.page.locator(".hint").wait_for()


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


def empty(studio: Studio) -> None:
    """Nothing is open, and the tour: its offer, and its first step."""
    studio.shoot(studio.visit(studio.lite, 1280, "dark"), "empty-dark-1280")
    person = studio.visit(studio.lite, 1280, "light", first=True)
    studio.shoot(person, "welcome-light-1280")
    person.page.get_by_role("button", name="Take the tour").first.click()
    person.until("s.view === 'work' && s.shown === 0")
    quiet(person)
    studio.shoot(person, "tour-light-1280")


def reading(studio: Studio) -> None:
    """A file on its way over a slow line, one that is no video, and a session that can't be opened."""
    person = studio.visit(studio.lite, 1280, "light")
    network = person.page.context.new_cdp_session(person.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
    large = studio.folder / "crossing.mp4"
    large.write_bytes(SAMPLE.read_bytes() + bytes(24_000_000))
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Choose a video").click()
    network.send("Network.emulateNetworkConditions", slow)
    chooser.value.set_files(large)
    person.until("s.upload?.phase === 'sending' && s.upload.loaded / s.upload.total > 0.55", seconds=60)
    studio.shoot(person, "reading-light-1280")
    person.page.get_by_role("button", name="Cancel").click()
    person.page.context.close()

    other = studio.visit(studio.lite, 1280, "dark")
    broken = studio.folder / "holiday.mp4"
    broken.write_bytes(b"no video" * 4000)
    with other.page.expect_file_chooser() as chooser:
        other.page.get_by_role("button", name="Choose a video").click()
    chooser.value.set_files(broken)
    other.page.get_by_role("alert").wait_for()
    studio.shoot(other, "refused-dark-1280")
    why = {"detail": "The server can't read its data folder. Try again later.", "code": "storage_unavailable"}
    other.press("Escape").page.route("**/session/gone/**", lambda route: route.fulfill(status=503, json=why))
    other.page.goto(f"{studio.lite}/#session=gone")
    other.page.reload()
    other.page.get_by_role("button", name="Try again").wait_for()
    studio.shoot(other, "trouble-dark-1280")
    other.page.context.close()


def ready(studio: Studio) -> None:
    """The first frame is there, and nothing is prompted yet."""
    person = studio.visit(studio.lite, 1280, "dark").sample()
    quiet(person)
    studio.shoot(person, "ready-dark-1280")
    person.press("b", "Alt+ArrowLeft", "Enter", *["Alt+ArrowLeft"] * 14, *["Alt+ArrowUp"] * 22)
    studio.shoot(person, "keyboard-dark-1280")
    person.press("Escape", "Escape", "?")
    studio.shoot(person, "keys-dark-1280")


def working(studio: Studio) -> None:
    """The job, at every width and in both themes; its menu of exports, and words that find nothing."""
    for width, theme in ((1280, "light"), (1280, "dark"), (1920, "dark"), (1920, "light"), (1024, "dark")):
        person = studio.reopen(width, theme)
        point_at(person)
        studio.shoot(person, f"work-{theme}-{width}")
        if (width, theme) == (1280, "light"):
            person.page.get_by_role("button", name="Export").click()
            studio.shoot(person, "export-light-1280")
            person.press("Escape")
        if (width, theme) == (1280, "dark"):
            person.find("red bicycle")
            studio.shoot(person, "nothing-dark-1280")
        person.page.context.close()


def narrow(studio: Studio) -> None:
    """A tablet held upright: the panel is a drawer."""
    person = studio.reopen(820, "light")
    studio.shoot(person, "tablet-light-820")
    person.page.get_by_role("button", name="Objects 4").click()
    studio.shoot(person, "drawer-light-820")
    person.page.context.close()


def broken(studio: Studio) -> None:
    """A run that fails on a tablet, and a connection that is lost while one goes on."""
    person = studio.reopen(1024, "dark")
    sid = person.state("sid")

    def fail(page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            told = json.loads(message)
            if told.get("frame_index") == 100:
                server.send(json.dumps({"type": "cancel"}))
            if told["type"] == "cancelled":
                told = {"type": "error", "code": "engine_error", "error": "The GPU ran out of memory."}
            page.send(json.dumps(told))

        server.on_message(pass_on)

    person.page.route_web_socket("**/ws/propagate/*", fail)
    person.page.get_by_role("radio", name="Forward").click()
    person.propagate()
    person.page.get_by_role("alert").wait_for(timeout=300_000)
    person.finished()
    quiet(person)
    studio.shoot(person, "error-dark-1024")
    person.press("Control+z").until("s.edits.at(-1).undone")
    person.page.context.close()

    other = studio.reopen(1280, "light")
    other.page.get_by_role("radio", name="Forward").click()
    other.propagate()
    other.until("s.run?.state === 'running' && s.run.done > 4", seconds=300)
    other.page.context.set_offline(True)
    other.until("s.connection === 'lost'")
    studio.shoot(other, "offline-light-1280")
    other.page.context.close()
    web.post(f"{studio.lite}/api/v1/video/session/{sid}/cancel")


def engines(studio: Studio) -> None:
    """A model that loads, and one that knows no words."""
    with gated_server(studio.folder / "gated") as (address, go_on):
        person = studio.visit(address, 1280, "light")
        person.upload(SAMPLE)
        person.until("s.model?.stage === 'Importing PyTorch'")
        quiet(person)
        studio.shoot(person, "engine-loading-light-1280")
        person.page.context.close()
        go_on()

    checkpoint = make_checkpoint(studio.folder / "tiny-sam2", "sam2")
    settings = {"ENGINE": "transformers", "MODEL_ID": str(checkpoint), "OMP_NUM_THREADS": "1"}
    with running_server(studio.folder / "sam2", wait_for="/health", **settings) as address:
        sid = exact_session(address)
        person = studio.visit(address, 1440, "light")
        person.page.goto(f"{address}/#session={sid}")
        person.page.reload()
        person.until("s.view === 'work' && s.objects.length === 4 && s.shown === 0 && s.model?.state === 'ready'")
        person.masks(0)
        quiet(person)
        studio.shoot(person, "engine-light-1440")
        person.page.context.close()


def exact_session(address: str) -> str:
    """A session on the sample with the exact masks of its first frame, as if they were painted; its id."""
    known: dict[str, Any] = json.loads((ROOT / "assets" / "sample_masks.json").read_text())
    api = f"{address}/api/v1/video/session"
    sid: str = web.post(f"{api}/start", json={"video_path": SAMPLE.name}).json()["session_id"]
    for index, thing in enumerate(known["objects"]):
        mask = {"type": "mask", "mask": known["frames"][0][index], "mode": "replace"}
        found = web.post(f"{api}/{sid}/prompt", json={"frame_index": 0, "prompts": [mask]}).json()
        web.patch(f"{api}/{sid}/object/{found['obj_id']}", json={"name": thing["name"]})
    return sid


def pages(studio: Studio) -> None:
    """The pages beside the workspace."""
    person = studio.reopen(1280, "light")
    for name, theme in (("Sessions", "light"), ("API", "dark")):
        person.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        person.page.get_by_role("button", name=name, exact=True).click()
        if name == "Sessions":
            person.page.locator(".srow img").first.wait_for()
        studio.shoot(person, f"{name.lower()}-{theme}-1280")
    person.page.context.close()


SCENES: tuple[tuple[Callable[[Studio], None], tuple[str, ...]], ...] = (
    # Who takes pictures, and what their names begin with.
    (empty, ("empty", "welcome", "tour")),
    (reading, ("reading", "refused", "trouble")),
    (ready, ("ready", "keyboard", "keys")),
    (working, ("prompted", "propagating", "work", "export", "nothing")),
    (narrow, ("tablet", "drawer")),
    (pages, ("sessions", "api")),
    (broken, ("error", "offline")),
    (engines, ("engine",)),
)


def main(names: list[str]) -> None:
    """Take the pictures whose names begin with one of these; without names, all of them."""
    OUT.mkdir(parents=True, exist_ok=True)

    def wanted(name: str) -> bool:
        return not names or name.startswith(tuple(names))

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, chromium() as browser:
        studio = Studio(browser, stack, Path(folder), wanted)
        for scene, made in SCENES:
            if not names or any(m.startswith(n) or n.startswith(m) for m in made for n in names):
                scene(studio)


if __name__ == "__main__":
    main(sys.argv[1:])
