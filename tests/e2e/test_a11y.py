"""What the page shows breaks no rule of axe-core, in any of its states, dark and light."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Route

from tests.e2e.axe import violations
from tests.e2e.person import Person
from tests.server import running_server

pytestmark = pytest.mark.browser


def test_no_state_of_the_workspace_breaks_a_rule(visit: Callable[..., Person], server: str) -> None:
    person = visit(server, first=True)
    page = person.page
    found: list[str] = []

    def look(state: str) -> None:
        found.extend(f"{state}, {line}" for line in violations(page))

    page.locator(".coach.offer").wait_for()
    look("empty, with the tour's offer")
    full = json.dumps({"detail": "The disk is full.", "code": "disk_full"})
    page.route("**/session/start", lambda r: r.fulfill(status=413, body=full, content_type="application/json"))
    page.get_by_role("button", name="Try the sample").click()
    page.get_by_role("alert").wait_for()
    look("a video that could not be opened")
    page.unroute("**/session/start")
    person.sample()
    look("ready, with the tour's first step")
    person.click(0.723, 0.21).settled()
    person.press("Escape").find("things").press("n").drag((0.35, 0.28), (0.585, 0.69)).settled()
    look("prompted")
    person.find("red bicycle")
    look("nothing found")
    person.press("Escape", "Escape")
    for name in ("Export", "Playback speed", "Objects to propagate", "Refining", "Looks", "Class", "More for"):
        page.get_by_role("button", name=re.compile(f"^{name}")).first.click()
        look(f"menu of {name}")
        person.press("Escape")
    person.press("?")
    look("keys")
    person.press("Escape").propagate()
    person.until("s.run?.state === 'running' && s.run.done > 3")
    look("propagating")
    person.finished().seek(80).click(0.5, 0.6).settled()
    look("out of date")
    person.find("#later-engine-error").press("Escape", "Escape").propagate().finished()
    page.get_by_role("alert").wait_for()
    look("error")
    person.press("Escape")
    page.set_viewport_size({"width": 820, "height": 1180})
    page.get_by_role("button", name="Objects 4").click()
    look("tablet, with the drawer")
    page.context.set_offline(True)
    page.get_by_text("Connection lost.").wait_for()
    look("offline")
    page.context.set_offline(False)
    person.until("s.connection === 'ok'")
    # The browser logs itself what was not answered.
    person.problems = [p for p in person.problems if "413" not in p and "DISCONNECTED" not in p]
    assert found == []


def test_no_other_page_breaks_a_rule(visit: Callable[..., Person], server: str, tmp_path: Path) -> None:
    person = visit(server)
    page = person.page
    found: list[str] = []

    def loading(route: Route) -> None:
        known = route.fetch().json()
        known["models"][0] |= {"state": "loading", "stage": "Reading the weights"}
        route.fulfill(body=json.dumps(known), content_type="application/json")

    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((200, 320, 3), 90, np.uint8))
    page.get_by_role("button", name="Images", exact=True).click()
    found += [f"no images, {line}" for line in violations(page)]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files([picture, picture])
    person.until("s.images.filter(i => i.sid).length === 2 && s.view === 'work' && s.shown >= 0", seconds=120)
    person.click(0.3, 0.5).settled()
    found += [f"images, {line}" for line in violations(page)]
    page.get_by_role("button", name="Sessions", exact=True).click()
    page.locator(".sheet").get_by_text("grey.png").first.wait_for()
    found += [f"sessions, {line}" for line in violations(page)]
    page.get_by_role("button", name=re.compile("^Close ")).first.click()
    found += [f"closing a session, {line}" for line in violations(page)]
    page.get_by_role("button", name="API", exact=True).click()
    found += [f"API, {line}" for line in violations(page)]
    page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); location.hash = ''; }")
    page.route("**/models/info", loading)
    page.reload()
    person.until("s.view === 'empty'")
    person.sample()
    assert "is loading (Reading the weights)" in page.inner_text("body")
    found += [f"an engine that loads, {line}" for line in violations(page)]
    page.unroute_all(behavior="ignoreErrors")

    with running_server(tmp_path / "locked", ENGINE="fake", REQUIRE_API_KEY="true", API_KEYS="secret") as locked:
        page.goto(locked)
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_role("alert").filter(has_text="key").wait_for()
        found += [f"the page that asks for a key, {line}" for line in violations(page)]
        page.goto("about:blank")
    person.problems = [p for p in person.problems if locked not in p and "401" not in p]
    assert found == []
