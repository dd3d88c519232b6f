"""One session: a state machine over its log, its results and its place in the pool.

What changes a session goes through one queue, one operation at a time, in the order asked. An
operation that needs the engine holds the queue until the worker has answered; nobody waits on a
thread for it. A propagation holds it until it ends, and what would change the session meanwhile is
refused.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backend.domain import (
    Direction,
    Edit,
    FrameResult,
    MaskPrompt,
    ObjectInfo,
    Prompt,
    PromptAction,
    PromptRequest,
    PropagateAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    Snapshot,
    Span,
    Text,
    Video,
)
from backend.engines.base import require
from backend.errors import Conflict, InvalidInput, NotFound, ServiceError, TooMany, WorkerLost
from backend.masks.overlay import color_of
from backend.sessions import ranges
from backend.sessions.log import EditLog
from backend.sessions.results import Results
from backend.sessions.run import Run, closed_error
from backend.sessions.signal import Signal
from backend.sessions.store import Records
from backend.workers import messages as m
from backend.workers.pool import Pool

log = logging.getLogger(__name__)

MAX_WAITING = 32
"""How many operations of one session may wait for each other."""


@dataclass(eq=False, slots=True)
class _Op:
    """An operation in the queue. `begin` starts it; it ends when the session releases it."""

    begin: Callable[[_Op], None]
    is_run: bool = False
    future: Future[Any] = field(default_factory=Future)
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class PromptOutcome:
    """What a prompt did: the objects it wrote on its frame, none where nothing was found."""

    frame: FrameResult
    message: str | None = None


@dataclass(frozen=True, slots=True)
class PropagateRequest:
    direction: Direction = "both"
    start_frame_index: int | None = None
    max_frames: int | None = None
    end_frame_index: int | None = None
    obj_ids: tuple[int, ...] | None = None


class Session:
    """See the module. Thread-safe.

    Args:
        admit: called before the session takes engine memory; raises `TooMany` where there is none.
    """

    def __init__(
        self,
        session_id: str,
        owner: str,
        video: Video,
        records: Records,
        pool: Pool,
        admit: Callable[[Session], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session_id
        self.owner = owner
        self.video = video
        self.created_at = datetime.now(UTC)
        self.changes = Signal()
        self.log = EditLog(records)
        self.results = Results(records, self.log)
        self.lock = threading.RLock()
        self.run: Run | None = None
        self.closed = False
        self.parked = False
        self.failed = False
        self.memory_bytes = 0
        self.outcomes: dict[int, tuple[int, str]] = {}
        """Of each propagation's edit: how many frames it wrote, and how it ended."""
        self._records = records
        self._pool = pool
        self._admit = admit
        self._clock = clock
        self._touched = clock()
        self._queue: deque[_Op] = deque()
        self._current: _Op | None = None
        self._pumping = False
        self._opened: tuple[int, int] | None = None
        self._run_ticket = 0
        self._next_obj_id = 1

    # --- what is going on ------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return self._current is not None or bool(self._queue)

    @property
    def holds_engine(self) -> bool:
        return self._opened is not None

    @property
    def status(self) -> str:
        if self.run and self.run.active:
            return "queued" if self.run.state == "queued" else "processing"
        if self.busy:
            return "processing"
        if self.parked:
            return "parked"
        return "error" if self.failed else "ready"

    @property
    def objects(self) -> dict[int, ObjectInfo]:
        return self.log.view.objects

    def touch(self) -> None:
        """Say that somebody uses the session."""
        self._touched = self._clock()

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self.busy else self._clock() - self._touched

    def run_frame(self, run: Run, place: int) -> FrameResult:
        """The result of a run's frame by its place in the run, as the run left it."""
        with self.lock:
            frame_index, obj_ids = run.frames[place]
            return self.results.frame(frame_index, obj_ids, as_of=run.seq) or FrameResult(frame_index, ())

    # --- operations ------------------------------------------------------------------------------

    def prompt(self, frame_index: int, prompts: tuple[Prompt, ...], obj_id: int | None) -> Future[PromptOutcome]:
        """Queue a prompt.

        Raises:
            InvalidInput: no prompts, a frame beyond the video, a mask of another size.
            Conflict: a propagation is running, or the session is closed.
            TooMany: too many operations wait already.

        The future's errors: NotFound (unknown object), Unsupported, EngineError, Conflict.
        """
        if not prompts:
            raise InvalidInput("Send at least one prompt.", "no_prompts")
        ranges.check_frame(frame_index, self.video.num_frames)
        for prompt in prompts:
            size = (prompt.rle.height, prompt.rle.width) if isinstance(prompt, MaskPrompt) else None
            if size and size != (self.video.height, self.video.width):
                raise InvalidInput("The mask is not of the video's size.", "invalid_mask")
        return self._submit(_Op(lambda op: self._begin_prompt(op, frame_index, prompts, obj_id)))

    def propagate(self, request: PropagateRequest) -> Future[Run]:
        """Queue a propagation; the future holds its `Run` once it is on its way.

        The future's errors: InvalidInput (bad range, `no_prompt`), NotFound, Conflict, EngineError.
        """
        return self._submit(_Op(lambda op: self._begin_run(op, request), is_run=True))

    def undo(self) -> Future[Edit]:
        return self._submit(_Op(lambda op: self._begin_step(op, self.log.undo)))

    def redo(self) -> Future[Edit]:
        return self._submit(_Op(lambda op: self._begin_step(op, self.log.redo)))

    def remove(self, obj_id: int) -> Future[None]:
        return self._submit(_Op(lambda op: self._begin_remove(op, obj_id)))

    def reset(self) -> Future[int]:
        """Queue a reset; the future holds how many objects it cleared."""
        return self._submit(_Op(self._begin_reset))

    def rename(self, obj_id: int, name: str | None, label: str | None, color: str | None) -> ObjectInfo:
        """Rename an object at once, even while a propagation runs."""
        with self.lock:
            self._check_open()
            self.object_info(obj_id)
            self.log.append(RenameAction(obj_id, name, label, color))
            self.changes.ring()
            return self.objects[obj_id]

    def cancel(self) -> Future[None]:
        """End the propagation that runs or waits, if any; what was computed stays.

        The future is done when it has ended: at the latest after the engine's current step.
        """
        ended: Future[None] = Future()
        with self.lock:
            for op in [op for op in self._queue if op.is_run]:
                self._queue.remove(op)
                op.future.set_exception(Conflict("The propagation was cancelled before it began.", "run_cancelled"))
            run = self.run
            if run is None or not run.active:
                ended.set_result(None)
                return ended
            if not run.cancelling:
                run.cancelling = True
                self._pool.tell(self.id, m.Cancel(self._run_ticket))
            unsubscribe: list[Callable[[], None]] = []

            def look() -> None:
                if not run.active and not ended.done():
                    unsubscribe[0]()
                    ended.set_result(None)

            unsubscribe.append(self.changes.subscribe(look))
        return ended

    def close(self) -> int:
        """End everything and free the engine's memory; returns the bytes freed. Idempotent."""
        with self.lock:
            freed, self.memory_bytes = self.memory_bytes, 0
            if self.closed:
                return 0
            self.closed = True
            ops = [*([self._current] if self._current else []), *self._queue]
            self._current = None
            self._queue.clear()
            if self.run and self.run.active:
                self._end_run(self.run, "cancelled")
            self._opened = None
            self._pool.release(self.id)
        for op in ops:
            if not op.future.done():
                op.future.set_exception(closed_error())
        self.changes.ring()
        return freed

    def park(self) -> bool:
        """Free the engine's memory and place, unless the session is busy; the next use takes them again."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self.busy or self._opened is None:
                return False
            self._opened = None
            self.parked = True
            self.memory_bytes = 0
            self._pool.release(self.id)
            return True
        finally:
            self.lock.release()

    def warm(self) -> None:
        """Open the engine's state ahead of the first prompt."""
        with self.lock:
            if not self.closed:
                self._ensure_open()

    # --- the queue -------------------------------------------------------------------------------

    def _submit(self, op: _Op) -> Future[Any]:
        with self.lock:
            self._check_open()
            if (self._current and self._current.is_run) or any(o.is_run for o in self._queue):
                raise Conflict(
                    "A propagation is running. Stop it, or wait for it to end, before changing the session.",
                    "session_busy",
                )
            if len(self._queue) >= MAX_WAITING:
                raise TooMany(f"{MAX_WAITING} requests of this session wait already.", "too_many_prompts")
            self._queue.append(op)
            self._pump()
        return op.future

    def _pump(self) -> None:
        """Begin operations until one has to wait for the engine; the lock is held."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._current is None and self._queue and not self.closed:
                op = self._queue.popleft()
                if not op.future.set_running_or_notify_cancel():
                    continue
                self._current = op
                self._attempt(op)
        finally:
            self._pumping = False

    def _attempt(self, op: _Op) -> None:
        try:
            op.begin(op)
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("an operation of a session failed")
            self._release(op, error=error)

    def _release(self, op: _Op, value: object = None, error: Exception | None = None) -> None:
        """The operation is over: answer it and let the next one begin; the lock is held."""
        if self._current is op:
            self._current = None
        if not op.future.done():
            if error is not None:
                op.future.set_exception(error)
            else:
                op.future.set_result(value)
        self.touch()
        self.changes.ring()
        self._pump()

    def _check_open(self) -> None:
        if self.closed:
            raise closed_error()

    def object_info(self, obj_id: int) -> ObjectInfo:
        """An object of the session.

        Raises:
            NotFound: there is none of that id.
        """
        info = self.objects.get(obj_id)
        if info is None:
            raise NotFound(f"There is no object {obj_id} in this session.", "unknown_object")
        return info

    # --- the engine's state ----------------------------------------------------------------------

    def _ensure_open(self) -> None:
        """Have the engine's state open in the worker's present life; the lock is held."""
        if self._opened is None:
            self._admit(self)
        life = self._pool.incarnation(self.id)
        if self._opened == life:
            return
        self._opened = life
        self.parked = False
        seeds, _ = self.results.seeds(tuple(self.objects), ())
        self._pool.open(self.id, self.video, Snapshot(tuple(self.log.active), seeds), self._on_opened)

    def _on_opened(self, reply: m.Reply) -> None:
        with self.lock:
            if isinstance(reply, m.Opened):
                self.memory_bytes = reply.memory_bytes
            elif isinstance(reply, m.Failed):
                # The prompt behind it gets the reason; the next one tries again.
                self._opened = None

    def _forget_engine(self) -> None:
        """The engine's state no longer follows from the log: build it again on the next use."""
        if self._opened is not None:
            self._opened = None
            self._pool.tell(self.id, m.Close(self.id))

    def _lost(self, reply: m.Failed) -> bool:
        return isinstance(reply.error, WorkerLost) or reply.error.code == "not_open"

    # --- prompts ---------------------------------------------------------------------------------

    def _begin_prompt(self, op: _Op, frame_index: int, prompts: tuple[Prompt, ...], obj_id: int | None) -> None:
        history: tuple[Prompt, ...] = ()
        current = None
        if obj_id is not None:
            self.object_info(obj_id)
            history = self.log.prompts_on(obj_id, frame_index)
            seen = self.results.visible(obj_id, frame_index)
            current = seen.result.rle if seen else None
        others = {
            i: v.result.rle
            for i in self.objects
            if i != obj_id and (v := self.results.visible(i, frame_index)) is not None
        }
        request = PromptRequest(frame_index, prompts, obj_id, self._next_obj_id, history, current, others)
        info = next((s.info for s in self._pool.status() if s.info), None)
        if info:
            require(info.capabilities, request, info.title)
        self._ensure_open()
        self._pool.apply(self.id, request, lambda reply: self._on_applied(op, request, reply))

    def _on_applied(self, op: _Op, request: PromptRequest, reply: m.Reply) -> None:
        with self.lock:
            if self._current is not op:
                return
            if isinstance(reply, m.Failed):
                if self._lost(reply):
                    self._opened = None
                    op.attempts += 1
                    if op.attempts == 1:
                        self._attempt(op)
                        return
                self._release(op, error=reply.error)
            elif isinstance(reply, m.Applied):
                self.memory_bytes = reply.memory_bytes
                self.failed = False
                self._release(op, self._record_prompt(request, reply))

    def _record_prompt(self, request: PromptRequest, reply: m.Applied) -> PromptOutcome:
        known = self.objects
        results = [r for r in reply.frame.objects if r.obj_id in known or r.obj_id >= self._next_obj_id]
        if not results and not reply.concept_kept:
            return PromptOutcome(FrameResult(request.frame_index, ()), self._nothing_found(request))
        ids = tuple(r.obj_id for r in results)
        edit = self.log.append(PromptAction(request.frame_index, request.prompts, request.obj_id, ids))
        concept = next((p.text for p in request.prompts if isinstance(p, Text)), "")
        for obj_id in ids:
            if obj_id not in known:
                self._bear(edit.seq, obj_id, concept)
        self._records.put(edit.seq, request.frame_index, results)
        return PromptOutcome(FrameResult(request.frame_index, tuple(results)))

    def _bear(self, seq: int, obj_id: int, concept: str) -> None:
        name = concept[:1].upper() + concept[1:] if concept else f"Object {obj_id}"
        self._records.bear(seq, ObjectInfo(obj_id, name, concept, color_of(obj_id)))
        self._next_obj_id = max(self._next_obj_id, obj_id + 1)
        self.log.changed()

    def _nothing_found(self, request: PromptRequest) -> str:
        text = next((p.text for p in request.prompts if isinstance(p, Text)), None)
        if text is None:
            return f"Nothing was found there on frame {request.frame_index}."
        info = next((s.info for s in self._pool.status() if s.info), None)
        words = info.capabilities.words if info else ()
        sentence = f"No “{text}” on frame {request.frame_index}."
        if info and words and text.lower() not in words:
            return f"{sentence} {info.title} only knows these words: {', '.join(words)}. Or click it, or draw a box."
        return f"{sentence} Try a plainer word, go to a frame where it is clearly visible, or click it."

    # --- propagation -----------------------------------------------------------------------------

    def _begin_run(self, op: _Op, request: PropagateRequest) -> None:
        chosen = tuple(dict.fromkeys(request.obj_ids)) if request.obj_ids is not None else tuple(self.objects)
        for obj_id in chosen:
            self.object_info(obj_id)
        start = self._start_frame(chosen) if request.start_frame_index is None else request.start_frame_index
        wanted = ranges.legs(
            request.direction, start, self.video.num_frames, request.max_frames, request.end_frame_index
        )
        seeds, joins = self.results.seeds(chosen, [ranges.order(leg) for leg in wanted])
        legs = tuple(ranges.trimmed(leg, joins[i]) for i, leg in enumerate(wanted) if i in joins)
        legs = tuple(leg for leg in legs if len(leg.frames))
        if not legs:
            raise _no_prompt()
        self._ensure_open()
        touched = [frame for leg in legs for frame in (leg.frames[0], leg.frames[-1])]
        run_id = secrets.token_urlsafe(9)
        edit = self.log.append(PropagateAction(run_id, request.direction, start, (min(touched), max(touched)), chosen))
        run = Run(run_id, edit.seq, request.direction, chosen, start, legs)
        self.run = run
        self.failed = False
        self._send_run(op, run, Span(run.direction, legs, chosen, seeds, self._next_obj_id))
        op.future.set_result(run)
        self.changes.ring()

    def _start_frame(self, obj_ids: tuple[int, ...]) -> int:
        prompted = (
            frame for i in obj_ids for frame, v in self.results.versions(i).items() if self.results.is_prompted(v)
        )
        first = min(prompted, default=None)
        if first is None:
            raise _no_prompt()
        return first

    def _send_run(self, op: _Op, run: Run, span: Span) -> None:
        self._run_ticket = self._pool.propagate(self.id, span, lambda reply: self._on_run(op, run, reply))

    def _on_run(self, op: _Op, run: Run, reply: m.Reply) -> None:
        with self.lock:
            if self._current is not op or not run.active:
                return
            match reply:
                case m.Stepped():
                    self.memory_bytes = reply.memory_bytes
                    self._record_frame(run, reply.frame)
                    self.changes.ring()
                case m.Finished():
                    self._end_run(run, "cancelled" if reply.cancelled else "complete")
                    self._release(op)
                case m.Failed():
                    self._run_failed(op, run, reply)

    def _record_frame(self, run: Run, frame: FrameResult) -> None:
        ids: list[int] = []
        fresh = []
        for result in frame.objects:
            obj_id = result.obj_id
            if obj_id not in self.objects:
                if obj_id < self._next_obj_id:
                    continue
                self._bear(run.seq, obj_id, "")
            ids.append(obj_id)
            seen = self.results.visible(obj_id, frame.frame_index)
            # What a person prompted on this frame stands.
            if seen is None or not self.results.is_prompted(seen):
                fresh.append(result)
        self._records.put(run.seq, frame.frame_index, fresh)
        run.frames.append((frame.frame_index, tuple(ids)))
        run.state = "running"
        if run.first_frame is None:
            run.first_frame = time.monotonic()

    def _run_failed(self, op: _Op, run: Run, reply: m.Failed) -> None:
        if self._lost(reply):
            self._opened = None
            if run.cancelling:
                self._end_run(run, "cancelled")
                self._release(op)
                return
            if run.done > run.revived_at:
                run.revived_at = run.done
                try:
                    self._revive(op, run)
                    return
                except ServiceError as error:
                    reply = m.Failed(reply.ticket, error)
        run.error, run.code = reply.error.sentence, reply.error.code
        self.failed = True
        # A model that failed may have left its state half done.
        self._forget_engine()
        self._end_run(run, "error")
        self._release(op)

    def _revive(self, op: _Op, run: Run) -> None:
        """Go on with a run whose worker was lost, from the last frame that is stored."""
        legs = ranges.remaining(run.legs, run.done)
        seeds, _ = self.results.seeds(run.obj_ids, [ranges.order(leg) for leg in legs])
        self._ensure_open()
        self._send_run(op, run, Span(run.direction, legs, run.obj_ids, seeds, self._next_obj_id))

    def _end_run(self, run: Run, state: str) -> None:
        run.ended = time.monotonic()
        if not run.frames:
            self.log.retract(run.seq)
        else:
            self.outcomes[run.seq] = (run.done, state)
        run.state = state  # type: ignore[assignment]

    # --- the other edits -------------------------------------------------------------------------

    def _begin_step(self, op: _Op, step: Callable[[], Edit]) -> None:
        edit = step()
        if not isinstance(edit.action, RenameAction):
            self._forget_engine()
        self._release(op, edit)

    def _begin_remove(self, op: _Op, obj_id: int) -> None:
        self.object_info(obj_id)
        self.log.append(RemoveAction(obj_id))
        self._pool.tell(self.id, m.Remove(self.id, obj_id))
        self._release(op)

    def _begin_reset(self, op: _Op) -> None:
        count = len(self.objects)
        self.log.append(ResetAction())
        self._pool.tell(self.id, m.Reset(self.id))
        self._release(op, count)


def _no_prompt() -> InvalidInput:
    return InvalidInput(
        "There is nothing to propagate in that range: prompt an object on a frame of it first.", "no_prompt"
    )
