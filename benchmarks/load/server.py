"""The server under load: a process of its own, its workers, and what they take."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from backend.settings import ROOT

START_SECONDS = 120.0


class Server:
    """`python app.py` with the stand-in engine; a context manager that ends it.

    Args:
        workers: how many devices the engine pretends to have.
        step_seconds: what a frame takes it.
        places: how many sessions may hold engine memory.
        environment: further settings.
    """

    def __init__(
        self, workers: int, step_seconds: float, places: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sam3-load-")
        self.folder = Path(self._folder.name)
        self.log = self.folder / "server.log"
        self.address = ""
        self._env = os.environ | {
            "ENGINE": "fake",
            "FAKE_WORKERS": str(workers),
            "FAKE_STEP_SECONDS": str(step_seconds),
            "MAX_CONCURRENT_SESSIONS": str(places),
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": "0",
            "DATA_DIR": str(self.folder / "data"),
            "VIDEO_ROOTS": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Server:
        try:
            with self.log.open("wb") as out:
                self._process = subprocess.Popen(
                    [sys.executable, "app.py"], cwd=ROOT, env=self._env, stdout=out, stderr=out
                )
            self._wait(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def worker_pids(self) -> list[int]:
        """The processes with an engine, ascending."""
        return sorted(pid for pid in children_of(self.pid) if b"spawn_main" in _read(f"/proc/{pid}/cmdline"))

    def stop_workers(self) -> None:
        """Stop the workers where they are, until `continue_workers`."""
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGSTOP)

    def continue_workers(self) -> None:
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGCONT)

    def metrics(self) -> dict[str, float]:
        """What /metrics says now, by the line's name and labels."""
        text = httpx.get(f"{self.address}/metrics", timeout=30).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            said = re.search(r"SAM3 UI is at (http://\S+)", self.log.read_text("utf-8", "replace"))
            if said:
                self.address = said[1].replace("localhost", "127.0.0.1")
                models = httpx.get(f"{self.address}/models/info", timeout=10).json()["models"]
                if len(models) == self._workers and all(model["loaded"] for model in models):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"The server did not start:\n{self.log.read_text('utf-8', 'replace')[-4000:]}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)
        self._folder.cleanup()


def children_of(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # The name, in parentheses, may hold anything; the parent is the second field behind it.
            fields = _read(str(entry / "stat")).rpartition(b")")[2].split()
            if len(fields) > 1 and int(fields[1]) == pid:
                out.append(int(entry.name))
    return out


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
