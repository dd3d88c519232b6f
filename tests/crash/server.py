"""A server process that can be killed and started again on the same data folder and port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.server import ROOT, free_port

START_SECONDS = 90.0
END_SECONDS = 20.0
"""How long the processes that a killed server leaves may take to end by themselves."""


def poll(what: str, check: Callable[[], Any], seconds: float = 30.0, pause: float = 0.02) -> Any:
    """What `check` returns once that is true."""
    until = time.monotonic() + seconds
    waiting = threading.Event()
    while not (found := check()):
        assert time.monotonic() < until, f"{what} did not happen within {seconds:g} s"
        waiting.wait(pause)
    return found


class Launcher:
    """Starts servers: `python app.py`, or quickly, see `tests.crash.warm`."""

    def __init__(self) -> None:
        self._warm: subprocess.Popen[str] | None = None
        self._asking = threading.Lock()

    def cold(self, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=ROOT,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def warm(self, env: dict[str, str], log: Path, fault: str) -> int:
        return int(self._ask({"env": env, "log": str(log), "fault": fault}))

    def reap(self, pid: int) -> None:
        self._ask({"reap": pid})

    def _ask(self, ask: dict[str, Any]) -> str:
        with self._asking:
            if self._warm is None:
                self._warm = subprocess.Popen(
                    [sys.executable, "-m", "tests.crash.warm"],
                    cwd=ROOT,
                    env=os.environ | {"PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                self._line()
            assert self._warm.stdin is not None
            self._warm.stdin.write(json.dumps(ask) + "\n")
            self._warm.stdin.flush()
            return self._line()

    def _line(self) -> str:
        assert self._warm is not None
        assert self._warm.stdout is not None
        line = self._warm.stdout.readline()
        assert line, "the process that starts servers has ended"
        return line.strip()

    def close(self) -> None:
        if self._warm is not None:
            assert self._warm.stdin is not None
            assert self._warm.stdout is not None
            self._warm.stdin.close()
            self._warm.wait(30)
            self._warm.stdout.close()
            self._warm = None


class Server:
    """One life after another on one data folder.

    Args:
        launcher: starts its processes.
        data: DATA_DIR.
        log: where its output goes.
        fault: one of `tests.crash.faults`, or none.
        env: settings.
    """

    def __init__(self, launcher: Launcher, data: Path, log: Path, fault: str = "", **env: str) -> None:
        self.data = data
        self.log = log
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.pid = 0
        self._launcher = launcher
        self.fault = fault
        self._cold: subprocess.Popen[bytes] | None = None
        self._env = {
            "ENGINE": "fake",
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(self.port),
            "DATA_DIR": str(data),
            "PYTHONUNBUFFERED": "1",
            **env,
        }

    def start(self, cold: bool = False) -> None:
        """Start it, and wait until it answers; its engine may be loading still."""
        if cold:
            self._cold = self._launcher.cold(self._env, self.log)
            self.pid = self._cold.pid
        else:
            self.pid = self._launcher.warm(self._env, self.log, self.fault)
        with httpx.Client(base_url=self.address, timeout=10) as http:
            poll("the server's start", lambda: self._answers(http, "/health"), START_SECONDS)

    def wait_ready(self) -> None:
        """Wait until an engine can take a session."""
        with httpx.Client(base_url=self.address, timeout=10) as http:
            poll("the engine's start", lambda: self._answers(http, "/ready"), START_SECONDS)

    def _answers(self, http: httpx.Client, path: str) -> bool:
        assert self.running, f"the server ended:\n{self.log.read_text(errors='replace')[-4000:]}"
        try:
            return http.get(path).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def running(self) -> bool:
        return any(state != "Z" for pid, state in _processes(self.pid) if pid == self.pid)

    def children(self) -> list[int]:
        """The processes that it started and that have not ended."""
        return [pid for pid, state in _processes(self.pid) if pid != self.pid and state != "Z"]

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the server's process, and only that; wait until it is gone."""
        if not self.pid:
            return
        os.kill(self.pid, how)
        if self._cold is not None:
            self._cold.wait(30)
            self._cold = None
        else:
            self._launcher.reap(self.pid)

    def wait_for_children(self) -> None:
        """Wait until the processes that it left have ended by themselves."""
        poll(f"the end of {self.children()}", lambda: not self.children(), END_SECONDS)
        self.pid = 0

    def stop(self) -> None:
        """End it whatever it does, and what it started."""
        if not self.pid:
            return
        left = self.children()
        if self.running:
            self.kill()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.pid = 0


def _processes(session: int) -> list[tuple[int, str]]:
    """(pid, state) of all processes of a session, as in setsid(2)."""
    out = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            # It has ended meanwhile.
            continue
        if int(sid) == session:
            out.append((int(entry.name), state))
    return out
