"""A real server process for tests: `python app.py` on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def server_process(
    data_dir: Path, port: int, *, wait_for: str = "/ready", **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python app.py` on a port, once `wait_for` answers 200; ended afterwards, unless it has ended by then.

    The server's output is kept in `server.log` in the data folder and shown when it does not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "server.log"
    env = os.environ | {
        "ENGINE": "fake",
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=out, stderr=out)
        try:
            _wait(process, f"http://127.0.0.1:{port}{wait_for}", log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


@contextmanager
def running_server(data_dir: Path, *, wait_for: str = "/ready", **environment: str) -> Iterator[str]:
    """A `server_process` on a free port; its address."""
    port = free_port()
    with server_process(data_dir, port, wait_for=wait_for, **environment):
        yield f"http://127.0.0.1:{port}"


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            # Not listening yet: ask again until the time is up.
            time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")
