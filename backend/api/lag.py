"""How long the event loop is held up: what one slow handler takes from everybody else."""

from __future__ import annotations

import asyncio
import threading
import time

from prometheus_client import CollectorRegistry, Histogram

PAUSE = 0.01
"""Seconds between two looks. A hold-up that falls between them is seen all the same: it delays the next one."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """Sleeps a little, again and again, and records by how much it was woken too late.

    Args:
        registry: where the histogram `sam3_event_loop_lag_seconds` is kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "sam3_event_loop_lag_seconds", "How late the event loop was", buckets=BUCKETS, registry=registry
        )
        self._lock = threading.Lock()
        self._worst = 0.0

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(PAUSE)
            self.observe(max(0.0, time.perf_counter() - began - PAUSE))

    def observe(self, seconds: float) -> None:
        """Record one hold-up."""
        self._histogram.observe(seconds)
        with self._lock:
            self._worst = max(self._worst, seconds)

    def take_worst(self) -> float:
        """The longest hold-up since the last call, in seconds."""
        with self._lock:
            worst, self._worst = self._worst, 0.0
            return worst
