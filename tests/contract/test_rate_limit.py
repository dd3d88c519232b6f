"""How often a client may ask, and how much it may keep, on a real server."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests import web
from tests.clips import write_clip
from tests.server import running_server

PER_MINUTE = 30
START = "/api/v1/video/session/start"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    """One proxy is believed, so that each test can come from an address of its own."""
    with running_server(
        tmp_path_factory.mktemp("limited"),
        VIDEO_ROOTS=str(roots),
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_REQUESTS_PER_MINUTE=str(PER_MINUTE),
        TRUSTED_PROXIES="1",
    ) as address:
        yield address


@pytest.fixture(scope="module")
def stingy(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    """Small quotas, few wrong keys."""
    with running_server(
        tmp_path_factory.mktemp("stingy"),
        VIDEO_ROOTS=str(roots),
        REQUIRE_API_KEY="true",
        API_KEYS="one,two,three",
        MAX_SESSIONS_PER_OWNER="3",
        MAX_STORED_MB_PER_OWNER="1",
        FAILED_LOGINS_PER_MINUTE="5",
        TRUSTED_PROXIES="1",
    ) as address:
        yield address


def refused(reply: httpx.Response, code: str) -> int:
    assert reply.status_code == 429, reply.text
    assert reply.json()["code"] == code
    return int(reply.headers["retry-after"])


def test_too_many_requests_are_refused_and_the_time_said_is_true(limited: str):
    with web.Client(base_url=limited, headers={"x-forwarded-for": "9.9.9.1"}) as client:
        replies = [client.post(START, json={}) for _ in range(PER_MINUTE * 2)]
        assert [r.status_code for r in replies[:PER_MINUTE]] == [422] * PER_MINUTE
        wait = refused(replies[-1], "rate_limited")
        assert 1 <= wait <= 60
        # Gradio's API and sockets count as the rest does.
        refused(client.post("/gradio_api/call/list_sessions", json={"data": []}), "rate_limited")
        url = f"ws{limited.removeprefix('http')}/api/v1/video/ws/follow/any"
        with connect(url, additional_headers={"x-forwarded-for": "9.9.9.1"}) as socket:
            assert json.loads(socket.recv())["code"] == "rate_limited"
            with pytest.raises(Exception, match="4429"):
                socket.recv()
        # Reads and the page's own files are not used up by that, nor is anybody else.
        assert client.get("/api/v1/video/sessions").status_code == 200
        assert client.get("/health").status_code == 200
        assert client.get("/canvas/main.js").status_code == 200
        assert client.post(START, json={}, headers={"x-forwarded-for": "9.9.9.2"}).status_code == 422
        until = time.monotonic() + wait
        while (reply := client.post(START, json={})).status_code == 429:
            assert time.monotonic() < until + 1, reply.headers["retry-after"]
            time.sleep(0.05)
        assert reply.status_code == 422


def test_what_a_client_writes_before_the_proxy_s_entry_is_not_believed(limited: str):
    with web.Client(base_url=limited) as client:
        spoofed = [{"x-forwarded-for": f"10.0.{i}.1, 9.9.9.3"} for i in range(PER_MINUTE + 1)]
        replies = [client.post(START, json={}, headers=headers) for headers in spoofed]
    refused(replies[-1], "rate_limited")


def test_playing_a_video_does_not_use_it_up(limited: str):
    with web.Client(base_url=limited, headers={"x-forwarded-for": "9.9.9.4"}) as client:
        session_id = client.post(START, json={"video_path": "square.mp4"}).json()["session_id"]
        url = f"/api/v1/video/session/{session_id}"
        for i in range(PER_MINUTE * 10):
            assert client.get(f"{url}/frame/{i % 12}?width=64").status_code == 200
        assert client.get("/").status_code == 200
        assert client.delete(url).status_code == 200


def test_wrong_keys_are_slowed_down_and_a_cookie_is_not(stingy: str):
    with web.Client(base_url=stingy, headers={"x-forwarded-for": "9.9.9.5"}) as client:
        assert client.post("/api/v1/login", json={"api_key": "one"}).status_code == 200
        with web.Client(base_url=stingy, headers={"x-forwarded-for": "9.9.9.5"}) as guesser:
            for i in range(5):
                assert guesser.get("/config", headers={"X-API-Key": f"guess {i}"}).status_code == 401
            assert refused(guesser.get("/config", headers={"X-API-Key": "guess"}), "too_many_failures") <= 12
            # Nor is the right one told from the wrong ones any more, through any door.
            refused(guesser.get("/config", headers={"X-API-Key": "one"}), "too_many_failures")
            refused(guesser.post("/api/v1/login", json={"api_key": "one"}), "too_many_failures")
            refused(guesser.post("/login", data={"username": "a", "password": "b"}), "too_many_failures")
            url = f"ws{stingy.removeprefix('http')}/api/v1/video/ws/follow/any?api_key=one"
            with connect(url, additional_headers={"x-forwarded-for": "9.9.9.5"}) as socket:
                assert json.loads(socket.recv())["code"] == "too_many_failures"
        assert client.get("/config").status_code == 200
    assert web.get(f"{stingy}/config", headers={"X-API-Key": "one"}).status_code == 200


def test_sessions_are_limited_for_each_owner_however_many_ask_at_once(stingy: str):
    headers = {"X-API-Key": "one"}

    def start(_: int) -> httpx.Response:
        return web.post(stingy + START, json={"video_path": "square.mp4"}, headers=headers, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(start, range(12)))
    good = [r.json()["session_id"] for r in replies if r.status_code == 200]
    assert len(good) == 3
    for reply in replies:
        if reply.status_code != 200:
            assert refused(reply, "session_quota") > 0
    assert web.post(stingy + START, json={"video_path": "square.mp4"}, headers={"X-API-Key": "two"}).status_code == 200
    assert web.delete(f"{stingy}/api/v1/video/session/{good[0]}", headers=headers).status_code == 200
    assert start(0).status_code == 200


def test_stored_bytes_are_limited_for_each_owner_however_many_ask_at_once(stingy: str, tmp_path: Path):
    clip = write_clip(tmp_path / "c.mp4").read_bytes()
    # A box that players pass over, so that the clip has a size of our choosing.
    data = clip + (300_000).to_bytes(4, "big") + b"free" + bytes(299_992)
    headers = {"X-API-Key": "three"}

    def send(_: int) -> httpx.Response:
        files = {"file": ("a.mp4", data)}
        return web.post(f"{stingy}/api/v1/video/upload", files=files, headers=headers, timeout=60)

    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(send, range(9)))
    good = [r for r in replies if r.status_code == 200]
    assert 1 <= len(good) <= 3
    for reply in replies:
        if reply.status_code != 200:
            assert refused(reply, "storage_quota") > 0
    while (reply := send(0)).status_code == 200:
        good.append(reply)
    assert len(good) == 3
    refused(reply, "storage_quota")
    body = {"video_base64": base64.b64encode(data).decode()}
    refused(web.post(stingy + START, json=body, headers=headers), "storage_quota")
    assert web.get(f"{stingy}/api/v1/video/sessions", headers=headers).json()["total_sessions"] == 0
