"""How many sessions may hold engine memory at once, and who gives way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from backend.errors import TooMany
from backend.sessions.session import Session


class Capacity:
    """Admits sessions to engine memory; when full, the longest idle one is parked.

    Args:
        limit: how many may hold engine memory.
        sessions: all sessions there are.
    """

    def __init__(self, limit: int, sessions: Callable[[], Iterable[Session]]) -> None:
        self._limit = limit
        self._sessions = sessions
        self._lock = threading.Lock()

    def admit(self, session: Session) -> None:
        """Make room for a session that is about to take engine memory.

        Never waits for another session's lock: one that is in use is not idle, so it is passed by.

        Raises:
            TooMany: all that hold memory are busy.
        """
        with self._lock:
            holders = [s for s in self._sessions() if s is not session and s.holds_engine]
            excess = len(holders) - self._limit + 1
            if excess <= 0:
                return
            for other in sorted(holders, key=lambda s: s.idle_seconds, reverse=True):
                if not other.busy and other.park():
                    excess -= 1
                    if excess <= 0:
                        return
        raise TooMany(
            f"All {self._limit} places for sessions are busy. Try again in a moment.",
            "too_many_sessions",
            retry_after=5,
        )
