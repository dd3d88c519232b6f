"""What a server process of these tests does wrong, by name: put into it before `app.py` runs."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMIT_SECONDS = 0.5
MOST_BYTES = 800_000
"""Of a file, with `small_files`."""
JUMP_FILE = "clock-jump"
"""In DATA_DIR; by so many seconds the server's wall clock is wrong."""


def install(name: str) -> None:
    """Do wrong what the name says: `forget`, `slow_disk`, `small_files` or `clock`."""
    {"forget": _forget, "slow_disk": _slow_disk, "small_files": _small_files, "clock": _clock}[name]()


def _forget() -> None:
    """The store says that something is on record, and writes it a moment later."""
    from backend.sessions.sqlite import SqliteStore

    honest = SqliteStore.write

    def write(self: Any, session_id: str, changes: Sequence[Any], on_stored: Any) -> None:
        later = threading.Timer(0.3, honest, (self, session_id, changes, lambda error: None))
        later.daemon = True
        later.start()
        # Not on the caller's thread, as with the honest one.
        threading.Thread(target=on_stored, args=(None,), daemon=True).start()

    SqliteStore.write = write  # type: ignore[method-assign]


def _slow_disk() -> None:
    """Each commit takes its time."""
    from backend.sessions.sqlite import SqliteStore

    honest = SqliteStore.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        honest(self, *args, before_commit=lambda: time.sleep(COMMIT_SECONDS), **options)

    SqliteStore.__init__ = init  # type: ignore[method-assign]


def _small_files() -> None:
    """No file may grow beyond a limit, the database and its log included."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, hard))


def _clock() -> None:
    """The wall clock jumps, while the server runs, by what a file in DATA_DIR says."""
    import os

    file = Path(os.environ["DATA_DIR"]) / JUMP_FILE
    honest = time.time
    real = datetime.datetime

    def jump() -> float:
        with contextlib.suppress(OSError, ValueError):
            return float(file.read_text())
        return 0.0

    class Wrong(real):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + datetime.timedelta(seconds=jump())

    time.time = lambda: honest() + jump()
    datetime.datetime = Wrong  # type: ignore[misc]
    # What has been imported already has the honest one by name.
    import backend.api.system
    import backend.sessions.log
    import backend.sessions.store
    import backend.sessions.wire

    for module in (backend.api.system, backend.sessions.log, backend.sessions.store, backend.sessions.wire):
        if getattr(module, "datetime", None) is real:
            module.datetime = Wrong  # type: ignore[attr-defined]
