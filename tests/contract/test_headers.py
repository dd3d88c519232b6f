"""What every reply carries, what no reply carries, and what the log never holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests import web
from tests.server import running_server

PATHS = [
    "/",
    "/health",
    "/docs",
    "/config",
    "/theme.css",
    "/canvas/main.js",
    "/gradio_api/info",
    "/gradio_api/nothing",
    "/api/v1/video/sessions",
    "/api/v1/nothing",
    "/nothing",
]
HTML = {"accept": "text/html"}
FOREIGN = {"origin": "https://evil.example"}
KEY, LOGIN_PASSWORD = "key-that-must-not-be-logged", "password-that-must-not-be-logged"


@pytest.mark.parametrize("path", PATHS)
def test_every_reply_carries_the_headers(http: httpx.Client, path: str):
    for headers in ({}, HTML, FOREIGN):
        reply = http.get(path, headers=headers)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "same-origin"
        assert reply.headers["x-frame-options"] == "SAMEORIGIN"
        policy = reply.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "object-src 'none'" in policy
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "unsafe-inline" not in scripts
        assert "http" not in scripts
        assert "server" not in reply.headers


@pytest.mark.parametrize("path", PATHS)
def test_no_other_origin_is_let_in(http: httpx.Client, path: str):
    """Under a name that is not this machine's too, where Gradio's own rule lets everybody in."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for origin in ("https://evil.example", "http://localhost:1", "null"):
        replies = [http.get(path, headers={"origin": origin}), http.options(path, headers={"origin": origin} | asked)]
        for reply in replies:
            assert [name for name in reply.headers if name.startswith("access-control")] == []


def test_a_script_in_the_page_has_the_reply_s_own_nonce(http: httpx.Client):
    pages = [http.get("/", headers=HTML) for _ in range(2)]
    nonces = []
    for page in pages:
        assert int(page.headers["content-length"]) == len(page.content)
        nonce = page.headers["content-security-policy"].partition("'nonce-")[2].partition("'")[0]
        assert len(nonce) >= 20
        assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce}"') > 0
        nonces.append(nonce)
    assert nonces[0] != nonces[1]
    head = http.head("/", headers=HTML)
    assert head.status_code == 200
    assert head.content == b""


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_another_site_s_page_changes_nothing(http: httpx.Client, server: str, session_url: str, origin: str):
    headers = {"origin": origin}
    for reply in (
        http.post(f"{session_url}/reset", headers=headers),
        http.post("/api/v1/video/upload", files={"file": ("a.mp4", b"x")}, headers=headers),
        http.post("/gradio_api/call/list_sessions", json={"data": []}, headers=headers),
        http.delete(session_url, headers=headers),
    ):
        assert reply.status_code == 401
        assert reply.json()["code"] == "foreign_origin"
    url = f"ws{server.removeprefix('http')}/api/v1/video/ws/follow/any"
    with connect(url, additional_headers=headers) as socket:
        assert json.loads(socket.recv())["code"] == "foreign_origin"
        with pytest.raises(Exception, match="4401"):
            socket.recv()
    own = {"origin": server}
    assert http.post(f"{session_url}/reset", headers=own).status_code == 200


def test_a_page_whose_name_was_pointed_here_is_not_this_server_s_page(http: httpx.Client, server: str):
    port = server.rpartition(":")[2]
    for host in (
        f"evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "localhost.evil.example",
    ):
        reply = http.get("/api/v1/video/sessions", headers={"host": host})
        assert reply.status_code in (400, 401), host
        if reply.status_code == 401:
            assert reply.json()["code"] == "foreign_host"
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:7860", "sam.localhost"):
        assert http.get("/api/v1/video/sessions", headers={"host": host}).status_code == 200, host


@pytest.fixture(scope="module")
def open_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("open")


@pytest.fixture(scope="module")
def public(open_data: Path, roots: Path) -> Iterator[str]:
    """As behind a name of its own, with one origin let in, keys and logins, and everything logged."""
    with running_server(
        open_data,
        VIDEO_ROOTS=str(roots),
        CORS_ORIGINS="https://good.example",
        ALLOWED_HOSTS="sam.example, 127.0.0.1",
        REQUIRE_API_KEY="true",
        API_KEYS=KEY,
        PAGE_LOGINS=f"ann:{LOGIN_PASSWORD}",
        LOG_LEVEL="DEBUG",
    ) as address:
        yield address


def test_only_the_origin_that_was_let_in_is(public: str):
    key = {"X-API-Key": KEY, "host": "sam.example"}
    for path in ("/api/v1/video/sessions", "/config", "/gradio_api/info"):
        good = web.get(public + path, headers=key | {"origin": "https://good.example"})
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        assert "access-control-allow-credentials" not in good.headers
        evil = web.get(public + path, headers=key | FOREIGN)
        assert "access-control-allow-origin" not in evil.headers
        refused = web.get(public + path, headers={"origin": "https://good.example", "host": "sam.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://good.example"


def test_only_the_names_that_were_allowed_answer(public: str):
    key = {"X-API-Key": KEY}
    assert web.get(f"{public}/config", headers=key | {"host": "sam.example:80"}).status_code == 200
    assert web.get(f"{public}/config", headers=key | {"host": "other.example"}).status_code == 401


def test_no_secret_is_logged(public: str, open_data: Path):
    """Every way to send one, right and wrong, with everything logged."""
    near = KEY + "-but-wrong"
    cookies: list[str] = []
    for secret in (KEY, near):
        for headers in ({"X-API-Key": secret}, {"Authorization": f"Bearer {secret}"}):
            web.get(f"{public}/config", headers=headers)
        web.get(f"{public}/config?api_key={secret}")
        cookies += web.post(f"{public}/api/v1/login", json={"api_key": secret}).cookies.values()
        url = f"ws{public.removeprefix('http')}/api/v1/video/ws/follow/any?api_key={secret}"
        with connect(url) as socket:
            assert json.loads(socket.recv())["type"] == "error"
    web.get(f"{public}/config", auth=("ann", LOGIN_PASSWORD))
    cookies += web.post(f"{public}/login", data={"username": "ann", "password": LOGIN_PASSWORD}).cookies.values()
    web.post(f"{public}/api/v1/login", json={"username": "ann", "password": [LOGIN_PASSWORD]})
    assert len(cookies) == 2
    log = (open_data / "server.log").read_text(errors="replace")
    assert log
    for secret in (KEY, LOGIN_PASSWORD, *cookies):
        assert secret not in log
    for stored in open_data.rglob("*"):
        if stored.is_file() and stored.name != "server.log":
            assert KEY.encode() not in stored.read_bytes()


def test_a_setting_that_is_wrong_is_not_shown_with_its_secret(tmp_path: Path):
    with pytest.raises(AssertionError) as failed, running_server(tmp_path, PAGE_LOGINS="secret-without-a-colon"):
        pass
    assert "user:password" in str(failed.value)
    assert "secret-without" not in str(failed.value)


def test_keys_that_are_asked_for_but_not_there_end_the_start_with_a_sentence(tmp_path: Path):
    with (
        pytest.raises(AssertionError, match="API_KEYS is empty") as failed,
        running_server(tmp_path, REQUIRE_API_KEY="1"),
    ):
        pass
    assert "Traceback" not in str(failed.value)
