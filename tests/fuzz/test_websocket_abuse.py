"""Hostile and broken WebSockets: each ends with the contract's code or a clean close, and nobody else notices."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import strategies as st
from websockets.sync.client import connect

from backend.masks import encode
from tests.clips import write_clip
from tests.fuzz.counting import feed
from tests.fuzz.sockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Process, RawSocket, frame
from tests.report import record
from tests.server import running_server

SILENCE = 3.0
"""Seconds after which this server closes a socket that asks for nothing."""
STEP = 0.01
CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
GO = b'{"direction": "forward"}'
HEAVY = (640, 480)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roots")
    write_clip(folder / "short.mp4")
    write_clip(folder / "long.mp4", frames=400)
    write_clip(folder / "heavy.mp4", 80, *HEAVY)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    with running_server(
        tmp_path_factory.mktemp("server"),
        VIDEO_ROOTS=str(roots),
        MAX_CONCURRENT_SESSIONS="50",
        SOCKET_TIMEOUT_SECONDS=str(SILENCE),
        FAKE_STEP_SECONDS=str(STEP),
    ) as address:
        with httpx.Client(base_url=address, timeout=60) as client:
            # What it opens once, its database above all, is open before a test counts its files.
            use(address, client)
        yield address


@pytest.fixture
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def start(http: httpx.Client, clip: str) -> str:
    reply = http.post("/api/v1/video/session/start", json={"video_path": clip})
    session_id: str = reply.raise_for_status().json()["session_id"]
    return session_id


def click(http: httpx.Client, session_id: str, prompt: dict[str, Any] | None = None) -> None:
    body = {"frame_index": 0, "prompts": [prompt or CLICK]}
    http.post(f"/api/v1/video/session/{session_id}/prompt", json=body).raise_for_status()


def status(http: httpx.Client, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/api/v1/video/session/{session_id}/status").raise_for_status().json()
    return found


@pytest.fixture
def session(http: httpx.Client) -> Iterator[Callable[[str], str]]:
    """Makes sessions with one object, and closes them."""
    made: list[str] = []

    def make(clip: str = "short.mp4") -> str:
        made.append(start(http, clip))
        click(http, made[-1])
        return made[-1]

    yield make
    for session_id in made:
        http.delete(f"/api/v1/video/session/{session_id}")


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def propagate(session_id: str) -> str:
    return f"/api/v1/video/ws/propagate/{session_id}"


def watch(server: str, session_id: str) -> list[dict[str, Any]]:
    """A decent client's messages from a propagation."""
    with connect(server.replace("http", "ws") + propagate(session_id), max_size=None) as ws:
        ws.send(GO.decode())
        return [json.loads(message) for message in ws]


def use(server: str, http: httpx.Client) -> None:
    """A session from its start to its end, as it should be."""
    session_id = start(http, "short.mp4")
    click(http, session_id)
    assert watch(server, session_id)[-1]["type"] == "complete"
    http.delete(f"/api/v1/video/session/{session_id}").raise_for_status()


@pytest.fixture(autouse=True)
def _healthy_afterwards(server: str, http: httpx.Client) -> Iterator[None]:
    """Whatever a test does: the server answers as before, and has not one file or socket more open."""
    process = Process.of(server)
    http.get("/health")
    before = process.files
    yield
    began = time.monotonic()
    assert http.get("/health").json()["status"] == "healthy"
    assert time.monotonic() - began < 5
    until(lambda: process.files <= before + 1)
    use(server, http)


@pytest.mark.slow
def test_a_hundred_sockets_that_never_speak_are_closed_and_hold_up_nobody(server: str, session):
    session_id = session()
    began = time.monotonic()
    silent = [RawSocket(server, propagate(session_id)) for _ in range(100)]
    assert {s.status for s in silent} == {101}
    assert watch(server, session_id)[-1]["type"] == "complete"
    ends = [s.end() for s in silent]
    assert time.monotonic() - began >= SILENCE
    for s in silent:
        s.close()
    assert {code for code, _ in ends} == {4422}
    assert all(json.loads(messages[-1])["code"] == "no_message" for _, messages in ends)


@pytest.mark.slow
def test_a_client_that_reads_one_byte_a_second_costs_a_cursor(server: str, http: httpx.Client, session):
    session_id = session("heavy.mp4")
    noise = np.random.default_rng(1).random((HEAVY[1], HEAVY[0])) < 0.5
    click(http, session_id, {"type": "mask", "mask": encode(noise).counts})
    process = Process.of(server)
    slow = RawSocket(server, propagate(session_id), receive_buffer=4096)
    slow.send(frame(TEXT, GO))
    # The run goes on at its own pace, and others see all of it.
    with connect(server.replace("http", "ws") + f"/api/v1/video/ws/follow/{session_id}", max_size=None) as ws:
        until(lambda: status(http, session_id)["run"] is not None)
        ws.send("{}")
        seen, size = [], 0
        for message in ws:
            size += len(message)
            seen.append(json.loads(message))
            if len(seen) % 20 == 0:
                slow.sock.recv(1)
    assert [m["seq"] for m in seen[:-1]] == list(range(80))
    assert seen[-1]["type"] == "complete"
    assert size > 10_000_000
    # All results are stored now, so what more such clients cost is the sockets' buffers alone.
    before = process.resident_mb
    crawlers = [RawSocket(server, f"/api/v1/video/ws/follow/{session_id}", receive_buffer=4096) for _ in range(8)]
    for crawler in crawlers:
        crawler.send(frame(TEXT, b"{}"))
    for _ in range(4):
        for crawler in crawlers:
            assert crawler.sock.recv(1)
        time.sleep(0.5)
    grown = process.resident_mb - before
    print(f"8 crawling clients of {size / 1e6:.0f} MB each: the server grew by {grown:.1f} MB")
    assert grown < 8 * size / 1e6 / 3
    for crawler in [slow, *crawlers]:
        crawler.reset()


@pytest.mark.slow
def test_a_client_that_vanishes_in_a_run_cancels_nothing(server: str, http: httpx.Client, session):
    session_id = session("long.mp4")
    gone = RawSocket(server, propagate(session_id))
    gone.send(frame(TEXT, GO))
    assert gone.receive()[0] == TEXT
    gone.reset()
    until(lambda: status(http, session_id)["run"]["state"] == "complete")
    assert status(http, session_id)["run"]["done"] == 400


def first(server: str, session_id: str, *sent: bytes) -> tuple[int | None, list[bytes]]:
    with RawSocket(server, propagate(session_id)) as raw:
        try:
            for data in sent:
                raw.send(data)
        except ConnectionError:
            # Refused while it was still talking.
            return None, []
        return raw.end()


def test_a_message_beyond_the_limit_is_refused_before_it_has_come(server: str, session):
    """The head alone is enough: nobody waits for 64 MB."""
    code, _ = first(server, session(), frame(TEXT, b"x" * 1000, length=64_000_001))
    assert code == 1009


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [b"[" * 10_000_000, b'{"a":' * 2_000_000, b'{"obj_ids": [' + b"1," * 5_000_000 + b"1]}"],
    ids=["brackets", "objects", "ids"],
)
def test_ten_megabytes_of_json_are_refused_at_once(server: str, http: httpx.Client, session, text: bytes):
    code, messages = first(server, session(), frame(TEXT, text))
    assert code == 4422
    assert json.loads(messages[-1])["code"] == "malformed_request"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([frame(TEXT, b"\xff\xfe\xfd")], 1007),
        ([frame(TEXT, b'{"a": "\xc3', final=False), frame(CONTINUATION, b"\x28")], 1007),
        ([frame(BINARY, b"\xff\xfe\xfd")], 4422),
        ([frame(TEXT, b"not json")], 4422),
        ([frame(TEXT, b"[]")], 4422),
        ([frame(TEXT, b"")], 4422),
        ([frame(TEXT, b'{"direction": "sideways"}')], 4422),
        ([frame(TEXT, b'{"start_frame_index": 1' + b"0" * 5000 + b"}")], 4422),
        ([frame(TEXT, b'{"obj_ids": [77]}')], 4404),
        ([frame(CONTINUATION, b"x")], 1002),
        ([frame(3, b"x")], 1002),
        ([frame(TEXT | 64, b"x")], 1002),
        ([frame(PING, b"x" * 126)], 1002),
        ([frame(PING, b"x", final=False)], 1002),
        ([b"\x81\x02{}"], 1002),
        ([frame(CLOSE, struct.pack(">H", 1000))], 1000),
        ([frame(CLOSE, struct.pack(">H", 5))], 1002),
        ([frame(CLOSE, b"\x03")], 1002),
        ([frame(CLOSE, b"")], 1005),
    ],
)
def test_what_breaks_the_protocol_or_the_contract_gets_its_code(server: str, session, sent: list[bytes], code: int):
    assert first(server, session(), *sent)[0] == code


def test_a_request_in_a_thousand_fragments_is_a_request(server: str, session):
    parts = [frame(TEXT, b"{", final=False), *(frame(CONTINUATION, b" ", final=False) for _ in range(1000))]
    code, messages = first(server, session(), *parts, frame(CONTINUATION, GO[1:]))
    assert code == 1000
    assert json.loads(messages[-1])["type"] == "complete"


@pytest.mark.slow
def test_a_flood_of_control_frames_changes_nothing(server: str, http: httpx.Client, session):
    process = Process.of(server)
    before = process.resident_mb
    session_id = session("long.mp4")
    with RawSocket(server, propagate(session_id)) as raw:
        raw.send(frame(TEXT, GO))
        for _ in range(100):
            raw.send((frame(PING, b"x" * 125) + frame(PONG, b"y")) * 100)
        assert http.get("/health").status_code == 200
        pongs, frames, last = 0, 0, {}
        while last.get("type") != "complete":
            opcode, payload = raw.receive()
            pongs += opcode == PONG
            if opcode == TEXT:
                last = json.loads(payload)
                frames += last["type"] == "frame"
    assert frames == 400
    assert pongs > 0
    assert process.resident_mb - before < 50


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "file://"])
def test_a_page_of_another_origin_gets_nothing(server: str, session, origin: str):
    with RawSocket(server, propagate(session()), Origin=origin) as raw:
        code, messages = raw.end()
    assert code == 4401
    assert [json.loads(m)["code"] for m in messages] == ["foreign_origin"]


def test_the_own_page_s_origin_is_fine(server: str, session):
    with RawSocket(server, propagate(session()), Origin=server) as raw:
        raw.send(frame(TEXT, GO))
        code, messages = raw.end()
    assert code == 1000
    assert json.loads(messages[-1])["type"] == "complete"


@pytest.mark.slow
def test_a_flood_of_cancels_is_one_cancel(server: str, http: httpx.Client, session):
    session_id = session("long.mp4")
    with RawSocket(server, propagate(session_id)) as raw:
        raw.send(frame(TEXT, GO))
        assert raw.receive()[0] == TEXT
        try:
            for _ in range(50):
                raw.send(frame(TEXT, b'{"type": "cancel"}') * 100)
        except ConnectionError:
            # The run had ended, and the socket with it.
            pass
        ended = status(http, session_id)["run"]
    until(lambda: status(http, session_id)["run"]["state"] == "cancelled")
    assert 0 < status(http, session_id)["run"]["done"] < 400
    assert ended["done"] < 400


@pytest.mark.slow
def test_thousands_of_messages_in_a_run_are_passed_over(server: str, session):
    session_id = session("long.mp4")
    noise = [b"{}", b"[" * 2000, b'{"type": "noise"}', b"\xf0\x9f\x8e\xac", b"x" * 1000, b'{"type": ["cancel"]}']
    with RawSocket(server, propagate(session_id)) as raw:
        raw.send(frame(TEXT, GO))
        for _ in range(1000):
            raw.send(b"".join(frame(TEXT, text) for text in noise))
        code, messages = raw.end()
    frames = [json.loads(m) for m in messages]
    assert [m["seq"] for m in frames if m["type"] == "frame"] == list(range(400))
    assert frames[-1]["type"] == "complete"
    assert code == 1000


# --- drawn talk --------------------------------------------------------------------------------

CODES = {None, 1000, 1002, 1005, 1007, 1009, 4404, 4409, 4422, 4429, 4501}
_json = st.sampled_from(
    ["{}", '{"direction": "forward"}', '{"type": "cancel"}', '{"from_seq": 0}', '{"from_seq": -1}', "null", "[]", '"'],
) | st.dictionaries(
    st.sampled_from(["direction", "start_frame_index", "max_frames", "end_frame_index", "obj_ids", "from_seq", "type"]),
    st.none()
    | st.booleans()
    | st.integers(-2, 14)
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.integers(-1, 3)),
    max_size=3,
).map(json.dumps)
_payload = _json.map(str.encode) | st.binary(max_size=140)
_frames = st.builds(
    frame,
    st.sampled_from([TEXT] * 6 + [BINARY, BINARY, CONTINUATION, PING, PONG, CLOSE, 3, 15]),
    _payload,
    st.sampled_from([True] * 9 + [False]),
)
talk = st.lists(_frames, min_size=1, max_size=4) | st.binary(min_size=2, max_size=40).map(lambda data: [data])
doors = st.sampled_from(["propagate", "propagate", "follow"])


def chat(server: str, http: httpx.Client, count: int) -> int:
    session_id = start(http, "short.mp4")
    click(http, session_id)
    watch(server, session_id)

    def one(door: str, sent: list[bytes]) -> None:
        with RawSocket(server, f"/api/v1/video/ws/{door}/{session_id}") as raw:
            assert raw.status == 101
            try:
                # A goodbye at the end, so that nobody waits for one that has said too little.
                raw.send(b"".join(sent) + frame(CLOSE, struct.pack(">H", 1000)))
                code, messages = raw.end()
            except ConnectionError:
                return
        # A goodbye is answered with its own code.
        assert code in CODES or any(struct.pack(">H", code) in piece for piece in sent)
        for message in messages:
            assert json.loads(message)["type"] in ("frame", "complete", "cancelled", "error")

    tried = feed(count, one, doors, talk)
    assert status(http, session_id)["total_frames"] == 12
    http.post(f"/api/v1/video/session/{session_id}/cancel").raise_for_status()
    click(http, session_id)
    http.delete(f"/api/v1/video/session/{session_id}")
    return tried


@pytest.mark.slow
def test_any_talk_ends_with_a_known_code(server: str, http: httpx.Client):
    tried = chat(server, http, 400)
    print(f"{tried} conversations")
    record("websocket_conversations", inputs=tried)
    assert tried >= 400


@pytest.mark.long
def test_a_great_deal_of_talk_ends_with_known_codes(server: str, http: httpx.Client):
    tried = chat(server, http, 10_000)
    print(f"{tried} conversations")
    record("websocket_conversations", inputs=tried)
    assert tried >= 10_000


@pytest.mark.parametrize("door", ["propagate", "follow"])
def test_an_unknown_session_is_told_by_code(server: str, door: str):
    with RawSocket(server, f"/api/v1/video/ws/{door}/nope") as raw:
        code, messages = raw.end()
    assert code == 4404
    assert [json.loads(m)["code"] for m in messages] == ["session_not_found"]
