"""Faults of the machine and of clients, each put to a real server: running sessions go on, and nothing is lost."""

from __future__ import annotations

import json
import random
import resource
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.clips import write_clip
from tests.crash.doors import Json, Refused, Rest, Socket
from tests.crash.driver import FRAMES
from tests.crash.faults import COMMIT_SECONDS, JUMP_FILE
from tests.crash.ledger import Ledger, SessionBook
from tests.crash.model import EditModel, RunModel
from tests.crash.server import Launcher, Server, poll

POINT = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1], "replace": False}


class Desk:
    """A server, a session on it, and the ledger of what was acknowledged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ledger = Ledger(server.data)
        self.rest = Rest(server.address)

    def start(self, session_id: str = "mine", **video: str) -> SessionBook:
        info = self.rest.start({"session_id": session_id, **(video or {"video_path": "square.mp4"})})["video_info"]
        book = self.ledger.book(session_id)
        book.opened(info)
        return book

    def prompt(self, book: SessionBook, frame_index: int = 0, obj_id: int | None = None) -> None:
        """Prompt, and enter it only if it was acknowledged."""
        detail = {"frame_index": frame_index, "prompts": [POINT], "obj_id": obj_id}
        pending = book.begin("prompt", **detail)
        try:
            book.prompted(pending, self.rest.prompt(book.id, detail))
        except Refused:
            book.refused(pending)
            raise

    def propagate(self, book: SessionBook, door: Rest | None = None) -> Json:
        """Run a whole propagation forward."""
        run = RunModel(book.model.plan("forward", 0, None, None))
        seen = 0

        def on_frame(run_id: str, place: int | None, frame: Json) -> None:
            nonlocal seen
            book.frame(run, run_id, seen, frame)
            seen += 1

        book.model.append(EditModel("propagate", run=run))
        tail = (door or self.rest).propagate(book.id, {"direction": "forward", "start_frame_index": 0}, on_frame)
        run.run_id, run.done, run.ended = tail["run_id"], tail["total_frames"], tail["status"]
        return tail

    def status(self, book: SessionBook) -> Json:
        return self.rest.look(book.id, "status")

    def settled(self, book: SessionBook) -> Json:
        """The status once no run goes on."""
        return poll("the end of the run", lambda: (s := self.status(book))["status"] != "processing" and s)

    def check(self, book: SessionBook) -> None:
        """Compare a session with what was acknowledged."""
        log, results, status = (self.rest.look(book.id, what) for what in ("log", "results", "status"))
        book.reconcile(log["edits"], results, status)

    def kill_and_verify(self) -> None:
        """After `kill -9` and a new start everything is there."""
        self.server.kill()
        self.server.wait_for_children()
        self.server.start()
        self.ledger.verify(self.server.address)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    folder = tmp_path / "roots"
    folder.mkdir()
    write_clip(folder / "square.mp4", FRAMES)
    write_clip(folder / "wide.mp4", 240, 640, 480)
    return folder


@pytest.fixture
def serve(tmp_path: Path, roots: Path, launcher: Launcher) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def begin(fault: str = "", data: Path | None = None, **env: str) -> Desk:
        env = {"VIDEO_ROOTS": str(roots), "FAKE_STEP_SECONDS": "0.02", **env}
        server = Server(launcher, data or tmp_path / "data", tmp_path / "server.log", fault, **env)
        server.data.mkdir(exist_ok=True)
        server.start()
        desks.append(Desk(server))
        return desks[-1]

    yield begin
    for desk in desks:
        desk.rest.close_connection()
        desk.server.stop()


# --- disks ---------------------------------------------------------------------------------------


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("mounting is not allowed here; the test with a limit of file sizes runs everywhere")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the room there is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def refused(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.sentence.endswith(".")
    return caught.value


def test_a_full_disk_is_said_and_nothing_is_lost(serve, tmpfs, roots):
    desk = serve(data=tmpfs / "data")
    book = desk.start()
    desk.prompt(book)
    desk.propagate(book)
    ballast = fill(tmpfs)

    def until_full() -> None:
        # What is left of the log's file takes a few more.
        for _ in range(300):
            desk.prompt(book, 1)

    assert refused(until_full).status == 507
    desk.check(book)
    data = (roots / "square.mp4").read_bytes()
    for attempt in (
        lambda: desk.prompt(book, 2),
        lambda: desk.rest.step("mine", "undo"),
        lambda: desk.rest.step("mine", "reset"),
        lambda: desk.rest.rename("mine", 1, {"name": "x" * 90}),
        lambda: desk.rest.upload(data, "clip.mp4"),
        lambda: desk.rest.start({"session_id": "other", "video_path": "square.mp4"}),
    ):
        refusal = refused(attempt)
        assert (refusal.status, refusal.code) == (507, "disk_full")
    # What only looks goes on, and so does the server.
    desk.check(book)
    assert [s["session_id"] for s in desk.rest.sessions()] == ["mine"]
    assert httpx.get(f"{desk.server.address}/health").status_code == 200
    assert httpx.get(f"{desk.server.address}/api/v1/video/session/mine/frame/3?overlay=1").status_code == 200
    # It may even be started again.
    desk.server.kill()
    desk.server.wait_for_children()
    desk.server.start()
    ballast.unlink()
    poll("the sessions", lambda: httpx.get(f"{desk.server.address}/api/v1/video/sessions").status_code == 200)
    desk.ledger.verify(desk.server.address)
    desk.prompt(book, 2)
    desk.propagate(book)
    desk.kill_and_verify()


def test_a_disk_that_fills_up_during_a_propagation_ends_it_with_the_frames_it_has(serve, tmpfs):
    desk = serve(data=tmpfs / "data")
    # Large masks, so that a run writes more than is left.
    book = desk.start(video_path="wide.mp4")
    for frame in range(3):
        desk.prompt(book, frame)
    seen: list[Json] = []
    ballast: list[Path] = []

    def on_frame(run_id: str, place: int | None, frame: Json) -> None:
        seen.append(frame)
        if len(seen) == 5:
            ballast.append(fill(tmpfs))

    refusal = refused(lambda: Socket(desk.server.address).propagate("mine", {"direction": "forward"}, on_frame))
    assert refusal.code == "disk_full"
    status = desk.status(book)
    assert status["status"] == "error"
    assert (status["run"]["state"], status["run"]["done"]) == ("error", len(seen))
    stored = desk.rest.look("mine", "results")["results"]
    assert all(stored[str(f["frame_index"])]["objects"] == f["objects"] for f in seen)
    ballast[0].unlink()
    rest: list[Json] = []
    tail = desk.rest.propagate("mine", {"resume": True}, lambda run_id, place, frame: rest.append(frame))
    assert tail["status"] == "complete"
    assert [f["frame_index"] for f in [*seen, *rest]] == list(range(240))


def test_a_limit_of_file_sizes_is_as_good_as_a_full_disk(serve):
    """Runs where nothing can be mounted: the database can't grow beyond 800 kB."""
    desk = serve("small_files")
    book = desk.start()
    desk.prompt(book)
    desk.propagate(book)

    def until_full() -> None:
        for _ in range(500):
            desk.prompt(book, 1)

    assert refused(until_full).status in (503, 507)
    # What only looks goes on.
    desk.check(book)
    assert httpx.get(f"{desk.server.address}/health").status_code == 200
    desk.server.fault = ""
    desk.kill_and_verify()
    desk.prompt(book, 2)


def test_a_folder_that_is_a_file(serve, tmp_path, roots):
    desk = serve()
    book = desk.start()
    desk.prompt(book)
    data, away = desk.server.data, tmp_path / "away"
    data.rename(away)
    data.write_text("no folder")
    clip = (roots / "square.mp4").read_bytes()
    refusal = refused(lambda: desk.rest.upload(clip, "clip.mp4"))
    assert (refusal.status, refusal.code) == (507, "disk_full")
    # The session's own files are open: work on it goes on.
    desk.prompt(book, 1)
    desk.propagate(book)
    desk.check(book)
    # A server that starts now says what is wrong, until it is mended.
    desk.server.kill()
    desk.server.wait_for_children()
    desk.server.start()
    for attempt in (
        desk.rest.sessions,
        lambda: desk.status(book),
        lambda: desk.rest.upload(clip, "clip.mp4"),
        desk.start,
    ):
        assert refused(attempt).status in (503, 507)
    data.unlink()
    away.rename(data)
    poll("the sessions", lambda: httpx.get(f"{desk.server.address}/api/v1/video/sessions").status_code == 200)
    desk.ledger.verify(desk.server.address)
    desk.prompt(book, 2)
    desk.kill_and_verify()


def test_a_read_only_disk(serve, tmpfs):
    desk = serve(data=tmpfs / "data")
    book = desk.start()
    desk.prompt(book)
    desk.propagate(book)
    desk.server.kill()
    desk.server.wait_for_children()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    desk.server.start()
    desk.server.wait_ready()
    for attempt in (desk.rest.sessions, lambda: desk.status(book), desk.start):
        assert refused(attempt).status in (503, 507)
    assert httpx.get(f"{desk.server.address}/health").status_code == 200
    subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
    poll("the sessions", lambda: httpx.get(f"{desk.server.address}/api/v1/video/sessions").status_code == 200)
    desk.ledger.verify(desk.server.address)
    desk.prompt(book, 1)
    desk.kill_and_verify()


def test_on_a_slow_disk_the_server_answers_and_reads_and_cancels_work(serve):
    desk = serve("slow_disk")
    book, other = desk.start(), desk.start("other")
    desk.server.wait_ready()
    desk.prompt(book)
    waits: list[float] = []
    reads: list[float] = []
    over = threading.Event()

    def health() -> None:
        with httpx.Client(base_url=desk.server.address) as http:
            while not over.wait(0.02):
                began = time.monotonic()
                assert http.get("/health").status_code == 200
                waits.append(time.monotonic() - began)
                assert http.get("/api/v1/video/session/mine/status").status_code == 200
                reads.append(time.monotonic() - began)

    watcher = threading.Thread(target=health)
    watcher.start()
    try:
        runner = threading.Thread(target=lambda: desk.propagate(book))
        runner.start()
        began = time.monotonic()
        desk.prompt(other)
        # It is on the disk before it is answered, however slow that is.
        assert time.monotonic() - began > COMMIT_SECONDS * 0.9
        runner.join(60)
        assert not runner.is_alive()
        cut = desk.rest.start({"session_id": "cut", "video_path": "wide.mp4"})["session_id"]
        desk.rest.prompt(cut, {"frame_index": 0, "prompts": [POINT]})
        got: list[Json] = []
        tails: list[Json] = []
        first = threading.Event()

        def on_frame(run_id: str, place: int | None, frame: Json) -> None:
            got.append(frame)
            first.set()

        runner = threading.Thread(
            target=lambda: tails.append(Socket(desk.server.address).propagate(cut, {"direction": "forward"}, on_frame))
        )
        runner.start()
        assert first.wait(30)
        desk.rest.step(cut, "cancel")
        runner.join(30)
        assert (tails[0]["status"], tails[0]["total_frames"]) == ("cancelled", len(got))
        desk.rest.close(cut)
    finally:
        over.set()
        watcher.join(30)
    assert len(waits) > 20
    # A hundredth is left to a machine that others use too.
    assert sorted(waits)[int(len(waits) * 0.99)] < 0.25
    assert sorted(reads)[len(reads) // 2] < 0.1
    desk.server.fault = ""
    desk.kill_and_verify()


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [365, -365])
def test_a_jump_of_the_clock_expires_nothing(serve, days):
    desk = serve("clock", SESSION_CLEANUP_INTERVAL_SECONDS="0.1", SESSION_TIMEOUT_SECONDS="60")
    book = desk.start()
    desk.prompt(book)
    before = desk.rest.look("mine", "log")["edits"]
    (desk.server.data / JUMP_FILE).write_text(str(days * 86400))
    jumped = datetime.now(UTC) + timedelta(days=days)
    desk.prompt(book, 1)
    later = desk.rest.look("mine", "log")["edits"][-1]
    # It is the server's clock that jumped.
    assert abs(datetime.fromisoformat(later["at"]) - jumped) < timedelta(minutes=5)
    desk.propagate(book)
    sweeps = time.monotonic() + 1.0
    poll("a few sweeps", lambda: time.monotonic() > sweeps)
    desk.check(book)
    status = desk.status(book)
    assert status["status"] == "ready"
    left = datetime.fromisoformat(status["expires_at"]) - jumped
    assert timedelta(days=6) < left < timedelta(days=8)
    log = desk.rest.look("mine", "log")["edits"]
    assert log[: len(before)] == before
    assert [e["seq"] for e in log] == sorted(e["seq"] for e in log)
    assert [s["session_id"] for s in desk.rest.sessions()] == ["mine"]
    desk.kill_and_verify()
    (desk.server.data / JUMP_FILE).unlink()
    sweeps = time.monotonic() + 1.0
    poll("a few sweeps", lambda: time.monotonic() > sweeps)
    desk.ledger.verify(desk.server.address)


# --- clients -------------------------------------------------------------------------------------


def raw(desk: Desk, text: str, receive_buffer: int | None = None) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", desk.server.port))
    sock.sendall(text.encode())
    return sock


def websocket(desk: Desk, path: str, message: str = "", receive_buffer: int | None = None) -> socket.socket:
    """A WebSocket without a library around it, that said one thing, shorter than 126 bytes."""
    head = (
        f"GET /api/v1/video/ws/{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    sock = raw(desk, head, receive_buffer)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert b" 101 " in answer
    if message:
        sock.sendall(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message.encode())
    return sock


def request_of(path: str, body: Json) -> str:
    data = json.dumps(body)
    return (
        f"POST /api/v1/video/session/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n{data}"
    )


@pytest.mark.parametrize("door", ["rest", "websocket"])
def test_a_run_goes_on_when_its_client_is_cut_off(serve, door):
    desk = serve()
    book = desk.start()
    desk.prompt(book)
    run = RunModel(book.model.plan("forward", 0, None, None))
    book.model.append(EditModel("propagate", run=run))
    body = {"direction": "forward", "start_frame_index": 0}
    if door == "rest":
        sock = raw(desk, request_of("mine/propagate", body))
        sock.recv(64)
    else:
        sock = websocket(desk, "propagate/mine", json.dumps(body))
        sock.recv(64)
    # No goodbye: a reset.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    status = desk.settled(book)
    assert (status["run"]["state"], status["run"]["done"]) == ("complete", FRAMES)
    desk.check(book)
    assert "Traceback" not in desk.server.log.read_text()
    desk.kill_and_verify()


def memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def test_a_client_that_reads_a_byte_at_a_time_holds_up_nobody(serve):
    desk = serve(FAKE_STEP_SECONDS="0.005")
    slow = desk.start("slow", video_path="wide.mp4")
    # Masks of many runs: a few megabytes a run.
    rng = random.Random(3)
    points = [[rng.random(), rng.random()] for _ in range(200)]
    desk.rest.prompt(
        "slow", {"frame_index": 0, "prompts": [{"type": "point", "points": points, "point_labels": [1] * 200}]}
    )
    body = {"direction": "forward"}
    sock = raw(desk, request_of("slow/propagate", body), receive_buffer=4096)
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(1.0):
            assert sock.recv(1)

    reader = threading.Thread(target=trickle)
    reader.start()
    try:
        poll("the run", lambda: desk.status(slow)["run"])
        before = memory_mb(desk.server.pid)
        book = desk.start()
        desk.prompt(book)
        began = time.monotonic()
        desk.propagate(book)
        mine = time.monotonic() - began
        status = desk.settled(slow)
        # The run did not wait for its reader.
        assert (status["run"]["state"], status["run"]["done"]) == ("complete", 240)
        assert mine < 20
        size = len(json.dumps(desk.rest.look("slow", "results")))
        assert size > 500_000
        # More readers that don't read: each is a cursor, not a copy.
        idle = [raw(desk, request_of("slow/propagate", {**body, "max_frames": 1})) for _ in range(2)]
        followers = [websocket(desk, "follow/slow", '{"from_seq": 0}', 4096) for _ in range(10)]
        desk.propagate(book)
        assert memory_mb(desk.server.pid) - before < 100
        for one in [*followers, *idle]:
            one.close()
    finally:
        over.set()
        reader.join(10)
        sock.close()
    desk.check(book)


def test_a_hundred_sockets_that_never_speak(serve):
    desk = serve()
    book = desk.start()
    mute = [raw(desk, "") for _ in range(50)]
    half = [
        raw(desk, "POST /api/v1/video/session/mine/prompt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        for _ in range(25)
    ]
    opened = [websocket(desk, "follow/mine") for _ in range(25)]
    try:
        desk.prompt(book)
        assert desk.propagate(book)["status"] == "complete"
        assert desk.propagate(book, Socket(desk.server.address))["status"] == "complete"
        desk.check(book)
    finally:
        for sock in [*mute, *half, *opened]:
            sock.close()
    desk.prompt(book, 1)
    desk.kill_and_verify()
