"""A session's place in the pool, and whether its engine state is open there."""

from __future__ import annotations

import threading
from collections.abc import Callable

from backend.domain import EngineInfo, Video
from backend.sessions.book import Book
from backend.workers import messages as m
from backend.workers.pool import Pool

LOST = (-1, -1)
"""No worker's incarnation: what was open there has to be opened again."""


class Seat:
    """Guarded by the session's lock. The engine's state is only a cache: it is opened when it is needed.

    Args:
        admit: called before the session takes engine memory; raises `TooMany` where there is none.
    """

    def __init__(
        self,
        session_id: str,
        video: Video,
        book: Book,
        pool: Pool,
        lock: threading.RLock,
        admit: Callable[[], None],
    ) -> None:
        self.pool = pool
        self.parked = False
        self.memory_bytes = 0
        self.peak_bytes = 0
        """The most engine memory it ever held."""
        self._id = session_id
        self._video = video
        self._book = book
        self._lock = lock
        self._admit = admit
        self._opened: tuple[int, int] | None = None

    @property
    def taken(self) -> bool:
        """Whether the session holds engine memory."""
        return self._opened is not None

    @property
    def engine(self) -> EngineInfo | None:
        return self.pool.engine

    def ensure_open(self) -> None:
        """Have the engine's state open in the worker's present life."""
        if self._opened is None:
            self._admit()
        life = self.pool.incarnation(self._id)
        if self._opened == life:
            return
        self._opened = life
        self.parked = False
        self.pool.open(self._id, self._video, self._book.snapshot(), self._on_opened)

    def _on_opened(self, reply: m.Reply) -> None:
        with self._lock:
            if isinstance(reply, m.Opened):
                self.holds(reply.memory_bytes)
            elif isinstance(reply, m.Failed):
                # The prompt behind it gets the reason; the next one tries again.
                self._opened = None

    def holds(self, memory_bytes: int) -> None:
        """What the engine says it holds of the session."""
        self.memory_bytes = memory_bytes
        self.peak_bytes = max(self.peak_bytes, memory_bytes)

    def lost(self) -> None:
        """The engine's state went with its process. The place in memory stays taken for what is under way."""
        self._opened = LOST

    def forget(self) -> None:
        """The engine's state no longer follows from the log: build it again on the next use."""
        if self._opened is not None:
            self._opened = None
            self.pool.tell(self._id, m.Close(self._id))

    def park(self) -> bool:
        """Free memory and place; whether there was anything to free."""
        if self._opened is None:
            return False
        self._opened = None
        self.parked = True
        self.memory_bytes = 0
        self.pool.release(self._id)
        return True

    def leave(self) -> int:
        """Free everything for good; returns the bytes freed."""
        freed, self.memory_bytes = self.memory_bytes, 0
        self._opened = None
        self.pool.forget(self._id)
        return freed
