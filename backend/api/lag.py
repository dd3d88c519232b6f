"""How long the event loop is held up: what one slow handler takes from everybody else."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from prometheus_client import CollectorRegistry, Histogram

PAUSE = 0.01
"""Seconds between two looks. A hold-up that falls between them is seen all the same: it delays the next one."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """Sleeps a little, again and again, and records by how much it was woken too late.

    On a busy machine much of that is the wait for a core. Linux says how long a thread waited for one, so
    that the rest is known too: what the server itself kept the loop from.

    Args:
        registry: where the histogram `sam3_event_loop_lag_seconds` is kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "sam3_event_loop_lag_seconds", "How late the event loop was", buckets=BUCKETS, registry=registry
        )
        self._lock = threading.Lock()
        self._worst = self._worst_blocked = 0.0

    async def watch(self) -> None:
        """Measure until cancelled, on the loop's own thread."""
        starved = Starvation()
        try:
            while True:
                began, waited = time.perf_counter(), starved.seconds()
                await asyncio.sleep(PAUSE)
                late = max(0.0, time.perf_counter() - began - PAUSE)
                self.observe(late, max(0.0, late - (starved.seconds() - waited)))
        finally:
            starved.close()

    def observe(self, late: float, blocked: float) -> None:
        """Record one hold-up, and how much of it was no wait for a core; in seconds."""
        self._histogram.observe(late)
        with self._lock:
            self._worst = max(self._worst, late)
            self._worst_blocked = max(self._worst_blocked, blocked)

    def take_worst(self) -> tuple[float, float]:
        """The longest hold-up since the last call, and the longest that was no wait for a core, in seconds."""
        with self._lock:
            worst = self._worst, self._worst_blocked
            self._worst = self._worst_blocked = 0.0
            return worst


class Starvation:
    """How long the thread that made it has waited for a core. Where the system does not tell: 0."""

    def __init__(self) -> None:
        try:
            self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:
            self._file = -1

    def seconds(self) -> float:
        if self._file < 0:
            return 0.0
        # Time on a core, time waiting for one (both in nanoseconds), and how often it got one.
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
