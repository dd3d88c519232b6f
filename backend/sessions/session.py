"""One session: a state machine over its book, its queue and its place in the pool.

What changes a session goes through one queue, one operation at a time, in the order asked. A
propagation holds the queue until it ends, and what would change the session meanwhile is refused.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backend.domain import (
    Edit,
    EngineInfo,
    FrameResult,
    MaskPrompt,
    ObjectInfo,
    Prompt,
    PromptRequest,
    PropagateAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    Span,
    Text,
    Video,
)
from backend.engines.base import require
from backend.errors import InvalidInput, ServiceError, WorkerLost
from backend.sessions import ranges
from backend.sessions.book import Book
from backend.sessions.log import EditLog
from backend.sessions.planning import PropagateRequest, first_span, rest_of
from backend.sessions.queue import Op, OpQueue
from backend.sessions.results import Results
from backend.sessions.run import Run, RunState, closed_error
from backend.sessions.signal import Signal
from backend.sessions.store import Records
from backend.workers import messages as m
from backend.workers.pool import Pool

LOST = (-1, -1)
"""No worker's incarnation: what was open there has to be opened again."""


@dataclass(frozen=True, slots=True)
class PromptOutcome:
    """What a prompt did: the objects it wrote on its frame; where it found nothing, why."""

    frame: FrameResult
    message: str | None = None
    cache_hit: bool | None = None
    """Whether the frame's features were there already; None: the engine keeps none, or needed none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a propagation ended, and the frames that it really went over, in its order."""

    state: RunState
    frames: tuple[int, ...]


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
        self.lock = threading.RLock()
        self.book = Book(records)
        self.run: Run | None = None
        self.closed = False
        self.parked = False
        self.failed = False
        self.memory_bytes = 0
        self.peak_bytes = 0
        """The most engine memory it ever held."""
        self.outcomes: dict[int, Outcome] = {}
        """Of each propagation's edit, once it has ended."""
        self._queue = OpQueue(self.lock, self._released)
        self._pool = pool
        self._admit = admit
        self._clock = clock
        self._touched = clock()
        self._opened: tuple[int, int] | None = None
        self._run_ticket = 0
        self._span: Span | None = None
        """What the last propagation was to do, as it began."""

    # --- what is going on ------------------------------------------------------------------------

    @property
    def log(self) -> EditLog:
        return self.book.log

    @property
    def results(self) -> Results:
        return self.book.results

    @property
    def objects(self) -> dict[int, ObjectInfo]:
        return self.book.objects

    def object_info(self, obj_id: int) -> ObjectInfo:
        """An object of the session; raises `NotFound`."""
        with self.lock:
            return self.book.object_info(obj_id)

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return self._queue.busy

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
        return self._submit(Op(lambda op: self._begin_prompt(op, frame_index, prompts, obj_id)))

    def propagate(self, request: PropagateRequest) -> Future[Run]:
        """Queue a propagation; the future holds its `Run` once it is on its way.

        The future's errors: InvalidInput (bad range, `no_prompt`), NotFound, Conflict, EngineError.
        """
        return self._submit(Op(lambda op: self._begin_run(op, request), is_run=True))

    def undo(self) -> Future[Edit]:
        return self._submit(Op(lambda op: self._begin_step(op, self.log.undo)))

    def redo(self) -> Future[Edit]:
        return self._submit(Op(lambda op: self._begin_step(op, self.log.redo)))

    def remove(self, obj_id: int) -> Future[None]:
        return self._submit(Op(lambda op: self._begin_remove(op, obj_id)))

    def reset(self) -> Future[int]:
        """Queue a reset; the future holds how many objects it cleared."""
        return self._submit(Op(self._begin_reset))

    def rename(self, obj_id: int, name: str | None, label: str | None, color: str | None) -> ObjectInfo:
        """Rename an object at once, even while a propagation runs."""
        with self.lock:
            self._check_open()
            self.book.object_info(obj_id)
            self.log.append(RenameAction(obj_id, name, label, color))
            self.changes.ring()
            return self.objects[obj_id]

    def cancel(self) -> Future[None]:
        """End the propagation that runs or waits, if any; what was computed stays.

        The future is done when it has ended: at the latest after the engine's current step.
        """
        ended: Future[None] = Future()
        with self.lock:
            self._queue.cancel_waiting_runs()
            run = self.run
            if run is None or not run.active:
                ended.set_result(None)
                return ended
            if not run.cancelling:
                run.cancelling = True
                self._pool.tell(self.id, m.Cancel(self._run_ticket))
            run.ended_callbacks.append(lambda: ended.set_result(None))
        return ended

    def close(self) -> int:
        """End everything and free the engine's memory; returns the bytes freed. Idempotent."""
        with self.lock:
            if self.closed:
                return 0
            freed, self.memory_bytes = self.memory_bytes, 0
            self.closed = True
            unanswered = self._queue.abandon()
            if self.run and self.run.active:
                self._end_run(self.run, "cancelled")
            self._opened = None
            self._pool.forget(self.id)
        for op in unanswered:
            op.future.set_exception(closed_error())
        self.changes.ring()
        return freed

    def park(self) -> bool:
        """Free the engine's memory and place, unless the session is in use; the next use takes them again."""
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

    def _submit(self, op: Op) -> Future[Any]:
        with self.lock:
            self._check_open()
            return self._queue.submit(op)

    def _released(self) -> None:
        self.touch()
        self.changes.ring()

    def _check_open(self) -> None:
        if self.closed:
            raise closed_error()

    # --- the engine's state ----------------------------------------------------------------------

    @property
    def _engine(self) -> EngineInfo | None:
        return next((s.info for s in self._pool.status() if s.info), None)

    def _ensure_open(self) -> None:
        """Have the engine's state open in the worker's present life; the lock is held."""
        if self._opened is None:
            self._admit(self)
        life = self._pool.incarnation(self.id)
        if self._opened == life:
            return
        self._opened = life
        self.parked = False
        self._pool.open(self.id, self.video, self.book.snapshot(), self._on_opened)

    def _on_opened(self, reply: m.Reply) -> None:
        with self.lock:
            if isinstance(reply, m.Opened):
                self._holds(reply.memory_bytes)
            elif isinstance(reply, m.Failed):
                # The prompt behind it gets the reason; the next one tries again.
                self._opened = None

    def _lose_engine(self) -> None:
        """The engine's state went with its process. The place in memory stays taken for what is under way."""
        self._opened = LOST

    def _holds(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self.peak_bytes = max(self.peak_bytes, memory_bytes)

    def _forget_engine(self) -> None:
        """The engine's state no longer follows from the log: build it again on the next use."""
        if self._opened is not None:
            self._opened = None
            self._pool.tell(self.id, m.Close(self.id))

    # --- prompts ---------------------------------------------------------------------------------

    def _begin_prompt(self, op: Op, frame_index: int, prompts: tuple[Prompt, ...], obj_id: int | None) -> None:
        request = self.book.request(frame_index, prompts, obj_id)
        engine = self._engine
        if engine:
            require(engine.capabilities, request, engine.title)
        self._ensure_open()
        self._pool.apply(self.id, request, lambda reply: self._on_applied(op, request, reply))

    def _on_applied(self, op: Op, request: PromptRequest, reply: m.Reply) -> None:
        with self.lock:
            if self._queue.current is not op:
                return
            if isinstance(reply, m.Failed):
                error = reply.error
                if _lost(reply):
                    self._lose_engine()
                    if op.patience.again(blamed=reply.blamed):
                        self._queue.attempt(op)
                        return
                    error = _given_up(reply)
                self._queue.release(op, error=error)
            elif isinstance(reply, m.Applied):
                self._holds(reply.memory_bytes)
                self.failed = False
                frame = self.book.write_prompt(request, reply.frame.objects, reply.concept_kept, reply.born)
                message = None
                if frame is None or not frame.objects:
                    message = nothing_found(request, self._engine, reply.concept_kept)
                frame = frame or FrameResult(request.frame_index, ())
                self._queue.release(op, PromptOutcome(frame, message, reply.cache_hit))

    # --- propagation -----------------------------------------------------------------------------

    def _begin_run(self, op: Op, request: PropagateRequest) -> None:
        planned = first_span(self.book, request, self.video.num_frames)
        span, legs = planned.span, planned.span.legs
        self._ensure_open()
        ends = [frame for leg in legs for frame in (leg.frames[0], leg.frames[-1])]
        run_id = secrets.token_urlsafe(9)
        action = PropagateAction(run_id, request.direction, planned.start, (min(ends), max(ends)), span.obj_ids)
        edit = self.log.append(action)
        run = Run(run_id, edit.seq, request.direction, span.obj_ids, planned.start, legs)
        self.run = run
        self.failed = False
        self._span = span
        self._send_run(op, run, span)
        op.future.set_result(run)
        self.changes.ring()

    def _send_run(self, op: Op, run: Run, span: Span) -> None:
        self._run_ticket = self._pool.propagate(self.id, span, lambda reply: self._on_run(op, run, reply))

    def _on_run(self, op: Op, run: Run, reply: m.Reply) -> None:
        with self.lock:
            if self._queue.current is not op or not run.active:
                return
            match reply:
                case m.Stepped():
                    self._holds(reply.memory_bytes)
                    run.stepped(reply.frame.frame_index, self.book.write_frame(run.seq, reply.frame, reply.born))
                    self.changes.ring()
                case m.Finished():
                    self._end_run(run, "cancelled" if reply.cancelled else "complete")
                    self._queue.release(op)
                case m.Failed():
                    self._run_failed(op, run, reply)

    def _run_failed(self, op: Op, run: Run, reply: m.Failed) -> None:
        error = reply.error
        if _lost(reply):
            self._lose_engine()
            if run.cancelling:
                self._end_run(run, "cancelled")
                self._queue.release(op)
                return
            error = _given_up(reply)
            if op.patience.again(blamed=reply.blamed, done=run.done):
                try:
                    self._revive(op, run)
                    return
                except ServiceError as failure:
                    error = failure
        run.error, run.code = error.sentence, error.code
        self.failed = True
        # A model that failed may have left its state half done.
        self._forget_engine()
        self._end_run(run, "error")
        self._queue.release(op)

    def _revive(self, op: Op, run: Run) -> None:
        """Go on with a run whose worker was lost, from the last frame that is stored."""
        assert self._span is not None
        self._ensure_open()
        self._send_run(op, run, rest_of(self.book, self._span, run.done))

    def _end_run(self, run: Run, state: RunState) -> None:
        if run.frames:
            self.outcomes[run.seq] = Outcome(state, tuple(frame for frame, _ in run.frames))
        else:
            self.log.retract(run.seq)
        run.end(state)

    # --- the other edits -------------------------------------------------------------------------

    def _begin_step(self, op: Op, step: Callable[[], Edit]) -> None:
        edit = step()
        if not isinstance(edit.action, RenameAction):
            self._forget_engine()
        self._queue.release(op, edit)

    def _begin_remove(self, op: Op, obj_id: int) -> None:
        self.book.object_info(obj_id)
        self.log.append(RemoveAction(obj_id))
        self._pool.tell(self.id, m.Remove(self.id, obj_id))
        self._queue.release(op)

    def _begin_reset(self, op: Op) -> None:
        count = len(self.objects)
        self.log.append(ResetAction())
        self._pool.tell(self.id, m.Reset(self.id))
        self._queue.release(op, count)


def _given_up(reply: m.Failed) -> ServiceError:
    """What to say of a request that is not tried again after its worker ended."""
    if not isinstance(reply.error, WorkerLost):
        return reply.error
    if reply.blamed:
        return WorkerLost("The engine ended over this again and again, so it was given up. What was computed is kept.")
    return reply.error


def _lost(reply: m.Failed) -> bool:
    """Whether the engine's state went with its process, so that the same request may succeed on another."""
    return isinstance(reply.error, WorkerLost) or reply.error.code == "not_open"


def nothing_found(request: PromptRequest, engine: EngineInfo | None, kept: bool) -> str:
    """What to say of a prompt that found nothing: for a text, with the words the engine knows.

    `kept`: the engine looks for the text on the other frames all the same.
    """
    text = next((p.text for p in request.prompts if isinstance(p, Text)), None)
    if text is None:
        return f"Nothing was found there on frame {request.frame_index}."
    sentence = f"No “{text}” on frame {request.frame_index}."
    words = engine.capabilities.words if engine else ()
    if engine and words and text.lower() not in words:
        return f"{sentence} {engine.title} only knows these words: {', '.join(words)}. Or click it, or draw a box."
    if kept:
        return f"{sentence} Propagate to look for it on the other frames, or try a plainer word, or click it."
    return f"{sentence} Try a plainer word, go to a frame where it is clearly visible, or click it."
