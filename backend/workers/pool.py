"""The pool: places sessions on workers, keeps them there, and replaces workers that end or hang."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from backend.domain import EngineInfo, PromptRequest, Snapshot, Span, Video
from backend.engines.registry import EngineSpec
from backend.errors import EngineError, ServiceError, WorkerLost
from backend.workers import messages as m
from backend.workers.local import LocalWorker

log = logging.getLogger(__name__)

OnReply = Callable[[m.Reply], None]
WorkerState = Literal["loading", "ready", "failed"]

MAX_FAILED_STARTS = 3
"""A worker that ends so often before it is ready is not started again."""
LOAD_TIMEOUT_SECONDS = 900.0
"""How long an engine may load: a large checkpoint from a slow disk takes minutes."""


@dataclass(slots=True)
class _Slot:
    """A place for a worker: who is there now, and what it owes."""

    spec: EngineSpec
    worker: LocalWorker | None = None
    state: WorkerState = "loading"
    info: EngineInfo | None = None
    error: ServiceError | None = None
    incarnation: int = 0
    failed_starts: int = 0
    heard: float = 0.0
    owed: dict[int, OnReply] = field(default_factory=dict)
    """Tickets without their last answer yet."""
    sessions: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A worker as others see it."""

    state: WorkerState
    device: str
    info: EngineInfo | None
    error: ServiceError | None
    sessions: int
    waiting: int
    pid: int


class Pool:
    """Engines in child processes, one for each spec.

    Callbacks come from worker threads, one worker's in order, and without any lock held.

    Args:
        specs: one for each worker.
        silence_seconds: a worker that owes answers and says nothing for so long is replaced.
    """

    def __init__(self, specs: Sequence[EngineSpec], silence_seconds: float = 120.0) -> None:
        self._slots = [_Slot(spec) for spec in specs]
        self._silence = silence_seconds
        self._lock = threading.RLock()
        self._pinned: dict[str, _Slot] = {}
        self._tickets = itertools.count(1)
        self._stopping = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the workers; they load in the background."""
        with self._lock:
            for slot in self._slots:
                self._spawn(slot)
        self._watchdog.start()

    def stop(self) -> None:
        """End all workers. What they owed is answered with `WorkerLost`."""
        self._stopping.set()
        with self._lock:
            workers = [slot.worker for slot in self._slots if slot.worker]
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join(10)
        if self._watchdog.is_alive():
            self._watchdog.join(10)

    def status(self) -> list[SlotStatus]:
        with self._lock:
            return [
                SlotStatus(
                    s.state,
                    s.spec.device,
                    s.info,
                    s.error,
                    len(s.sessions),
                    len(s.owed),
                    s.worker.pid if s.worker else 0,
                )
                for s in self._slots
            ]

    # --- places --------------------------------------------------------------------------------

    def incarnation(self, session_id: str) -> tuple[int, int]:
        """Which worker holds the session's place, and in which life of its.

        Places the session where it has no place yet: on the worker with the fewest sessions. A
        session whose engine state was opened in another incarnation has to open it again.

        Raises:
            EngineError: no worker can be had.
        """
        with self._lock:
            slot = self._pinned.get(session_id)
            if slot is None or slot.state == "failed":
                alive = [s for s in self._slots if s.state != "failed"]
                if not alive:
                    error = next((s.error for s in self._slots if s.error), None)
                    raise error or EngineError("No engine is available.", "engine_unavailable")
                slot = min(alive, key=lambda s: len(s.sessions))
                self._pin(session_id, slot)
            return self._slots.index(slot), slot.incarnation

    def release(self, session_id: str) -> None:
        """Free the session's engine state and its place. Unknown sessions are ignored."""
        with self._lock:
            slot = self._pinned.pop(session_id, None)
            if slot is None:
                return
            slot.sessions.discard(session_id)
            worker = slot.worker
        if worker:
            worker.send(m.Close(session_id))

    def _pin(self, session_id: str, slot: _Slot) -> None:
        old = self._pinned.get(session_id)
        if old:
            old.sessions.discard(session_id)
        self._pinned[session_id] = slot
        slot.sessions.add(session_id)

    # --- requests ------------------------------------------------------------------------------

    def open(self, session_id: str, video: Video, snapshot: Snapshot, on_reply: OnReply) -> int:
        return self._ask(session_id, on_reply, lambda ticket: m.Open(ticket, session_id, video, snapshot))

    def apply(self, session_id: str, request: PromptRequest, on_reply: OnReply) -> int:
        return self._ask(session_id, on_reply, lambda ticket: m.Apply(ticket, session_id, request))

    def propagate(self, session_id: str, span: Span, on_reply: OnReply) -> int:
        return self._ask(session_id, on_reply, lambda ticket: m.Propagate(ticket, session_id, span))

    def tell(self, session_id: str, request: m.Remove | m.Reset | m.Cancel | m.Close) -> None:
        """Send what needs no answer to the session's worker, if it has one."""
        with self._lock:
            slot = self._pinned.get(session_id)
            worker = slot.worker if slot else None
        if worker:
            worker.send(request)

    def _ask(self, session_id: str, on_reply: OnReply, make: Callable[[int], m.Ticketed]) -> int:
        self.incarnation(session_id)
        with self._lock:
            slot = self._pinned[session_id]
            ticket = next(self._tickets)
            if not slot.owed:
                slot.heard = time.monotonic()
            slot.owed[ticket] = on_reply
            worker = slot.worker
        if worker:
            worker.send(make(ticket))
        return ticket

    # --- workers -------------------------------------------------------------------------------

    def _spawn(self, slot: _Slot) -> None:
        """Start a worker in the slot; the lock is held."""
        slot.state = "loading"
        slot.incarnation += 1
        slot.heard = time.monotonic()
        life = slot.incarnation
        slot.worker = LocalWorker(slot.spec, lambda msg: self._heard(slot, life, msg), lambda: self._ended(slot, life))

    def _heard(self, slot: _Slot, life: int, message: m.FromWorker) -> None:
        with self._lock:
            if life != slot.incarnation:
                return
            slot.heard = time.monotonic()
            match message:
                case m.Ready(info):
                    slot.info, slot.state, slot.failed_starts = info, "ready", 0
                    log.info("%s is ready on %s (process %s)", info.title, info.device, slot.worker and slot.worker.pid)
                    return
                case m.LoadFailed(error):
                    slot.state, slot.error = "failed", error
                    if slot.worker:
                        slot.worker.kill()
                    return
                case m.Stepped():
                    on_reply = slot.owed.get(message.ticket)
                case _:
                    on_reply = slot.owed.pop(message.ticket, None)
        if on_reply:
            on_reply(message)

    def _ended(self, slot: _Slot, life: int) -> None:
        with self._lock:
            if life != slot.incarnation:
                return
            owed, slot.owed = slot.owed, {}
            if self._stopping.is_set() or slot.state == "failed":
                slot.worker = None
            else:
                slot.failed_starts += slot.state == "loading"
                log.warning("a worker ended while %s; replacing it", slot.state)
                if slot.failed_starts >= MAX_FAILED_STARTS:
                    slot.state, slot.worker = "failed", None
                    slot.error = EngineError("The engine ends as soon as it starts.", "engine_unavailable")
                else:
                    self._spawn(slot)
            slot.incarnation += slot.worker is None
        lost: ServiceError = WorkerLost("The engine's process ended while it worked on this. Try again.")
        if slot.error and slot.state == "failed":
            lost = slot.error
        for ticket, on_reply in owed.items():
            on_reply(m.Failed(ticket, lost))

    def _watch(self) -> None:
        """Kill a worker that owes an answer and has been silent for too long."""
        pause = min(1.0, self._silence / 4)
        while not self._stopping.wait(pause):
            now = time.monotonic()
            with self._lock:
                for slot in self._slots:
                    if slot.worker is None:
                        continue
                    limit = LOAD_TIMEOUT_SECONDS if slot.state == "loading" else self._silence
                    if (slot.owed or slot.state == "loading") and now - slot.heard > limit:
                        log.warning("worker %s has been silent for %.0f s; replacing it", slot.worker.pid, limit)
                        slot.heard = now
                        slot.worker.kill()
