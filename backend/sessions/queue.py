"""The queue of a session: one operation at a time, in the order asked.

An operation that needs the engine holds the queue until the worker has answered; nobody waits on a
thread for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from backend.errors import Conflict, ServiceError, TooMany
from backend.sessions.patience import Patience

log = logging.getLogger(__name__)

MAX_WAITING = 32
"""How many operations of one session may wait for each other."""


@dataclass(eq=False, slots=True)
class Op:
    """An operation. `begin` starts it; it is over when the queue is told to release it."""

    begin: Callable[[Op], None]
    is_run: bool = False
    future: Future[Any] = field(default_factory=Future)
    patience: Patience = field(default_factory=Patience)


class OpQueue:
    """Guarded by the session's lock: it is held by whoever calls, and while `begin` runs.

    Args:
        lock: the session's.
        on_release: called after each operation.
    """

    def __init__(self, lock: threading.RLock, on_release: Callable[[], None]) -> None:
        self._lock = lock
        self._on_release = on_release
        self._waiting: deque[Op] = deque()
        self._pumping = False
        self.current: Op | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return self.current is not None or bool(self._waiting)

    def submit(self, op: Op) -> Future[Any]:
        """Add an operation, and begin it if it is its turn.

        Raises:
            Conflict: a propagation is running or waiting (`session_busy`).
            TooMany: too many wait already.
        """
        if (self.current and self.current.is_run) or any(o.is_run for o in self._waiting):
            raise Conflict(
                "A propagation is running. Stop it, or wait for it to end, before changing the session.",
                "session_busy",
            )
        if len(self._waiting) >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} requests of this session wait already.", "too_many_prompts")
        self._waiting.append(op)
        self._pump()
        return op.future

    def attempt(self, op: Op) -> None:
        """Begin an operation, or begin it again."""
        try:
            op.begin(op)
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("an operation of a session failed")
            self.release(op, error=error)

    def release(self, op: Op, value: object = None, error: Exception | None = None) -> None:
        """The operation is over: answer it, and let the next one begin."""
        if self.current is op:
            self.current = None
        if not op.future.done():
            if error is not None:
                op.future.set_exception(error)
            else:
                op.future.set_result(value)
        self._on_release()
        self._pump()

    def cancel_waiting_runs(self) -> None:
        """Refuse the propagations that have not begun."""
        for op in [op for op in self._waiting if op.is_run]:
            self._waiting.remove(op)
            op.future.set_exception(Conflict("The propagation was cancelled before it began.", "run_cancelled"))

    def abandon(self) -> list[Op]:
        """Forget everything; returns the operations that nobody will answer any more."""
        ops = [*([self.current] if self.current else []), *self._waiting]
        self.current = None
        self._waiting.clear()
        return [op for op in ops if not op.future.done()]

    def _pump(self) -> None:
        """Begin operations until one has to wait for the engine."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self.current is None and self._waiting:
                op = self._waiting.popleft()
                if not op.future.set_running_or_notify_cancel():
                    continue
                self.current = op
                self.attempt(op)
        finally:
            self._pumping = False
