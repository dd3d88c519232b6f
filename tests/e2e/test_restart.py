"""The page while its server is killed and started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.person import Person
from tests.server import free_port, server_process

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_page_catches_up_after_the_server_was_killed_and_goes_on_with_its_run(
    visit: Callable[..., Person], tmp_path: Path
) -> None:
    port = free_port()
    settings = {"FAKE_STEP_SECONDS": "0.03"}
    with server_process(tmp_path, port, **settings) as server:
        person = visit(f"http://127.0.0.1:{port}")
        person.sample().click(0.3, 0.3).settled()
        person.propagate()
        person.until("s.run?.state === 'running' && s.run.done > 10")
        server.kill()
        server.wait(15)
        person.until("s.connection === 'lost'")
        seen = person.state("run")["done"]
    with server_process(tmp_path, port, **settings):
        # Nothing is pressed: the page finds its server again by itself.
        person.until("s.connection === 'ok' && s.run?.state === 'interrupted' && s.run.resumable")
        run = person.state("run")
        assert run["done"] >= seen > 10
        assert len(person.masks(seen - 1)) == 1
        box = person.page.locator("[data-part=run]")
        assert f"Interrupted after {run['done']} of 144 frames" in box.inner_text()
        assert "Propagated" in person.page.locator(".hist li").first.inner_text()
        box.get_by_role("button", name="Resume").click()
        person.finished()
        assert person.objects()[0]["computed"] == [[0, 143]]
        assert [e["kind"] for e in person.state("edits")] == ["prompt", "propagate"]
        # What the browser itself says of a server that is away is no fault of the page.
        person.problems[:] = [p for p in person.problems if "ERR_CONNECTION" not in p and "WebSocket" not in p]
