"""Ends sessions that nobody uses any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Sweeper:
    """Calls `sweep` every `interval_seconds` on a thread of its own, until stopped."""

    def __init__(self, sweep: Callable[[], object], interval_seconds: float) -> None:
        self._sweep = sweep
        self._interval = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _loop(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                self._sweep()
            except Exception:
                # One session's trouble must not end the sweeping of all others.
                log.exception("a sweep failed")
