"""How often who may ask: token buckets, bounded in number."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 50_000
"""Clients remembered at once; one that is quiet for a minute needs no remembering."""


class Buckets:
    """A bucket of tokens for each client: `per_minute` at most, refilled as evenly. Thread-safe.

    Args:
        per_minute: how many tokens a client may take in a minute, and at once.
        most: how many clients are remembered. Beyond it the one that has been quiet for longest is
            forgotten: its bucket is the fullest.
        clock: seconds, never going back.
    """

    def __init__(self, per_minute: float, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._full = float(per_minute)
        self._rate = per_minute / 60
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Client → tokens left, and when that was so; the longest quiet one first."""

    def __len__(self) -> int:
        return len(self._left)

    def take(self, client: str) -> float:
        """Take one token; 0 where there was one, else the seconds until there is one."""
        return self._ask(client, 1.0)

    def wait(self, client: str) -> float:
        """The seconds until a token could be taken; takes none."""
        return self._ask(client, 0.0)

    def _ask(self, client: str, cost: float) -> float:
        now = self._clock()
        with self._lock:
            left, since = self._left.get(client, (self._full, now))
            left = min(self._full, left + (now - since) * self._rate)
            if left >= 1 and not cost:
                return 0.0
            # Asking in vain costs nothing, but who does so is not forgotten.
            wait = (1 - left) / self._rate if left < 1 else 0.0
            self._left[client] = (left if wait else left - cost, now)
            self._left.move_to_end(client)
            self._forget(now)
            return wait

    def _forget(self, now: float) -> None:
        while self._left:
            client, (_, since) = next(iter(self._left.items()))
            if len(self._left) <= self._most and now - since < 60:
                return
            del self._left[client]
