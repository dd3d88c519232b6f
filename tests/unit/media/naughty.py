"""What a decoder taken over by a hostile file might do in the probe's child. Run by the tests."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from backend.media.limits import Limits

Answer = tuple[dict[str, Any], bytes]
Progress = Callable[[float], None]


def hang(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    threading.Event().wait()
    return {}, b""


def spin(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    while True:
        pass


def eat(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))


def crash(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    ctypes.string_at(0)
    return {}, b""


def leave(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    os._exit(0)


def write(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    path.with_name("planted").write_bytes(b"x" * 4096)
    return {}, b""


def lie(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    return {"kind": "../../etc", "width": "wide"}, b"not an index"


def nest(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    """Answers with JSON that no parser can follow."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            os.write(int(name), b"[" * 60000 + b"\n")
    return {}, b""


def flood(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    while True:
        os.write(1, b"x" * 65536)
        on_progress(0.5)


def tell_secrets(path: Path, limits: Limits, fps: Fraction | None, on_progress: Progress) -> Answer:
    """Dies with the number of things it should not have: a key, printing that gets through."""
    print("noise on the output")
    sys.stdout.flush()
    if "API_KEYS" in os.environ:
        os._exit(1)
    from backend.media.child import look

    return look(path, limits, fps, on_progress)
