"""What runs inside a worker process: the scheduler around one engine.

Two threads. The main one reads requests from the pipe, so that the service's writes never wait for
a model. The engine thread builds, calls and iterates the engine (a model may demand one thread for
all), takes everything else before propagations, and steps each propagation one frame a turn, in
turns: so a click waits for at most one engine step, whoever is propagating.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Protocol

from backend import errors
from backend.domain import DenseResult, Video
from backend.engines.base import Engine, FrameSource, Handle
from backend.engines.registry import EngineSpec, build
from backend.errors import EngineError, ServiceError
from backend.workers import messages as m
from backend.workers.checks import Expected, memory_of, rubbish

log = logging.getLogger(__name__)


class ClosableFrames(FrameSource, Protocol):
    """A frame source that holds a file."""

    def close(self) -> None: ...


@dataclass(slots=True)
class _Open:
    """A session as the engine thread holds it; `error` where it could not be opened."""

    video: Video
    frames: ClosableFrames | None
    handle: Handle
    error: ServiceError | None = None


@dataclass(slots=True)
class _Running:
    ticket: int
    session_id: str
    results: Iterator[DenseResult]
    expected: Expected


class Inbox:
    """Requests on their way to the engine thread. `post` may be called from any thread."""

    def __init__(self) -> None:
        self._requests: deque[m.Request] = deque()
        self._cancelled: set[int] = set()
        self._wake = threading.Condition()

    def post(self, request: m.Request) -> None:
        with self._wake:
            if isinstance(request, m.Cancel):
                # Seen before the next step, even where other requests wait in front.
                self._cancelled.add(request.ticket)
            else:
                self._requests.append(request)
                self._wake.notify()

    def take(self, *, wait: bool) -> m.Request | None:
        """The oldest request; without `wait`, None where there is none."""
        with self._wake:
            if wait:
                self._wake.wait_for(lambda: self._requests)
            return self._requests.popleft() if self._requests else None

    def cancelled(self, ticket: int) -> bool:
        with self._wake:
            return ticket in self._cancelled

    def settle(self, ticket: int) -> None:
        """The ticket is answered: forget that it may have been cancelled."""
        with self._wake:
            self._cancelled.discard(ticket)


class Scheduler:
    """Orders one engine's work; used by one thread.

    Args:
        engine: the engine.
        inbox: where its requests come from.
        open_frames: opens a video's frames.
        send: takes the replies.
        mark: told the ticket that the engine is about to work on, and 0 when it is done with it.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        open_frames: Callable[[Video], ClosableFrames],
        send: Callable[[m.FromWorker], None],
        mark: Callable[[int], None] = lambda ticket: None,
    ) -> None:
        self._engine = engine
        self._mark = mark
        self._inbox = inbox
        self._open_frames = open_frames
        self._send = send
        self._sessions: dict[str, _Open] = {}
        self._runs: deque[_Running] = deque()

    def turn(self) -> None:
        """Do one thing: the oldest waiting request, else one frame of the next propagation.

        Waits where there is neither.
        """
        request = self._inbox.take(wait=not self._runs)
        if request is not None:
            self._mark(getattr(request, "ticket", 0))
            self._do(request)
        elif self._runs:
            run = self._runs.popleft()
            self._mark(run.ticket)
            self._step(run)
        self._mark(0)

    # --- requests ------------------------------------------------------------------------------

    def _do(self, request: m.Request) -> None:
        ticket = getattr(request, "ticket", 0)
        try:
            match request:
                case m.Open():
                    self._open(request)
                case m.Apply():
                    opened = self._opened(request.session_id)
                    dense = self._engine.apply(opened.handle, request.request)
                    frame = Expected.of_prompt(request.request).take(dense, opened.video)
                    hit = None if dense.cache_hit is None else bool(dense.cache_hit)
                    born, kept = dict(dense.born), bool(dense.concept_kept)
                    self._send(m.Applied(ticket, frame, kept, self._memory(opened), born, hit))
                case m.Propagate():
                    opened = self._opened(request.session_id)
                    results = self._engine.propagate(opened.handle, request.span)
                    expected = Expected.of_span(request.span)
                    self._runs.append(_Running(ticket, request.session_id, iter(results), expected))
                case m.Remove():
                    self._engine.remove(self._opened(request.session_id).handle, request.obj_id)
                case m.Reset():
                    self._engine.reset(self._opened(request.session_id).handle)
                case m.Close():
                    self._close(request.session_id)
        except Exception as error:
            self._failed(ticket, error)

    def _open(self, request: m.Open) -> None:
        self._close(request.session_id)
        opened = _Open(request.video, None, None)
        self._sessions[request.session_id] = opened
        try:
            opened.frames = self._open_frames(request.video)
            opened.handle = self._engine.open(request.video, opened.frames, request.snapshot)
        except Exception as error:
            # What comes next for this session is answered with the reason it is not open.
            opened.error = _as_service_error(error)
            raise
        self._send(m.Opened(request.ticket, self._memory(opened)))

    def _opened(self, session_id: str) -> _Open:
        opened = self._sessions.get(session_id)
        if opened is None:
            raise EngineError("The session is not open on this worker.", "not_open")
        if opened.error:
            raise opened.error
        return opened

    def _close(self, session_id: str) -> None:
        for run in [r for r in self._runs if r.session_id == session_id]:
            self._runs.remove(run)
            self._end(run, cancelled=True)
        opened = self._sessions.pop(session_id, None)
        if opened is None:
            return
        try:
            if opened.error is None:
                self._engine.close(opened.handle)
        finally:
            if opened.frames is not None:
                opened.frames.close()

    def _memory(self, opened: _Open) -> int:
        return memory_of(self._engine.memory_bytes(opened.handle))

    # --- propagations --------------------------------------------------------------------------

    def _step(self, run: _Running) -> None:
        if self._inbox.cancelled(run.ticket):
            self._end(run, cancelled=True)
            return
        try:
            dense = next(run.results, None)
            if dense is None:
                run.expected.end()
                self._end(run, cancelled=False)
                return
            opened = self._sessions[run.session_id]
            frame = run.expected.take(dense, opened.video)
            self._send(m.Stepped(run.ticket, frame, self._memory(opened), dict(dense.born)))
        except Exception as error:
            self._shut(run)
            self._failed(run.ticket, error)
        else:
            self._runs.append(run)

    def _end(self, run: _Running, *, cancelled: bool) -> None:
        self._shut(run)
        self._send(m.Finished(run.ticket, cancelled))

    def _shut(self, run: _Running) -> None:
        self._inbox.settle(run.ticket)
        close = getattr(run.results, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()

    def _failed(self, ticket: int, error: Exception) -> None:
        failure = _as_service_error(error)
        if not isinstance(error, ServiceError):
            log.error("The engine failed", exc_info=error)
        if ticket:
            self._send(m.Failed(ticket, failure))


def _as_service_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        # Of our own classes only: an engine's subclass may not be known to the service, or not be sent at all.
        ours = type(error) is getattr(errors, type(error).__name__, None)
        sound = isinstance(error.sentence, str) and isinstance(error.code, str)
        if ours and sound:
            return error
        return EngineError(str(error.sentence), str(error.code) if sound else None)
    if isinstance(error, MemoryError):
        return EngineError("The machine ran out of memory. What was computed is kept.", "out_of_memory")
    return EngineError("The model failed on this frame. Try again, or another prompt.", "engine_failed")


class Outbox:
    """Sends messages to the service, whatever an engine put into them.

    Args:
        connection: the worker's end of the pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: m.FromWorker) -> None:
        """Send a message; one that can't be sent, or is too large, is answered as a failure of its ticket."""
        try:
            data = bytes(ForkingPickler.dumps(message))
        except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
            log.error("A message could not be sent", exc_info=error)
            data = _failure(message, rubbish("returned something that can't be sent"))
        if len(data) > m.MAX_MESSAGE_BYTES:
            data = _failure(message, rubbish("returned more than could be kept"))
        with contextlib.suppress(BrokenPipeError):
            self._connection.send_bytes(data)


def _failure(message: m.FromWorker, error: EngineError) -> bytes:
    ticket = getattr(message, "ticket", 0)
    return bytes(ForkingPickler.dumps(m.Failed(ticket, error) if ticket else m.LoadFailed(error)))


class Marker(Protocol):
    """Memory that the service reads: the ticket that the engine works on."""

    value: int


def serve(connection: Connection, spec: EngineSpec, doing: Marker) -> None:
    """The worker process's main function: returns when the service closes the pipe."""
    # Ctrl+C reaches the whole group; the service decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from backend.media.reader import open_frames

    inbox = Inbox()
    send = Outbox(connection).send

    def mark(ticket: int) -> None:
        doing.value = ticket

    def work() -> None:
        try:
            engine = build(spec, lambda stage: send(m.Loading(stage)))
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("The engine could not be loaded")
            send(m.LoadFailed(_as_load_error(error)))
            return
        scheduler = Scheduler(engine, inbox, open_frames, send, mark)
        send(m.Ready(engine.info))
        while True:
            scheduler.turn()

    def work_or_end() -> None:
        # What is no Exception (a package that calls sys.exit), or no memory left to say what went wrong: the
        # process ends at once and is replaced, rather than owe its answers until somebody notices.
        try:
            work()
        except BaseException:
            log.exception("The engine's thread ended")
            os._exit(1)

    threading.Thread(target=work_or_end, name="engine", daemon=True).start()
    while True:
        try:
            inbox.post(connection.recv())
        except (EOFError, OSError):
            # The service is gone. An engine may be deep in native code: don't wait for it.
            os._exit(0)


def _as_load_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return EngineError(f"The engine could not be loaded ({type(error).__name__}).", "engine_unavailable")
