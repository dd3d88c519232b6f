"""A session's writes, one after another: worked out, stored, and only then seen."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from backend.errors import EngineError, ServiceError
from backend.sessions.store import Change, OnStored, Records

log = logging.getLogger(__name__)

Make = Callable[[], Sequence[Change]]
Write = Callable[[Sequence[Change], OnStored], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    make: Make
    done: OnStored


class Journal:
    """What changes a session goes through here, guarded by the session's lock.

    An entry's changes are worked out when all entries before it are stored and applied, so each
    sees what it builds on. They are applied to the records once they are stored; `done` is then
    called with the lock held, or with the reason why they could not be stored, and nothing has
    changed. Nobody waits on a thread for the disk.

    Args:
        lock: the session's.
        records: what the changes are applied to.
        write: stores changes and says so, on any thread.
    """

    def __init__(self, lock: threading.RLock, records: Records, write: Write) -> None:
        self._lock = lock
        self._records = records
        self._write = write
        self._waiting: deque[_Entry] = deque()
        self._writing: _Entry | None = None
        self._closed: ServiceError | None = None

    @property
    def busy(self) -> bool:
        return self._writing is not None or bool(self._waiting)

    def enter(self, make: Make, done: OnStored) -> None:
        """Work changes out, store and apply them, and call `done`. The lock is held."""
        self._waiting.append(_Entry(make, done))
        self._pump()

    def close(self, error: ServiceError) -> None:
        """Refuse what is not stored yet, and all that comes, with `error`."""
        self._closed = error
        left = [*([self._writing] if self._writing else []), *self._waiting]
        self._writing = None
        self._waiting.clear()
        for entry in left:
            entry.done(error)

    def _pump(self) -> None:
        while self._writing is None and self._waiting:
            entry = self._waiting.popleft()
            if self._closed:
                entry.done(self._closed)
                continue
            try:
                changes = tuple(entry.make())
            except Exception as error:
                if not isinstance(error, ServiceError):
                    log.exception("a change of a session could not be worked out")
                    error = EngineError("The server made a mistake with this; it is in its log.", "internal_error")
                entry.done(error)
                continue
            if not changes:
                entry.done(None)
                continue
            self._writing = entry
            self._write(changes, partial(self._stored, entry, changes))

    def _stored(self, entry: _Entry, changes: Sequence[Change], error: ServiceError | None) -> None:
        with self._lock:
            if self._writing is not entry:
                return
            self._writing = None
            if error is None:
                self._records.apply(changes)
            entry.done(error)
            self._pump()
