"""The pool: places sessions on workers, keeps them there, and replaces workers that end or hang."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from backend.domain import EngineInfo, PromptRequest, Snapshot, Span, Video
from backend.engines.devices import gpus
from backend.engines.layout import workers_for
from backend.engines.memory import resident_mb
from backend.engines.registry import EngineSpec
from backend.errors import EngineError, ServiceError, WorkerLost
from backend.workers import messages as m
from backend.workers.local import LocalWorker

log = logging.getLogger(__name__)

OnReply = Callable[[m.Reply], None]
WorkerState = Literal["loading", "ready", "failed"]

MAX_FAILED_STARTS = 3
"""A worker that ends so often before it is ready is not started again."""
ROOM = 1.25
"""A limit on a worker's memory is at least so many times what it takes without any session."""
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
    stage: str = ""
    """What it is doing while it loads."""
    owed: dict[int, OnReply] = field(default_factory=dict)
    """Tickets without their last answer yet."""
    loaded_mb: float = 0.0
    """Its resident memory when it had just been loaded."""
    free_mb: float = 0.0
    """What its GPUs had left then."""
    leaking: bool = False
    """Whether it is being ended for the memory it took: that is not the fault of whom it works for just then."""
    sessions: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Wish:
    """The workers a session may go to, by place, and a number that picks one of them."""

    places: tuple[int, ...]
    likeness: int | None = None


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A worker as others see it."""

    state: WorkerState
    title: str
    device: str
    gpus: tuple[int, ...]
    stage: str
    info: EngineInfo | None
    error: ServiceError | None
    sessions: int
    waiting: int
    pid: int
    free_mb: float
    """What its GPUs had left when its engine was just loaded, in MB; 0 without any."""


class Pool:
    """Engines in child processes, one for each spec.

    Callbacks come from worker threads, one worker's in order, and without any lock held.

    Args:
        specs: one for each worker.
        silence_seconds: a worker that owes answers and says nothing for so long is replaced.
        memory_limit_mb: one whose resident memory passes this is replaced; 0: no limit.
    """

    def __init__(
        self, specs: Sequence[EngineSpec], silence_seconds: float = 120.0, memory_limit_mb: float = 0.0
    ) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._slots = [_Slot(spec) for spec in specs]
        self._silence = silence_seconds
        self._lock = threading.RLock()
        self._pinned: dict[str, _Slot] = {}
        self._wishes: dict[str, _Wish] = {}
        self._layout = tuple(spec.gpus for spec in specs)
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
                    s.info.title if s.info else s.spec.title,
                    s.info.device if s.info else s.spec.device,
                    s.spec.gpus,
                    s.stage,
                    s.info,
                    s.error,
                    len(s.sessions),
                    len(s.owed),
                    s.worker.pid if s.worker else 0,
                    s.free_mb,
                )
                for s in self._slots
            ]

    # --- places --------------------------------------------------------------------------------

    def wish(self, session_id: str, gpu_ids: Sequence[int] = (), likeness: int | None = None) -> None:
        """Say where a session wants to be; holds until `forget`.

        Args:
            session_id: which session.
            gpu_ids: the GPUs it asks for; empty: any.
            likeness: sessions of the same number go to the same worker, where its caches are.

        Raises:
            InvalidInput: GPUs that there are not, or that only work together with others (`unknown_gpu`).
        """
        places = workers_for(gpu_ids, self._layout) if gpu_ids else range(len(self._slots))
        with self._lock:
            self._wishes[session_id] = _Wish(tuple(places), likeness)

    @property
    def gpus(self) -> tuple[int, ...]:
        """The GPUs that the workers have."""
        return tuple(index for group in self._layout for index in group)

    def forget(self, session_id: str) -> None:
        """Release a session's place for good, with its wish. Unknown sessions are ignored."""
        self.release(session_id)
        with self._lock:
            self._wishes.pop(session_id, None)

    def incarnation(self, session_id: str) -> tuple[int, int]:
        """Which worker holds the session's place, and in which life of its.

        Places the session where it has no place yet: on the worker with the fewest sessions among
        those it may go to. A session whose engine state was opened in another incarnation has to
        open it again.

        Raises:
            EngineError: no worker can be had.
        """
        with self._lock:
            slot = self._pinned.get(session_id)
            if slot is None or slot.state == "failed":
                slot = self._slots[self.places(session_id)[0]]
                self._pin(session_id, slot)
            return self._slots.index(slot), slot.incarnation

    def places(self, session_id: str) -> list[int]:
        """The workers that a session without engine state may go to, the best first: where it is, then the emptiest.

        Raises:
            EngineError: no worker can be had.
        """
        with self._lock:
            wish = self._wishes.get(session_id) or _Wish(tuple(range(len(self._slots))))
            alive = [i for i in wish.places if self._slots[i].state != "failed"]
            if not alive:
                error = next((s.error for s in self._slots if s.error), None)
                raise error or EngineError("No engine is available.", "engine_unavailable")
            if wish.likeness is not None:
                return [alive[wish.likeness % len(alive)]]
            here = self._pinned.get(session_id)
            return sorted(alive, key=lambda i: (self._slots[i] is not here, len(self._slots[i].sessions)))

    def place(self, session_id: str, place: int) -> None:
        """Give a session without engine state its place on a worker."""
        with self._lock:
            self._pin(session_id, self._slots[place])

    def place_of(self, session_id: str) -> int | None:
        """The worker on which a session has its place; None where it has none."""
        with self._lock:
            slot = self._pinned.get(session_id)
            return None if slot is None else self._slots.index(slot)

    @property
    def engine(self) -> EngineInfo | None:
        """The engine, once one is loaded."""
        with self._lock:
            return next((slot.info for slot in self._slots if slot.info), None)

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
        owed: dict[int, OnReply] = {}
        on_reply: OnReply | None = None
        free = _free_mb(slot.spec.gpus) if isinstance(message, m.Ready) else 0.0
        with self._lock:
            if life != slot.incarnation:
                return
            slot.heard = time.monotonic()
            match message:
                case m.Ready(info):
                    slot.info, slot.state, slot.failed_starts, slot.stage = info, "ready", 0, ""
                    slot.free_mb = free
                    slot.loaded_mb = resident_mb(slot.worker.pid) if slot.worker else 0.0
                    log.info("%s is ready on %s (process %s)", info.title, info.device, slot.worker and slot.worker.pid)
                case m.Loading(stage):
                    slot.stage = stage
                case m.LoadFailed(error):
                    if self._load_failed(slot, error):
                        owed, slot.owed = slot.owed, {}
                case m.Stepped():
                    on_reply = slot.owed.get(message.ticket)
                case _:
                    on_reply = slot.owed.pop(message.ticket, None)
        if on_reply and isinstance(message, m.Reply):
            on_reply(message)
        # What waited for the engine that can't be loaded is asked again of the one that comes instead.
        for ticket, reply_to in owed.items():
            reply_to(m.Failed(ticket, WorkerLost("Another engine is loaded instead. Try again.")))

    def _load_failed(self, slot: _Slot, error: ServiceError) -> bool:
        """Fall back to the next engine, if there is one; but not while another worker has this one.

        Returns:
            Whether another engine is on its way.
        """
        slot.state, slot.error, slot.stage = "failed", error, ""
        if slot.worker:
            slot.worker.kill()
        fallback = slot.spec.fallback
        if fallback is None or any(s.state != "failed" for s in self._slots):
            log.error("%s can't be used: %s", slot.spec.title, error.sentence)
            return False
        reason = f"{slot.spec.title} can't be used here: {error.sentence}"
        log.warning("%s %s is used instead.", reason, fallback.title)
        slot.spec = replace(fallback, reason=f"{reason} {fallback.reason}".strip(), gpus=slot.spec.gpus)
        slot.error, slot.failed_starts = None, 0
        self._spawn(slot)
        return True

    def _ended(self, slot: _Slot, life: int) -> None:
        with self._lock:
            if life != slot.incarnation:
                return
            owed, slot.owed = slot.owed, {}
            doing = slot.worker.doing if slot.worker and not slot.leaking else 0
            slot.leaking = False
            if self._stopping.is_set() or slot.state == "failed":
                slot.worker = None
            else:
                slot.failed_starts += slot.state == "loading"
                log.warning("a worker ended while %s; replacing it", slot.state)
                if slot.failed_starts >= MAX_FAILED_STARTS:
                    slot.worker = None
                    self._load_failed(slot, EngineError("The engine ends as soon as it starts.", "engine_unavailable"))
                else:
                    self._spawn(slot)
            slot.incarnation += slot.worker is None
            elsewhere = any(s.state != "failed" for s in self._slots)
        lost: ServiceError = WorkerLost("The engine's process ended while it worked on this. Try again.")
        if slot.error and slot.state == "failed" and not elsewhere:
            lost = slot.error
        for ticket, on_reply in owed.items():
            on_reply(m.Failed(ticket, lost, blamed=ticket == doing))

    def _watch(self) -> None:
        """Kill a worker that owes an answer and has been silent for too long, or takes too much memory."""
        pause = min(1.0, self._silence / 4)
        while not self._stopping.wait(pause):
            now = time.monotonic()
            with self._lock:
                for slot in self._slots:
                    if slot.worker is not None and not self._check_silence(slot, slot.worker, now):
                        self._check_memory(slot, slot.worker)

    def _check_silence(self, slot: _Slot, worker: LocalWorker, now: float) -> bool:
        """Whether the worker was killed; the lock is held."""
        limit = LOAD_TIMEOUT_SECONDS if slot.state == "loading" else self._silence
        if not (slot.owed or slot.state == "loading") or now - slot.heard <= limit:
            return False
        log.warning("worker %s has been silent for %.0f s; replacing it", worker.pid, limit)
        slot.heard = now
        worker.kill()
        return True

    def _check_memory(self, slot: _Slot, worker: LocalWorker) -> None:
        """The lock is held."""
        if not self._memory_limit_mb or slot.state != "ready" or slot.leaking:
            return
        held = resident_mb(worker.pid)
        # An engine that needs more just to be there would be replaced for ever.
        limit = max(self._memory_limit_mb, slot.loaded_mb * ROOM)
        if held > limit:
            log.warning("worker %s holds %.0f MB, more than %.0f; replacing it", worker.pid, held, limit)
            slot.leaking = True
            worker.kill()


def _free_mb(places: Sequence[int]) -> float:
    """The memory that is left on these GPUs, in MB."""
    return sum(max(0.0, gpu.total_mb - gpu.used_mb) for gpu in gpus() if gpu.index in places) if places else 0.0
