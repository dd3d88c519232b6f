"""What is somebody's own: by page login, and by visitor; to anybody else it does not exist."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from backend.owners import crowd_of, is_ticket, may_open, ticket_owner, visitor_owner
from tests import web
from tests.server import running_server

HTML = {"accept": "text/html"}
CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
ANN, BOB = ("ann", "pass:word"), ("bob", "hunter2")


@pytest.fixture(scope="module")
def logins(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    with running_server(
        tmp_path_factory.mktemp("logins"), VIDEO_ROOTS=str(roots), PAGE_LOGINS="ann:pass:word, bob:hunter2"
    ) as address:
        yield address


@pytest.fixture(scope="module")
def visitors_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visitors")


@pytest.fixture(scope="module")
def visitors(visitors_data: Path, roots: Path) -> Iterator[str]:
    with running_server(visitors_data, VIDEO_ROOTS=str(roots), TENANCY="per-visitor") as address:
        yield address


@dataclass
class Two:
    """Two who may not see each other's things, and one who has nothing."""

    address: str
    one: dict[str, str]
    other: dict[str, str]
    nobody: dict[str, str] = field(default_factory=dict)


def cookies_of(client: httpx.Client) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


def logged_in(address: str, user: str, password: str) -> dict[str, str]:
    with web.Client(base_url=address) as browser:
        reply = browser.post("/api/v1/login", json={"username": user, "password": password})
        assert reply.status_code == 200, reply.text
        return cookies_of(browser)


def visited(address: str) -> dict[str, str]:
    with web.Client(base_url=address) as browser:
        assert browser.get("/", headers=HTML).status_code == 200
        return cookies_of(browser)


@pytest.fixture(params=["logins", "visitors"])
def two(request: pytest.FixtureRequest) -> Two:
    address: str = request.getfixturevalue(request.param)
    if request.param == "logins":
        return Two(address, logged_in(address, *ANN), logged_in(address, *BOB))
    return Two(address, visited(address), visited(address))


def started(address: str, headers: dict[str, str], **body: Any) -> str:
    reply = web.post(f"{address}/api/v1/video/session/start", json={"video_path": "square.mp4"} | body, headers=headers)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["session_id"])


@pytest.fixture
def session_id(two: Two) -> Iterator[str]:
    """A session of the one's, with an object in it."""
    session_id = started(two.address, two.one)
    url = f"{two.address}/api/v1/video/session/{session_id}"
    assert web.post(f"{url}/prompt", json={"frame_index": 0, "prompts": [CLICK]}, headers=two.one).status_code == 200
    yield session_id
    web.delete(url, headers=two.one)


PROMPT = {"frame_index": 0, "prompts": [CLICK]}
ROUTES: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    "status": lambda c: c.get("/status"),
    "log": lambda c: c.get("/log"),
    "timestamps": lambda c: c.get("/timestamps"),
    "results": lambda c: c.get("/results"),
    "problems": lambda c: c.get("/problems"),
    "frame": lambda c: c.get("/frame/0"),
    "overlay": lambda c: c.get("/frame/0?overlay=1"),
    "export": lambda c: c.get("/export/coco_rle_json"),
    "prompt": lambda c: c.post("/prompt", json=PROMPT),
    "propagate": lambda c: c.post("/propagate", json={"max_frames": 2}),
    "cancel": lambda c: c.post("/cancel"),
    "undo": lambda c: c.post("/undo"),
    "redo": lambda c: c.post("/redo"),
    "rename": lambda c: c.patch("/object/1", json={"name": "mine"}),
    "approve": lambda c: c.post("/object/1/approve"),
    "split": lambda c: c.post("/object/1/split", json=PROMPT),
    "merge": lambda c: c.post("/object/1/merge", json={"obj_id": 2}),
    "remove": lambda c: c.delete("/object/1"),
    "reset": lambda c: c.post("/reset"),
    "close": lambda c: c.request("DELETE", ""),
}


def test_to_others_a_session_s_routes_answer_as_if_it_did_not_exist(two: Two, session_id: str):
    url = f"{two.address}/api/v1/video/session/{session_id}"
    missing = f"{two.address}/api/v1/video/session/never-was"
    with web.Client(base_url=url, headers=two.other) as own, web.Client(base_url=missing, headers=two.other) as no:
        for name, call in ROUTES.items():
            reply = call(own)
            assert reply.status_code == 404, name
            assert reply.json() == call(no).json(), name
    assert web.get(f"{url}/status", headers=two.one).json()["objects"][0]["id"] == 1
    listed = web.get(f"{two.address}/api/v1/video/sessions", headers=two.other).json()
    assert listed == {"sessions": [], "total_sessions": 0}


def test_to_others_its_classes_do_not_exist(two: Two, session_id: str):
    url = f"{two.address}/api/v1/video/labels"
    named = web.patch(
        f"{two.address}/api/v1/video/session/{session_id}/object/1", json={"label": "mine"}, headers=two.one
    )
    assert named.status_code == 200
    assert web.put(url, json={"label": "a/b ✓", "color": "#102030"}, headers=two.one).json()["objects"] == 0
    own = web.get(url, headers=two.one).json()["labels"]
    assert [(each["label"], each["objects"]) for each in own] == [("mine", 1), ("a/b ✓", 0)]
    assert web.get(url, headers=two.other).json() == {"labels": []}
    for address, who, status in (
        ("a%2Fb%20%E2%9C%93", two.other, 404),
        ("a%2Fb%20%E2%9C%93", two.one, 200),
        ("a%2Fb%20%E2%9C%93", two.one, 404),
        ("mine", two.one, 409),
    ):
        assert web.delete(f"{url}/{address}", headers=who).status_code == status


@pytest.mark.parametrize("kind", ["propagate", "follow"])
def test_to_others_its_sockets_close_with_4404(two: Two, session_id: str, kind: str):
    url = f"ws{two.address.removeprefix('http')}/api/v1/video/ws/{kind}/{session_id}"
    with connect(url, additional_headers=two.other) as socket:
        assert json.loads(socket.recv())["code"] == "session_not_found"
        with pytest.raises(Exception, match="4404"):
            socket.recv()


def test_to_others_an_upload_does_not_exist(two: Two, roots: Path):
    files = {"file": ("a.mp4", (roots / "square.mp4").read_bytes())}
    video_id = web.post(f"{two.address}/api/v1/video/upload", files=files, headers=two.one).json()["video_id"]
    start = f"{two.address}/api/v1/video/session/start"
    refused = web.post(start, json={"video_id": video_id}, headers=two.other)
    assert (refused.status_code, refused.json()["code"]) == (404, "video_not_found")
    assert web.post(start, json={"video_id": video_id}, headers=two.one).status_code == 200


def call_event(address: str, name: str, data: list[Any], headers: dict[str, str], **more: Any) -> httpx.Response:
    return web.post(f"{address}/gradio_api/call/{name}", json={"data": data, **more}, headers=headers)


def events(address: str, name: str, event_id: str, headers: dict[str, str]) -> httpx.Response:
    return web.get(f"{address}/gradio_api/call/{name}/{event_id}", headers=headers, timeout=30)


def test_to_others_gradio_s_events_do_not_exist(two: Two, session_id: str):
    event_id = call_event(two.address, "session_status", [session_id], two.one).json()["event_id"]
    assert events(two.address, "session_status", event_id, two.other).status_code == 404
    cancel = {"event_id": event_id, "session_hash": event_id, "fn_index": 0}
    assert web.post(f"{two.address}/gradio_api/cancel", json=cancel, headers=two.other).status_code == 404
    answer = events(two.address, "session_status", event_id, two.one)
    assert answer.status_code == 200
    assert '"status": "ready"' in answer.text or '"status":"ready"' in answer.text
    # In the other's name it is the other's session.
    event_id = call_event(two.address, "session_status", [session_id], two.other).json()["event_id"]
    assert "session_not_found" in events(two.address, "session_status", event_id, two.other).text


def test_to_others_gradio_s_queue_is_closed(two: Two):
    join = {"data": [], "fn_index": 10, "session_hash": f"hash-{os.urandom(8).hex()}", "trigger_id": None}
    joined = web.post(f"{two.address}/gradio_api/queue/join", json=join, headers=two.one)
    assert joined.status_code == 200, joined.text
    query = f"session_hash={join['session_hash']}"
    data = f"{two.address}/gradio_api/queue/data?{query}"
    assert web.get(data, headers=two.other).status_code == 404
    assert web.post(f"{two.address}/gradio_api/queue/join", json=join, headers=two.other).status_code == 404
    beat = f"{two.address}/gradio_api/heartbeat/{join['session_hash']}"
    assert web.get(beat, headers=two.other).status_code == 404
    with web.stream("GET", data, headers=two.one, timeout=30) as mine:
        assert mine.status_code == 200


def test_to_others_gradio_s_files_do_not_exist(two: Two, session_id: str, roots: Path):
    upload = f"{two.address}/gradio_api/upload"
    files = {"files": ("mine.mp4", (roots / "square.mp4").read_bytes() + os.urandom(16))}
    path = web.post(upload, files=files, headers=two.one).json()[0]
    url = f"{two.address}/gradio_api/file={path}"
    assert web.get(url, headers=two.other).status_code == 404
    assert web.get(url, headers=two.one).status_code == 200
    video = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event_id = call_event(two.address, "start_session", [video, *[None] * 7], two.other).json()["event_id"]
    assert "video_not_found" in events(two.address, "start_session", event_id, two.other).text

    event_id = call_event(two.address, "export", [session_id, "coco_rle_json", None], two.one).json()["event_id"]
    answer = events(two.address, "export", event_id, two.one).text
    exported = json.loads(answer.partition("data: ")[2].splitlines()[0])[0]
    url = f"{two.address}/gradio_api/file={exported['path']}"
    assert web.get(url, headers=two.other).status_code == 404
    assert "annotations" in web.get(url, headers=two.one).json()


def test_two_who_upload_the_same_file_to_gradio_both_have_it(two: Two, roots: Path):
    upload = f"{two.address}/gradio_api/upload"
    files = {"files": ("same.mp4", (roots / "square.mp4").read_bytes())}
    paths = [web.post(upload, files=files, headers=who).json()[0] for who in (two.one, two.other)]
    assert paths[0] == paths[1]
    for who in (two.one, two.other):
        assert web.get(f"{two.address}/gradio_api/file={paths[0]}", headers=who).status_code == 200


@pytest.mark.parametrize(
    "route",
    [
        "gradio_api/file=http://127.0.0.1:1/x.mp4",
        "gradio_api/file=https%3A//example.org/x",
        "gradio_api/file=/etc/passwd",
        "gradio_api/proxy=http://127.0.0.1:1/",
        "gradio_api/dev/reload",
        "gradio_api/vibe-code",
        "gradio_api/runs",
        "gradio_api/token",
        "gradio_api/deep_link?session_hash=x",
        "monitoring",
        "monitoring/summary",
    ],
)
def test_what_the_page_does_not_need_of_gradio_is_not_served(two: Two, route: str):
    assert web.get(f"{two.address}/{route}", headers=two.one).status_code == 404


def test_gradio_fetches_no_address_that_a_file_names(two: Two):
    video = {"path": "http://127.0.0.1:9/a.mp4", "meta": {"_type": "gradio.FileData"}}
    event_id = call_event(two.address, "start_session", [video, *[None] * 7], two.one).json()["event_id"]
    assert "use video_url" in events(two.address, "start_session", event_id, two.one).text


# --- page logins ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/video/sessions", "/config", "/gradio_api/info", "/metrics", "/docs"])
def test_without_a_login_nothing_is_served(logins: str, path: str):
    for headers in ({}, {"X-API-Key": "hunter2"}, {"Cookie": "sam3_login=x"}):
        assert web.get(logins + path, headers=headers).status_code == 401
    assert web.get(logins + path, auth=("ann", "hunter2")).status_code == 401
    assert web.get(logins + path, auth=BOB).status_code == 200
    page = web.get(f"{logins}/", headers=HTML)
    assert page.status_code == 401
    assert "Password" in page.text


def test_a_login_is_the_same_through_every_door(logins: str):
    from gradio_client import Client

    client = Client(logins, auth=ANN, verbose=False, download_files=False)
    try:
        session_id = client.predict(video_path="square.mp4", api_name="/start_session")["session_id"]
    finally:
        client.close()
    url = f"{logins}/api/v1/video/session/{session_id}"
    assert web.get(f"{url}/status", auth=ANN).status_code == 200
    assert web.get(f"{url}/status", headers=logged_in(logins, *ANN)).status_code == 200
    assert web.get(f"{url}/status", auth=BOB).status_code == 404
    socket_url = f"ws{url.removeprefix('http').replace('/session/', '/ws/follow/')}"
    with connect(socket_url, additional_headers=logged_in(logins, *ANN)) as socket:
        socket.send("{}")
        assert json.loads(socket.recv())["code"] == "no_run"
    with connect(socket_url) as socket:
        assert json.loads(socket.recv())["code"] == "unauthenticated"
        with pytest.raises(Exception, match="4401"):
            socket.recv()


def test_logging_out_ends_the_cookie(logins: str):
    with web.Client(base_url=logins) as browser:
        assert browser.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 401
        assert browser.post("/login", data={"username": "ann", "password": "pass:word"}).json() == {"success": True}
        assert browser.get("/", headers=HTML).status_code == 200
        browser.get("/logout")
        assert browser.get("/", headers=HTML).status_code == 401


# --- visitors ------------------------------------------------------------------------------------


def test_a_program_holds_the_session_s_id_as_its_ticket(visitors: str):
    session_id = started(visitors, {})
    url = f"{visitors}/api/v1/video/session/{session_id}"
    assert len(session_id) >= 22
    assert web.get(f"{url}/status").status_code == 200
    # Whoever it gives the id to, may use it too.
    assert web.get(f"{url}/status", headers=visited(visitors)).status_code == 200
    assert web.get(f"{visitors}/api/v1/video/sessions").json()["total_sessions"] == 0
    assert web.delete(url).status_code == 200


def test_a_program_may_not_choose_its_ticket(visitors: str):
    body = {"video_path": "square.mp4", "session_id": "demo"}
    reply = web.post(f"{visitors}/api/v1/video/session/start", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "session_id_not_allowed")
    browser = visited(visitors)
    assert started(visitors, browser, session_id="demo") == "demo"
    assert web.get(f"{visitors}/api/v1/video/session/demo/status").status_code == 404


def test_a_visitor_s_cookie_comes_with_the_page_once_and_can_t_be_made_up(visitors: str):
    with web.Client(base_url=visitors) as browser:
        given = browser.get("/", headers=HTML).headers["set-cookie"]
        assert "HttpOnly" in given
        assert "SameSite=Lax" in given
        assert "set-cookie" not in browser.get("/", headers=HTML).headers
        name, value = next(iter(browser.cookies.items()))
    session_id = started(visitors, {"Cookie": f"{name}={value}"})
    url = f"{visitors}/api/v1/video/session/{session_id}/status"
    assert web.get(url, headers={"Cookie": f"{name}={value}"}).status_code == 200
    owner, _, mac = value.rpartition(".")
    for wrong in (owner, f"{owner}.", f"{owner}.{mac[:-1]}x", f"{owner}x.{mac}", f"x{value}", "é.ü"):
        assert web.get(url, headers={"Cookie": f"{name}={wrong}".encode()}).status_code == 404


def test_over_https_in_a_frame_the_cookie_is_sent_there_too(tmp_path: Path, roots: Path):
    with running_server(
        tmp_path, VIDEO_ROOTS=str(roots), TENANCY="per-visitor", FRAME_ANCESTORS="https://example.org"
    ) as address:
        reply = web.get(f"{address}/", headers=HTML | {"x-forwarded-proto": "https"})
        assert "SameSite=None; Partitioned; Secure" in reply.headers["set-cookie"]
        assert "frame-ancestors 'self' https://example.org" in reply.headers["content-security-policy"]
        assert "x-frame-options" not in reply.headers


# --- the secret ----------------------------------------------------------------------------------


def test_a_browser_keeps_what_is_its_own_over_a_restart(tmp_path: Path, roots: Path):
    settings = {"VIDEO_ROOTS": str(roots), "PAGE_LOGINS": "ann:secret"}
    with running_server(tmp_path / "data", **settings) as address:
        cookie = logged_in(address, "ann", "secret")
    key = tmp_path / "data" / "signing.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "secret" not in cookie["Cookie"]
    with running_server(tmp_path / "data", **settings) as address:
        assert web.get(f"{address}/api/v1/video/sessions", headers=cookie).status_code == 200
    # A password that was changed ends the logins made with it.
    with running_server(tmp_path / "data", **settings | {"PAGE_LOGINS": "ann:other"}) as address:
        assert web.get(f"{address}/api/v1/video/sessions", headers=cookie).status_code == 401


def test_visitors_are_told_apart_over_a_restart(tmp_path: Path, roots: Path):
    settings = {"VIDEO_ROOTS": str(roots), "TENANCY": "per-visitor"}
    with running_server(tmp_path, **settings) as address:
        cookie = visited(address)
    with running_server(tmp_path, **settings) as address:
        session_id = started(address, cookie)
        url = f"{address}/api/v1/video/session/{session_id}/status"
        assert web.get(url, headers=cookie).status_code == 200
        assert web.get(url, headers=visited(address)).status_code == 404


def test_names_of_owners():
    ticket, visitor = ticket_owner("abc"), visitor_owner("abc", "x-y")
    assert is_ticket(ticket)
    assert not is_ticket(visitor)
    assert may_open(visitor, ticket)
    assert not may_open(ticket, visitor)
    assert not may_open("key-1", "key-2")
    assert crowd_of(visitor) == crowd_of(visitor_owner("abc", "z")) != crowd_of(visitor_owner("abcd", "z"))
    assert crowd_of(ticket) is None
