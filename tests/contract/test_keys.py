"""API keys: on every door, with an owner each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.server import running_server

ONE, TWO = {"X-API-Key": "first-key"}, {"Authorization": "Bearer second-key"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    with running_server(
        tmp_path_factory.mktemp("guarded"),
        VIDEO_ROOTS=str(roots),
        REQUIRE_API_KEY="true",
        API_KEYS="first-key, second-key",
    ) as address:
        yield address


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/video/sessions",
        "/metrics",
        "/models/info",
        "/docs",
        "/openapi.json",
        "/gradio_api/info",
        "/config",
        "/canvas/main.js",
        "/api/v1/config",
    ],
)
def test_nothing_is_served_without_a_key(guarded: str, path: str):
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}, {"Cookie": "sam3_key=x"}):
        reply = httpx.get(guarded + path, headers=headers)
        assert reply.status_code == 401
        assert reply.json()["code"] == "unauthenticated"
    assert httpx.get(guarded + path, headers=ONE).status_code == 200


def test_health_and_readiness_are_open(guarded: str):
    assert httpx.get(f"{guarded}/health").status_code == 200
    assert httpx.get(f"{guarded}/ready").status_code == 200


def test_another_key_s_session_does_not_exist(guarded: str):
    started = httpx.post(f"{guarded}/api/v1/video/session/start", json={"video_path": "square.mp4"}, headers=ONE).json()
    url = f"{guarded}/api/v1/video/session/{started['session_id']}"
    assert httpx.get(f"{url}/status", headers=ONE).status_code == 200
    for call in (
        lambda: httpx.get(f"{url}/status", headers=TWO),
        lambda: httpx.get(f"{url}/frame/0", headers=TWO),
        lambda: httpx.delete(url, headers=TWO),
    ):
        assert call().status_code == 404
    assert httpx.get(f"{guarded}/api/v1/video/sessions", headers=TWO).json()["total_sessions"] == 0
    assert httpx.delete(url, headers=ONE).status_code == 200


def test_another_key_s_upload_does_not_exist(guarded: str, roots: Path):
    files = {"file": ("a.mp4", (roots / "square.mp4").read_bytes())}
    video_id = httpx.post(f"{guarded}/api/v1/video/upload", files=files, headers=ONE).json()["video_id"]
    body = {"video_id": video_id}
    assert httpx.post(f"{guarded}/api/v1/video/session/start", json=body, headers=TWO).status_code == 404
    assert httpx.post(f"{guarded}/api/v1/video/session/start", json=body, headers=ONE).status_code == 200


def test_sockets_need_a_key_too(guarded: str):
    address = f"ws{guarded.removeprefix('http')}/api/v1/video/ws/propagate/any"
    for query, code in (("", "unauthenticated"), ("?api_key=wrong", "unauthenticated")):
        with connect(address + query) as socket:
            assert json.loads(socket.recv())["code"] == code
    with connect(f"{address}?api_key=first-key") as socket:
        assert json.loads(socket.recv())["code"] == "session_not_found"


def test_gradio_s_api_needs_a_key_and_keeps_owners_apart(guarded: str):
    from gradio_client import Client

    one = Client(guarded, headers=ONE, verbose=False, download_files=False)
    two = Client(guarded, headers=TWO, verbose=False, download_files=False)
    try:
        started = one.predict(video_path="square.mp4", api_name="/start_session")
        assert one.predict(started["session_id"], api_name="/session_status")["status"] == "ready"
        with pytest.raises(Exception, match="session_not_found"):
            two.predict(started["session_id"], api_name="/session_status")
    finally:
        one.close()
        two.close()


def test_the_page_asks_for_the_key_and_keeps_a_cookie_that_is_not_the_key(guarded: str):
    with httpx.Client(base_url=guarded) as browser:
        page = browser.get("/", headers={"accept": "text/html"})
        assert page.status_code == 401
        assert "API key" in page.text
        assert browser.post("/api/v1/login", json={"api_key": "wrong"}).status_code == 401
        login = browser.post("/api/v1/login", json={"api_key": "first-key"})
        assert login.status_code == 200
        assert "HttpOnly" in login.headers["set-cookie"]
        assert "first-key" not in login.headers["set-cookie"]
        assert browser.get("/", headers={"accept": "text/html"}).status_code == 200
        assert browser.get("/api/v1/video/sessions").status_code == 200
