"""Drives a session's propagations: begins them, stores what comes, goes on with them, ends them."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from backend.domain import FrameResult, PropagateAction, Span
from backend.errors import Conflict, ServiceError, WorkerLost
from backend.sessions.book import Book
from backend.sessions.journal import Journal
from backend.sessions.planning import PropagateRequest, first_span, rest_of
from backend.sessions.queue import Op, OpQueue
from backend.sessions.run import Run, Standing
from backend.sessions.seat import Seat
from backend.sessions.signal import Signal
from backend.sessions.store import Began, Change, Drop, RunIs, RunRecord, RunState, Step
from backend.workers import messages as m

MOST_AT_ONCE = 64
"""Frames that are stored together at most, where the disk is slower than the model."""


def lost(reply: m.Failed) -> bool:
    """Whether the engine's state went with its process, so that the same request may succeed on another."""
    return isinstance(reply.error, WorkerLost) or reply.error.code == "not_open"


def interruption(run: Run) -> tuple[str, str]:
    """What to say of a run that the server's end interrupted, and its code."""
    return f"The server stopped after {run.done} of {run.total} frames. Resume to go on from there.", "interrupted"


def given_up(reply: m.Failed) -> ServiceError:
    """What to say of a request that is not tried again after its worker ended."""
    if isinstance(reply.error, WorkerLost) and reply.blamed:
        return WorkerLost("The engine ended over this again and again, so it was given up. What was computed is kept.")
    return reply.error


class Runner:
    """One session's propagations, the last of which is `run`. Guarded by the session's lock.

    A frame is on record before anybody sees it. `Run.state` says how a run ended; one that did not
    come to its end can be gone on with until something else changes the session.
    """

    def __init__(
        self,
        session_id: str,
        num_frames: int,
        book: Book,
        journal: Journal,
        queue: OpQueue,
        seat: Seat,
        changes: Signal,
        lock: threading.RLock,
    ) -> None:
        self.run: Run | None = None
        self.failed = False
        """Whether the last propagation failed, and nothing has worked since."""
        self._id = session_id
        self._num_frames = num_frames
        self._book = book
        self._journal = journal
        self._queue = queue
        self._seat = seat
        self._changes = changes
        self._lock = lock
        self._ticket = 0
        self._arrived: deque[m.Reply] = deque()
        self._storing = False
        self._ending = False
        self._early: list[Future[None]] | None = None
        """Who cancels the run that is about to begin; None where none is."""

    # --- beginning -------------------------------------------------------------------------------

    def begin(self, op: Op, request: PropagateRequest) -> None:
        """Start the propagation that an operation asks for; its future holds the `Run`."""
        if request.resume:
            self._resume(op)
            return
        planned = first_span(self._book, request, self._num_frames)
        span, legs = planned.span, planned.span.legs
        self._seat.ensure_open()
        ends = [frame for leg in legs for frame in (leg.frames[0], leg.frames[-1])]
        run_id = secrets.token_urlsafe(9)
        action = PropagateAction(run_id, request.direction, planned.start, (min(ends), max(ends)), span.obj_ids)
        begun: list[Run] = []
        self._early = []

        def make() -> Sequence[Change]:
            edit, changes = self._book.log.appended(action)
            run = Run(
                run_id,
                edit.seq,
                request.direction,
                span.obj_ids,
                planned.start,
                legs,
                planned.everything,
                span.next_obj_id,
            )
            begun.append(run)
            return [*changes, Began(RunRecord(run.seq, legs, run.everything, run.first_new_id))]

        self._journal.enter(make, lambda error: self._begun(op, begun, span, error))

    def _resume(self, op: Op) -> None:
        run = self.run
        if run is None or not self.resumable:
            raise Conflict(
                "There is no propagation to go on with: the last one came to its end, or the session was changed "
                "since.",
                "nothing_to_resume",
            )
        span = rest_of(self._book, run)
        self._seat.ensure_open()
        self._early = []
        self._journal.enter(
            lambda: [RunIs(run.seq, "running", milliseconds=run.milliseconds)],
            lambda error: self._begun(op, [run], span, error),
        )

    def _begun(self, op: Op, begun: Sequence[Run], span: Span, error: ServiceError | None) -> None:
        early, self._early = self._early or [], None
        if error is not None:
            for ended in early:
                ended.set_result(None)
            self._queue.release(op, error=error)
            return
        self._book.log.changed()
        (run,) = begun
        run.begin()
        self.run = run
        self.failed = False
        self._arrived.clear()
        self._ending = False
        run.ended_callbacks += [partial(ended.set_result, None) for ended in early]
        try:
            self._send(op, run, span)
        except ServiceError as failure:
            self._end(op, run, "error", failure)
        if early:
            self._stop(run)
        # The run is on its way, or tells by itself why not.
        if not op.future.done():
            op.future.set_result(run)
        self._changes.ring()

    @property
    def resumable(self) -> bool:
        """Whether the last run on record did not come to its end, and nothing has changed the session since."""
        newest, seq = self._book.log.newest(), self._last_seq
        if newest is None or newest.seq != seq or (self.run and self.run.active):
            return False
        return self.state_of(seq) != "complete"

    @property
    def _last_seq(self) -> int | None:
        return max(self._book.records.runs(), default=None)

    @property
    def standing(self) -> Standing | None:
        """Where the last run stands; reads no results."""
        run, seq = self.run, self._last_seq
        if run:
            done = run.done
            last = run.frames[done - 1][0] if done else None
            return Standing(run.id, run.state, done, run.total, last, self.resumable)
        log = self._book.records.log
        action = next((e.action for e in log.edits if e.seq == seq), None)
        if seq is None or not isinstance(action, PropagateAction):
            return None
        done, last = log.reached or (0, None)
        total = sum(len(leg.frames) for leg in log.runs[seq].legs)
        return Standing(action.run_id, self.state_of(seq), done, total, last, self.resumable)

    def state_of(self, seq: int) -> RunState:
        """How the propagation of that edit stands, or how it ended."""
        if self.run and self.run.seq == seq:
            return self.run.state
        state = self._book.records.runs()[seq].state
        return "interrupted" if state in ("queued", "running") else state

    def restore(self) -> None:
        """Take the last run from the records, as after a restart."""
        if self.run is None and self._last_seq is not None:
            self.run = self._recalled(self._last_seq)

    def settle(self) -> None:
        """The log has changed: where the last run's edit was dropped, the one before it is the last."""
        if self.run and not self.run.active and self.run.seq not in self._book.records.runs():
            self.run = None
            self.restore()

    def _recalled(self, seq: int) -> Run | None:
        record = self._book.records.runs()[seq]
        action = next((e.action for e in self._book.log.edits if e.seq == seq), None)
        if not isinstance(action, PropagateAction):
            return None
        run = Run(
            action.run_id,
            seq,
            action.direction,
            action.obj_ids,
            action.start,
            record.legs,
            record.everything,
            record.first_new_id,
            spent=record.milliseconds,
        )
        run.frames = list(self._book.records.steps(seq))
        run.error, run.code = record.error, record.code
        state = self.state_of(seq)
        if state == "interrupted":
            run.error, run.code = interruption(run)
        run.end(state)
        return run

    def cancel(self) -> Future[None]:
        """End the run that is going on, if any; the future is done when it has ended."""
        ended: Future[None] = Future()
        if self._early is not None:
            self._early.append(ended)
            return ended
        run = self.run
        if run is None or not run.active:
            ended.set_result(None)
            return ended
        self._stop(run)
        run.ended_callbacks.append(lambda: ended.set_result(None))
        return ended

    def _stop(self, run: Run) -> None:
        if not run.cancelling:
            run.cancelling = True
            self._seat.pool.tell(self._id, m.Cancel(self._ticket))

    def abandon(self, state: RunState) -> None:
        """The session ends, or the server does: so does the run, without a word in the records."""
        run = self.run
        if run and run.active:
            if state == "interrupted":
                run.error, run.code = interruption(run)
            run.end(state)

    # --- what comes from the worker --------------------------------------------------------------

    def _send(self, op: Op, run: Run, span: Span) -> None:
        self._ticket = self._seat.pool.propagate(self._id, span, lambda reply: self._on_reply(op, run, reply))

    def _on_reply(self, op: Op, run: Run, reply: m.Reply) -> None:
        with self._lock:
            if self._queue.current is op and run.active:
                self._arrived.append(reply)
                self._take(op, run)

    def _take(self, op: Op, run: Run) -> None:
        """Take in what has arrived, in its order: frames that wait for the disk come first."""
        if self._storing or self._ending or not self._arrived or not run.active:
            return
        if not isinstance(self._arrived[0], m.Stepped):
            match self._arrived.popleft():
                case m.Finished(_, cancelled):
                    self._end(op, run, "cancelled" if cancelled else "complete")
                case m.Failed() as reply:
                    self._on_failed(op, run, reply)
            return
        steps: list[Step] = []

        def make() -> Sequence[Change]:
            taken: list[tuple[FrameResult, dict[int, str]]] = []
            while len(taken) < MOST_AT_ONCE and self._arrived and isinstance(self._arrived[0], m.Stepped):
                reply = self._arrived.popleft()
                assert isinstance(reply, m.Stepped)
                self._seat.holds(reply.memory_bytes)
                taken.append((reply.frame, dict(reply.born)))
            found, changes = self._book.stepped(run.seq, run.done, taken)
            steps.extend(found)
            return changes

        def done(error: ServiceError | None) -> None:
            self._storing = False
            if not run.active:
                return
            if error is not None:
                self._give_up(op, run, error)
                return
            self._book.log.changed()
            for frame_index, obj_ids in steps:
                run.stepped(frame_index, obj_ids)
            self._changes.ring()
            self._take(op, run)

        self._storing = True
        self._journal.enter(make, done)

    def _on_failed(self, op: Op, run: Run, reply: m.Failed) -> None:
        error = reply.error
        if lost(reply):
            self._seat.lost()
            if run.cancelling:
                self._end(op, run, "cancelled")
                return
            error = given_up(reply)
            if op.patience.again(blamed=reply.blamed, done=run.done):
                try:
                    self._seat.ensure_open()
                    self._send(op, run, rest_of(self._book, run))
                    return
                except ServiceError as failure:
                    error = failure
        # A model that failed may have left its state half done.
        self._seat.forget()
        self._end(op, run, "error", error)

    def _give_up(self, op: Op, run: Run, error: ServiceError) -> None:
        """What was computed can't be stored: end the run with what is."""
        self._seat.pool.tell(self._id, m.Cancel(self._ticket))
        self._end(op, run, "error", error)

    def _end(self, op: Op, run: Run, state: RunState, error: ServiceError | None = None) -> None:
        """Enter how a run ended, then let the session go on; one without a frame leaves no edit."""
        self._ending = True
        run.error, run.code = (error.sentence, error.code) if error else (None, None)
        self.failed = state == "error"
        changes: list[Change] = [RunIs(run.seq, state, run.error, run.code, run.milliseconds)]
        if not run.frames:
            changes = [Drop((run.seq,))]

        def done(_: ServiceError | None) -> None:
            # What could not be entered is found out again after a restart, as "interrupted".
            self._book.log.changed()
            run.end(state)
            self.settle()
            self._queue.release(op)

        self._journal.enter(lambda: changes, done)
