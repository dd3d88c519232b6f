"""One session: a state machine over its book, its queue, its journal and its seat in the pool.

What changes a session goes through one queue, one operation at a time, in the order asked. A
propagation holds the queue until it ends, and what would change the session meanwhile is refused.
Whatever is answered is stored: an operation is over once its changes are on record.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.domain import (
    Edit,
    EngineInfo,
    FrameResult,
    MaskPrompt,
    ObjectInfo,
    Prompt,
    PromptRequest,
    RemoveAction,
    RenameAction,
    ResetAction,
    Stretches,
    Text,
    Video,
)
from backend.engines.base import require
from backend.errors import EngineError, InvalidInput, ServiceError
from backend.sessions import ranges, repair
from backend.sessions.book import Book, Repaired
from backend.sessions.journal import Journal, Write
from backend.sessions.log import EditLog
from backend.sessions.planning import PropagateRequest
from backend.sessions.queue import Op, OpQueue
from backend.sessions.results import Results
from backend.sessions.run import Run, Standing, closed_error
from backend.sessions.runner import Runner, given_up, lost
from backend.sessions.seat import Seat
from backend.sessions.signal import Signal
from backend.sessions.store import Change, Records, RunState, SessionRow
from backend.workers import messages as m
from backend.workers.pool import Pool

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromptOutcome:
    """What a prompt did: the objects it wrote on its frame; where it found nothing, why."""

    frame: FrameResult
    message: str | None = None
    cache_hit: bool | None = None
    """Whether the frame's features were there already; None: the engine keeps none, or needed none."""


Make = Callable[[], tuple[Any, Sequence[Change]]]


class Session:
    """See the module. Thread-safe.

    Args:
        row: what is on record of it as a whole.
        records: its edits and results.
        write: stores changes, see `Journal`.
        admit: called before the session takes engine memory; raises `TooMany` where there is none.
        clock: the server's own time, in seconds.
        kept: whether it outlives the process.
    """

    def __init__(
        self,
        row: SessionRow,
        records: Records,
        pool: Pool,
        write: Write,
        admit: Callable[[Session], None],
        clock: Callable[[], float] = time.monotonic,
        kept: bool = True,
    ) -> None:
        self.row = row
        self.id = row.id
        self.owner = row.owner
        self.kept = kept
        self.video: Video = row.video
        self.created_at = row.created_at
        self.changes = Signal()
        self.lock = threading.RLock()
        self.book = Book(records)
        self.closed = False
        self.used = row.used
        """When it was last used, by the server's own time."""
        self._clock = clock
        self._pool = pool
        self._journal = Journal(self.lock, records, write)
        self._queue = OpQueue(self.lock, self._released)
        self._seat = Seat(row.id, row.video, self.book, pool, self.lock, lambda: admit(self))
        self._runner = Runner(
            row.id, row.video.num_frames, self.book, self._journal, self._queue, self._seat, self.changes, self.lock
        )

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

    @property
    def run(self) -> Run | None:
        """The propagation that goes on, or was the last."""
        return self._runner.run

    def object_info(self, obj_id: int) -> ObjectInfo:
        """An object of the session; raises `NotFound`."""
        with self.lock:
            return self.book.object_info(obj_id)

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return self._queue.busy or self._journal.busy

    @property
    def holds_engine(self) -> bool:
        return self._seat.taken

    @property
    def parked(self) -> bool:
        return self._seat.parked

    @property
    def memory_bytes(self) -> int:
        """What the engine holds of it."""
        return self._seat.memory_bytes

    @property
    def peak_bytes(self) -> int:
        """The most engine memory it ever held."""
        return self._seat.peak_bytes

    @property
    def status(self) -> str:
        if self.run and self.run.active:
            return "queued" if self.run.state == "queued" else "processing"
        if self.busy:
            return "processing"
        if self.interrupted:
            return "interrupted"
        if self.parked:
            return "parked"
        return "error" if self._runner.failed else "ready"

    @property
    def resumable(self) -> bool:
        """Whether the last propagation did not come to its end, and can be gone on with."""
        return self._runner.resumable

    @property
    def standing(self) -> Standing | None:
        """Where the propagation that goes on, or was the last, stands; reads no results."""
        return self._runner.standing

    @property
    def interrupted(self) -> bool:
        """Whether the server's end cut its last propagation off, and nothing has changed it since."""
        newest, runs = self.log.newest(), self.book.records.runs()
        # One that was begun later counts although it was undone.
        return (
            newest is not None and newest.seq == max(runs, default=None) and self.run_state(newest.seq) == "interrupted"
        )

    def run_state(self, seq: int) -> RunState:
        """How the propagation of that edit stands, or how it ended."""
        return self._runner.state_of(seq)

    def touch(self) -> None:
        """Say that somebody uses the session."""
        self.used = self._clock()

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self.busy else self._clock() - self.used

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

        The future's errors: NotFound (unknown object), Unsupported, EngineError, Conflict, and what
        keeps it from being stored: DiskFull, StorageUnavailable.
        """
        self._check_prompts(frame_index, prompts)
        return self._submit(Op(lambda op: self._begin_prompt(op, frame_index, prompts, obj_id)))

    def propagate(self, request: PropagateRequest) -> Future[Run]:
        """Queue a propagation; the future holds its `Run` once it is on its way.

        The future's errors: InvalidInput (bad range, `no_prompt`), NotFound, Conflict (among others
        `nothing_to_resume`), EngineError, DiskFull, StorageUnavailable.
        """
        return self._submit(Op(lambda op: self._runner.begin(op, request), is_run=True))

    def _check_prompts(self, frame_index: int, prompts: tuple[Prompt, ...]) -> None:
        if not prompts:
            raise InvalidInput("Send at least one prompt.", "no_prompts")
        ranges.check_frame(frame_index, self.video.num_frames)
        for prompt in prompts:
            size = (prompt.rle.height, prompt.rle.width) if isinstance(prompt, MaskPrompt) else None
            if size and size != (self.video.height, self.video.width):
                raise InvalidInput("The mask is not of the video's size.", "invalid_mask")

    def undo(self) -> Future[Edit]:
        return self._submit(Op(lambda op: self._step(op, self.log.undo)))

    def redo(self) -> Future[Edit]:
        return self._submit(Op(lambda op: self._step(op, self.log.redo)))

    def remove(self, obj_id: int) -> Future[None]:
        return self._submit(Op(lambda op: self._remove(op, obj_id)))

    def approve(self, obj_id: int, start: int | None, stop: int | None, approved: bool) -> Future[Stretches]:
        """Queue an approval of the object's masks on a span, or its taking back.

        Approved masks are never stale, and no propagation overwrites them. The future holds all
        frames that are approved of the object then. Where that changes nothing there is no edit.

        Raises:
            InvalidInput: a frame beyond the video, a span that runs backward.
            Conflict: a propagation is running, or the session is closed.
        """
        first, last = ranges.check_span(start, stop, self.video.num_frames)
        make = partial(self.book.approved, obj_id, first, last, approved)
        return self._submit(Op(lambda op: self._enter(op, make)))

    def split(
        self,
        obj_id: int,
        frame_index: int,
        prompts: tuple[Prompt, ...],
        start: int | None = None,
        stop: int | None = None,
    ) -> Future[Repaired]:
        """Queue a split: the part of the object that points or masks mean on a frame becomes a new object.

        Args:
            start: of the other frames on which it is split too; default: none of them.
            stop: their last; default: with `start`, the video's.

        Raises:
            InvalidInput: prompts that mean no part, frames beyond the video or without `frame_index`.
            Conflict: a propagation is running, or the session is closed.

        The future's errors: NotFound (unknown object), InvalidInput (`nothing_to_split`), and what
        keeps it from being stored.
        """
        self._check_prompts(frame_index, prompts)
        repair.check_split(prompts)
        alone = start is None and stop is None
        first, last = (frame_index,) * 2 if alone else ranges.check_span(start, stop, self.video.num_frames)
        if not first <= frame_index <= last:
            raise InvalidInput("The frame to split on has to lie between start and stop.", "invalid_range")

        def begin(op: Op) -> None:
            results = {f: stored.result for f, stored in self.book.masks(obj_id, first, last).items()}

            def work() -> Make:
                divided = repair.split(results, frame_index, prompts)
                return lambda: self.book.split(obj_id, frame_index, prompts, divided)

            self._work_out(op, work)

        return self._submit(Op(begin))

    def merge(self, obj_id: int, other: int, start: int | None = None, stop: int | None = None) -> Future[Repaired]:
        """Queue a merge: an object gets the other's masks too.

        Without `start` and `stop` on all frames, and the other is gone afterwards; with them the
        other is emptied on those frames.

        Raises:
            InvalidInput: one object, a frame beyond the video, a span that runs backward.
            Conflict: a propagation is running, or the session is closed.

        The future's errors: NotFound (unknown object), InvalidInput (`nothing_to_merge`), and what
        keeps it from being stored.
        """
        whole = start is None and stop is None
        first, last = ranges.check_span(start, stop, self.video.num_frames)
        if obj_id == other:
            raise InvalidInput("An object can't be merged with itself: name another one.", "same_object")

        def begin(op: Op) -> None:
            mine, theirs = self.book.masks(obj_id, first, last), self.book.masks(other, first, last)

            def work() -> Make:
                merged = repair.merge(obj_id, mine, theirs, whole)
                return lambda: self.book.merge(obj_id, other, whole, merged)

            self._work_out(op, work)

        return self._submit(Op(begin))

    def reset(self) -> Future[int]:
        """Queue a reset; the future holds how many objects it cleared."""
        return self._submit(Op(self._reset))

    def rename(self, obj_id: int, name: str | None, label: str | None, color: str | None) -> Future[ObjectInfo]:
        """Rename an object, even while a propagation runs.

        The future's errors: NotFound, Conflict (closed), DiskFull, StorageUnavailable.
        """
        out: Future[ObjectInfo] = Future()

        def make() -> Sequence[Change]:
            self.book.object_info(obj_id)
            return self.log.appended(RenameAction(obj_id, name, label, color))[1]

        def done(error: ServiceError | None) -> None:
            self._changed()
            if error is not None:
                out.set_exception(error)
                return
            out.set_result(self.objects[obj_id])
            self.changes.ring()

        with self.lock:
            self._check_open()
            self._journal.enter(make, done)
        return out

    def cancel(self) -> Future[None]:
        """End the propagation that runs or waits, if any; what was computed stays.

        The future is done when it has ended: at the latest after the engine's current step.
        """
        with self.lock:
            self._queue.cancel_waiting_runs()
            return self._runner.cancel()

    def close(self, run_state: RunState = "cancelled") -> int:
        """End everything and free the engine's memory; returns the bytes freed. Idempotent.

        What is on record stays there. `run_state` is what a propagation that goes on ends as.
        """
        with self.lock:
            if self.closed:
                return 0
            self.closed = True
            unanswered = self._queue.abandon()
            self._runner.abandon(run_state)
            self._journal.close(closed_error())
            freed = self._seat.leave()
        for op in unanswered:
            # One whose changes were being stored got its answer when the journal was closed.
            if not op.future.done():
                op.future.set_exception(closed_error())
        self.changes.ring()
        return freed

    def park(self) -> bool:
        """Free the engine's memory and place, unless the session is in use; the next use takes them again."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            return not self.busy and self._seat.park()
        finally:
            self.lock.release()

    @property
    def loaded(self) -> bool:
        """Whether using it reads nothing from the disk."""
        return self.book.records.loaded

    def load(self) -> None:
        """Read its records, unless they are there.

        Raises:
            StorageUnavailable: they can't be read.
        """
        with self.lock:
            if not self.loaded:
                self.book.records.load()
                self.log.changed()
                self._runner.restore()

    def unload(self) -> bool:
        """Let go of its records, unless the session is in use; the next use reads them again."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self.busy or not self.loaded:
                return False
            self._runner.run = None
            self.book.records.unload()
            self.log.changed()
            return True
        finally:
            self.lock.release()

    def dormant(self) -> None:
        """It was read from the disk: it has no engine until it is used."""
        self._seat.parked = True

    def warm(self) -> None:
        """Open the engine's state ahead of the first prompt."""
        with self.lock:
            if not self.closed:
                self._seat.ensure_open()

    def _submit(self, op: Op) -> Future[Any]:
        with self.lock:
            self._check_open()
            return self._queue.submit(op)

    def _released(self) -> None:
        self.touch()
        self.changes.ring()

    def _changed(self) -> None:
        self.log.changed()
        self._runner.settle()

    def _check_open(self) -> None:
        if self.closed:
            raise closed_error()

    # --- prompts ---------------------------------------------------------------------------------

    def _begin_prompt(self, op: Op, frame_index: int, prompts: tuple[Prompt, ...], obj_id: int | None) -> None:
        request = self.book.request(frame_index, prompts, obj_id)
        engine = self._seat.engine
        if engine:
            require(engine.capabilities, request, engine.title)
        self._seat.ensure_open()
        self._pool.apply(self.id, request, lambda reply: self._on_applied(op, request, reply))

    def _on_applied(self, op: Op, request: PromptRequest, reply: m.Reply) -> None:
        with self.lock:
            if self._queue.current is not op:
                return
            if isinstance(reply, m.Failed):
                error = reply.error
                if lost(reply):
                    self._seat.lost()
                    if op.patience.again(blamed=reply.blamed):
                        self._queue.attempt(op)
                        return
                    error = given_up(reply)
                self._queue.release(op, error=error)
            elif isinstance(reply, m.Applied):
                self._seat.holds(reply.memory_bytes)
                self._runner.failed = False
                self._enter(op, lambda: self._prompted(request, reply))

    def _prompted(self, request: PromptRequest, reply: m.Applied) -> tuple[PromptOutcome, Sequence[Change]]:
        frame, changes = self.book.prompted(request, reply.frame.objects, reply.concept_kept, reply.born)
        message = None
        if frame is None or not frame.objects:
            message = nothing_found(request, self._seat.engine, reply.concept_kept)
        frame = frame or FrameResult(request.frame_index, ())
        return PromptOutcome(frame, message, reply.cache_hit), changes

    # --- the other edits -------------------------------------------------------------------------

    def _enter(self, op: Op, make: Make, then: Callable[[Any], None] = lambda value: None) -> None:
        """End an operation with the changes that it makes; `then` is told its value once they are stored."""
        values: list[Any] = []

        def changes() -> Sequence[Change]:
            value, out = make()
            values.append(value)
            return out

        def done(error: ServiceError | None) -> None:
            self._changed()
            if error is None:
                then(values[0])
            elif values:
                # The engine may hold what is not on record.
                self._seat.forget()
            self._queue.release(op, values[0] if error is None else None, error)

        self._journal.enter(changes, done)

    def _work_out(self, op: Op, work: Callable[[], Make]) -> None:
        """End an operation with what takes long to work out: on a thread of its own, and without the lock."""

        def run() -> None:
            make: Make | None = None
            failure: Exception = EngineError("The server made a mistake with this; it is in its log.", "internal_error")
            try:
                make = work()
            except ServiceError as error:
                failure = error
            except Exception:
                log.exception("a change of a session could not be worked out")
            with self.lock:
                if self._queue.current is not op:
                    return
                if make is None:
                    self._queue.release(op, error=failure)
                else:
                    self._enter(op, make, lambda _: self._seat.forget())

        threading.Thread(target=run, name="repair", daemon=True).start()

    def _step(self, op: Op, step: Callable[[], tuple[Edit, Sequence[Change]]]) -> None:
        def then(edit: Edit) -> None:
            if not isinstance(edit.action, RenameAction):
                self._seat.forget()

        self._enter(op, step, then)

    def _remove(self, op: Op, obj_id: int) -> None:
        def make() -> tuple[None, Sequence[Change]]:
            self.book.object_info(obj_id)
            return None, self.log.appended(RemoveAction(obj_id))[1]

        self._enter(op, make, lambda _: self._pool.tell(self.id, m.Remove(self.id, obj_id)))

    def _reset(self, op: Op) -> None:
        def make() -> tuple[int, Sequence[Change]]:
            return len(self.objects), self.log.appended(ResetAction())[1]

        self._enter(op, make, lambda _: self._pool.tell(self.id, m.Reset(self.id)))


def nothing_found(request: PromptRequest, engine: EngineInfo | None, kept: bool) -> str:
    """What to say of a prompt that found nothing: for a text, with the words the engine knows.

    `kept`: the engine looks for the text on the other frames all the same.
    """
    text = next((p.text for p in request.prompts if isinstance(p, Text)), None)
    if text is None:
        return f"Nothing was found there on frame {request.frame_index}."
    sentence = f"No “{text}” on frame {request.frame_index}."
    words = engine.capabilities.words if engine else ()
    filters = engine.capabilities.filters if engine else ()
    noun = " ".join(part for part in text.lower().split() if part not in filters)
    if engine and words and noun not in words:
        beside = " Colours, sizes and places may stand beside them, as in “largest” or “left”." if filters else ""
        return (
            f"{sentence} {engine.title} only knows these words: {', '.join(words)}.{beside} Or click it, or draw a box."
        )
    if kept:
        return f"{sentence} Propagate to look for it on the other frames, or try a plainer word, or click it."
    return f"{sentence} Try a plainer word, go to a frame where it is clearly visible, or click it."
