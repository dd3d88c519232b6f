"""The Images tab: a set of images, each with the same tools; words over all of them; one export."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Route

from tests.e2e.person import Person, nearer

pytestmark = pytest.mark.browser

GREYS = {"one.png": 60, "two.png": 120, "three.png": 180}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three plain images of different sizes, each of its own grey."""
    paths = []
    for index, (name, grey) in enumerate(GREYS.items()):
        paths.append(tmp_path / name)
        cv2.imwrite(str(paths[-1]), np.full((200, 320 - 40 * index, 3), grey, np.uint8))
    return paths


def choose(person: Person, paths: list[Path], ready: int | None = None) -> None:
    """Choose files on the Images tab, and wait until as many images are on the server."""
    if person.state("tab") != "images":
        person.page.get_by_role("button", name="Images", exact=True).click()
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name=re.compile("^(Choose|Add) images")).first.click()
    chooser.value.set_files(paths)
    person.until("s.images.filter(i => i.sid).length === arg", ready or len(paths), seconds=120)
    person.until("s.view === 'work' && s.shown >= 0")


def images(person: Person, key: str) -> list[Any]:
    return [image[key] for image in person.state("images")]


def on_screen(person: Person, name: str) -> None:
    """Wait until that image is the one on the stage, with its own picture."""
    person.until("s.info?.name === arg && s.shown === 0", name)
    assert person.pixel(0.95, 0.95) == pytest.approx((GREYS[name],) * 3, abs=3)


def thumb(person: Person, name: str) -> Any:
    return person.page.get_by_role("button", name=re.compile(rf"^Image \d: {name}"))


def list_words(person: Person, words: str) -> None:
    field = person.page.get_by_label("Words to find, one a line")
    field.fill(words)
    field.press("Enter")
    field.blur()


def search(person: Person) -> None:
    person.page.get_by_role("button", name=re.compile("^Find in all")).click()


def searched(person: Person) -> None:
    person.until("!s.batch", seconds=90)
    person.until("s.images.every(i => !i.working)")


def test_a_set_of_images_is_worked_on_with_the_same_tools_and_found_again(
    person: Person, pictures: list[Path], server: str
) -> None:
    person.page.get_by_role("button", name="Images", exact=True).click()
    assert person.page.get_by_role("heading", name="Drop images to start").is_visible()
    choose(person, pictures)
    on_screen(person, "one.png")
    assert not person.page.locator(".time").is_visible()
    assert "no masks yet" in (thumb(person, "one.png").get_attribute("aria-label") or "")

    # A click on one, a box on the next, strokes on the last; what is on the stage is the image that was asked for.
    bare = person.pixel(0.5, 0.5)
    person.click(0.5, 0.5).settled()
    assert nearer(person.pixel(0.52, 0.52), person.objects()[0]["color"], bare)
    person.press("ArrowRight")
    on_screen(person, "two.png")
    assert person.objects() == []
    person.drag((0.2, 0.2), (0.5, 0.6)).settled()
    person.press("n").click(0.8, 0.8).settled()
    person.press("Control+z")
    person.until("s.objects.length === 1 && s.canRedo")
    person.press("End")
    on_screen(person, "three.png")
    person.press("p").drag((0.3, 0.3), (0.5, 0.3)).settled()
    person.press("v", "Home")
    on_screen(person, "one.png")
    person.until("JSON.stringify(s.images.map(i => i.objects)) === '[1,1,1]'")
    assert "1 object" in (thumb(person, "three.png").get_attribute("aria-label") or "")
    assert len(person.masks(0)) == 1
    thumb(person, "two.png").click()
    on_screen(person, "two.png")

    # The set outlives a reload; an image that was closed elsewhere is no longer in it.
    sids = images(person, "sid")
    person.page.reload()
    person.until("s.view === 'work' && s.info?.name === 'two.png'")
    assert images(person, "sid") == sids
    httpx.delete(f"{server}/api/v1/video/session/{sids[2]}").raise_for_status()
    person.page.reload()
    person.until("s.images.length === 2")
    assert person.page.get_by_text("One image is no longer there").is_visible()
    person.until("JSON.stringify(s.images.map(i => i.objects)) === '[1,1]'")

    # Back from a video, the image is where it was.
    person.page.get_by_role("button", name="Video", exact=True).click()
    person.sample()
    person.page.get_by_role("button", name="Images", exact=True).click()
    on_screen(person, "two.png")


def test_words_are_looked_for_in_all_images_one_after_another(person: Person, pictures: list[Path]) -> None:
    choose(person, pictures)
    list_words(person, "thing\nred bicycle")
    list_words(person, "things, thing")
    assert person.state("words") == ["thing", "red bicycle", "things"], "one a line or by comma, none twice"

    # The first request finds the server full, and the second image's is held back for a while.
    sids = images(person, "sid")
    full = [True]
    held: list[Route] = []

    def answer(route: Route) -> None:
        if full:
            full.clear()
            detail = {
                "detail": "All 10 places for sessions are busy. Try again in a moment.",
                "code": "too_many_sessions",
            }
            route.fulfill(status=429, headers={"Retry-After": "1"}, json=detail)
        elif sids[1] in route.request.url and not held:
            held.append(route)
        else:
            route.continue_()

    person.page.route("**/prompt", answer)
    search(person)
    person.page.get_by_text("All 10 places for sessions are busy.").first.wait_for()
    person.until("s.batch?.done === 1 && s.images[1].working === 1")
    assert person.page.get_by_role("progressbar", name="Search").get_attribute("aria-valuenow") == "33"
    assert "being worked on" in (thumb(person, "two.png").get_attribute("aria-label") or "")
    person.until("s.objects.length === 3", seconds=10)
    assert len(person.masks(0)) == 3, "what is found on the image that is shown appears at once"

    # Stopped, it finishes the one it is at and leaves the rest as it was.
    person.press("Escape")
    person.page.get_by_role("button", name="Stopping after this one").wait_for()
    held[0].continue_()
    searched(person)
    assert images(person, "objects") == [3, 1, 0]

    # Again: what is there is not asked for twice. An image that fails says why, and the others go on.
    broken = [True]

    def fail(route: Route) -> None:
        if sids[2] in route.request.url and broken:
            route.fulfill(status=409, json={"detail": "A run is under way in this session.", "code": "session_busy"})
        else:
            route.continue_()

    person.page.unroute("**/prompt")
    person.page.route("**/prompt", fail)
    person.press("Control+Enter")
    searched(person)
    assert images(person, "objects") == [3, 3, 0]
    row = person.page.locator(".wrow.bad")
    assert row.inner_text().split("\n")[0].startswith("three.png A run is under way in this session.")
    assert "A run is under way" in (thumb(person, "three.png").get_attribute("aria-label") or "")
    broken.clear()
    row.get_by_role("button", name="Try again").click()
    searched(person)
    assert row.count() == 0
    assert images(person, "objects") == [3, 3, 3]
    said = person.page.locator(".wsaid").inner_text()
    assert re.search(r"thing 3 objects in 3 images", said)
    assert re.search(r"things 6 objects in 3 images", said)
    assert re.search(r"red bicycle not found in any of 3 images", said)
    assert "knows these words: thing" in said
    person.problems = [p for p in person.problems if "429" not in p and "409" not in p]  # the browser logs them itself


def test_all_images_are_exported_in_one_go_and_closed(person: Person, pictures: list[Path], server: str) -> None:
    # Dropped, with files that are none among them.
    person.page.get_by_role("button", name="Images", exact=True).click()
    files = [{"name": p.name, "bytes": list(p.read_bytes())} for p in pictures]
    files += [{"name": "broken.png", "bytes": list(b"this is no picture")}, {"name": "notes.txt", "bytes": [65]}]
    person.page.evaluate(
        """files => {
          const data = new DataTransfer();
          for (const f of files) data.items.add(new File([new Uint8Array(f.bytes)], f.name));
          window.dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
        }""",
        files,
    )
    person.page.get_by_text("1 file was left out").wait_for()
    person.until("s.images.length === 4 && s.images.filter(i => i.sid).length === 3", seconds=120)
    person.until("s.images.some(i => i.phase === 'failed')")
    thumb(person, "broken.png").click()
    menu = person.page.get_by_role("menu")
    assert menu.get_by_role("menuitem", name="Try again").is_visible()
    menu.get_by_role("menuitem", name="Take it out").click()
    person.until("s.images.length === 3 && s.view === 'work' && s.shown >= 0")
    person.problems = [p for p in person.problems if "400" not in p]

    export = person.page.get_by_role("button", name="Export all")
    assert export.is_disabled(), "there is nothing yet"
    person.click(0.5, 0.5).settled()
    assert len(set(images(person, "sid"))) == 3
    export.click()
    with person.page.expect_download() as download:
        person.page.get_by_role("menuitem", name=re.compile("^COCO JSON")).click()
    assert download.value.suggested_filename == "3-images.json"
    data = json.loads(Path(download.value.path()).read_text())
    assert sorted(i["file_name"] for i in data["images"]) == sorted(GREYS)
    [annotation] = data["annotations"]
    marked = next(i for i in data["images"] if i["id"] == annotation["image_id"])
    assert marked["file_name"] == person.state("info")["name"]
    export.click()
    with person.page.expect_download() as download:
        person.page.get_by_role("menuitem", name=re.compile("^Session")).click()
    with zipfile.ZipFile(download.value.path()) as bundle:
        assert sorted(bundle.namelist()) == ["one.sam3.zip", "three.sam3.zip", "two.sam3.zip"]

    sids = set(images(person, "sid"))
    every = person.page.get_by_role("button", name="What to do with all images")
    every.click()
    person.page.get_by_role("menuitem", name="Take this image out").click()
    person.until("s.images.length === 2 && s.view === 'work'")
    every.click()
    person.page.get_by_role("menuitem", name="Close all 2 sessions").click()
    person.page.get_by_role("menuitem", name="Close all 2").click()
    person.until("s.images.length === 0 && s.view === 'empty'")

    def left() -> set[str]:
        return sids & {s["session_id"] for s in httpx.get(f"{server}/api/v1/video/sessions").json()["sessions"]}

    person.page.wait_for_function(
        """async sids => (await (await fetch('/api/v1/video/sessions')).json()).sessions
          .filter(s => sids.includes(s.session_id)).length === 1""",
        arg=list(sids),
    )
    assert len(left()) == 1, "what was only taken out is still a session"


def test_while_the_server_is_full_an_upload_waits_in_words(
    visit: Callable[..., Person], server: str, pictures: list[Path]
) -> None:
    person = visit(server)
    answers = [429, 429]

    def start(route: Route) -> None:
        if answers:
            sentence = "All 10 places for sessions are busy. Try again in a moment."
            body = {"detail": sentence, "code": "too_many_sessions"}
            route.fulfill(status=answers.pop(), headers={"Retry-After": "1"}, json=body)
        else:
            route.continue_()

    person.page.route("**/session/start", start)
    person.page.get_by_role("button", name="Images", exact=True).click()
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files(pictures[:1])
    person.until("s.waitingFor !== null", seconds=60)
    assert "All 10 places" in person.page.locator(".set").inner_text()
    on_screen(person, "one.png")
    assert not answers
    assert person.state("waitingFor") is None

    # Where nothing more may be kept, waiting does not help: that is said, and nothing is sent in vain.
    sent: list[str] = []
    person.page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/upload") else None)
    person.page.unroute("**/session/start")
    body = {"detail": "You have 50 sessions, and 50 may be kept here.", "code": "session_quota"}
    person.page.route("**/session/start", lambda route: route.fulfill(status=429, json=body))
    with person.page.expect_file_chooser() as chooser:
        person.page.get_by_role("button", name="Add images").click()
    chooser.value.set_files(pictures[1:])
    person.until("s.images.filter(i => i.phase === 'failed').length === 2", seconds=60)
    assert len(sent) == 1
    assert "50 may be kept here" in (thumb(person, "three.png").get_attribute("aria-label") or "")
    person.page.unroute("**/session/start")
    person.page.get_by_role("button", name="What to do with all images").click()
    person.page.get_by_role("menuitem", name="Try the 2 that failed again").click()
    person.until("s.images.filter(i => i.sid).length === 3", seconds=60)
    assert len(sent) == 2, "what is on the server is not sent again"
    person.problems = [p for p in person.problems if "429" not in p]
