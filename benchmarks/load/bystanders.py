"""Processes beside the load: one clicks, one measures what the machine does to everybody.

They are processes of their own so that the many followers' work does not count as a click's wait.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import httpx

CLICKS_EACH = 25
"""Clicks until a session is closed for a new one: a log that grows for ever is no leak of the server's."""
PAUSE = 0.01
_spawn = multiprocessing.get_context("spawn")


class Bystander:
    """A child process that collects milliseconds until the block ends."""

    def __init__(self, target: Any, *args: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=target, args=(theirs, *args), daemon=True)
        self._process.start()
        theirs.close()
        self.values: list[float] = []

    def __enter__(self) -> Bystander:
        # It says that it is ready before anything is measured.
        self._pipe.recv()
        self._pipe.send("begin")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._pipe.send("end")
            if self._pipe.poll(60):
                self.values = self._pipe.recv()
        finally:
            self._process.join(10)
            if self._process.is_alive():
                self._process.kill()
                self._process.join(10)
            self._pipe.close()


def clicker(address: str, video_id: str, sessions: int) -> Bystander:
    """Clicks sessions of its own in turn, a click at a time; how long each took."""
    return Bystander(_click, address, video_id, sessions)


def noise() -> Bystander:
    """Does nothing but sleep; the worst of each second by which it was woken too late."""
    return Bystander(_sleep)


@contextmanager
def _session(http: httpx.Client, video_id: str) -> Iterator[str]:
    started = http.post("/session/start", json={"video_id": video_id})
    started.raise_for_status()
    url = f"/session/{started.json()['session_id']}"
    click = {"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}
    http.post(f"{url}/prompt", json={"frame_index": 0, "prompts": [click]}).raise_for_status()
    yield url
    http.delete(url).raise_for_status()


def _click(pipe: Connection, address: str, video_id: str, sessions: int) -> None:
    values: list[float] = []
    number = 0
    with httpx.Client(base_url=f"{address}/api/v1/video", timeout=60) as http:
        pipe.send("ready")
        pipe.recv()
        while not pipe.poll():
            held = [_session(http, video_id) for _ in range(sessions)]
            urls = [session.__enter__() for session in held]
            for _ in range(CLICKS_EACH):
                for url in urls:
                    number += 1
                    point = [0.2 + 0.6 * (number % 7) / 7, 0.2 + 0.6 * (number % 5) / 5]
                    click = {"type": "point", "points": [point], "point_labels": [1], "replace": True}
                    began = time.perf_counter()
                    reply = http.post(f"{url}/prompt", json={"frame_index": 0, "prompts": [click], "obj_id": 1})
                    values.append((time.perf_counter() - began) * 1000)
                    reply.raise_for_status()
                    # Not in step with the engine's: people don't click by its clock either.
                    if pipe.poll(0.011 + 0.003 * (number % 8)):
                        break
                if pipe.poll():
                    break
            for session in held:
                session.__exit__(None, None, None)
    pipe.send(values)


def _sleep(pipe: Connection) -> None:
    values = []
    pipe.send("ready")
    pipe.recv()
    worst, until = 0.0, time.perf_counter() + 1
    while not pipe.poll():
        began = time.perf_counter()
        time.sleep(PAUSE)
        worst = max(worst, time.perf_counter() - began - PAUSE)
        if time.perf_counter() >= until:
            values.append(worst * 1000)
            worst, until = 0.0, time.perf_counter() + 1
    pipe.send(values)
