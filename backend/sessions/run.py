"""A propagation as it goes on, and how to follow it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from backend.domain import Direction, FrameResult, Leg
from backend.errors import Conflict
from backend.sessions.signal import Signal
from backend.sessions.store import RunState

BATCH = 16
"""How many stored frames a follower reads at once."""


@dataclass(slots=True)
class Run:
    """One propagation. It belongs to its session, never to a socket that asked for it.

    `frames` holds what was computed so far, in order: the frame and the objects that had joined.
    Their results are in the session's store under `seq`, the run's edit.
    """

    id: str
    seq: int
    direction: Direction
    obj_ids: tuple[int, ...]
    start: int
    legs: tuple[Leg, ...]
    everything: bool = True
    first_new_id: int = 1
    state: RunState = "queued"
    frames: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    error: str | None = None
    code: str | None = None
    cancelling: bool = False
    began: float = field(default_factory=time.monotonic)
    spent: float = 0.0
    """Milliseconds that went into it before `began`, where it was gone on with."""
    first_frame: float | None = None
    ended: float | None = None
    first_place: int = 0
    """How many frames were done when it began, or was last gone on with."""
    ended_callbacks: list[Callable[[], None]] = field(default_factory=list)

    def begin(self) -> None:
        """It is on its way, for the first time or once more."""
        self.spent = self.milliseconds if self.ended else 0.0
        self.state, self.error, self.code = "queued", None, None
        self.cancelling = False
        self.began, self.first_frame, self.ended = time.monotonic(), None, None
        self.first_place = self.done

    def stepped(self, frame_index: int, obj_ids: tuple[int, ...]) -> None:
        """One more frame is stored."""
        self.frames.append((frame_index, obj_ids))
        self.state = "running"
        if self.first_frame is None:
            self.first_frame = time.monotonic()

    def end(self, state: RunState) -> None:
        self.ended = time.monotonic()
        self.state = state
        for callback in self.ended_callbacks:
            callback()
        self.ended_callbacks.clear()

    @property
    def active(self) -> bool:
        return self.state in ("queued", "running")

    @property
    def total(self) -> int:
        """How many frames the run will have, if nothing stops it."""
        return sum(len(leg.frames) for leg in self.legs)

    @property
    def done(self) -> int:
        return len(self.frames)

    @property
    def milliseconds(self) -> float:
        """How long it has taken so far, waiting included."""
        return self.spent + ((self.ended or time.monotonic()) - self.began) * 1000

    @property
    def frames_per_second(self) -> float:
        """The pace since the first frame; 0 before the second."""
        count = self.done - self.first_place
        if self.first_frame is None or count < 2:
            return 0.0
        seconds = (self.ended or time.monotonic()) - self.first_frame
        return (count - 1) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a propagation stands, as a listing shows it."""

    run_id: str
    state: RunState
    done: int
    total: int
    frame_index: int | None
    """The last frame that it went over."""
    resumable: bool


class Followed(Protocol):
    """A session as a follower sees it."""

    changes: Signal

    @property
    def closed(self) -> bool: ...

    def run_frame(self, run: Run, place: int) -> FrameResult: ...


async def follow(session: Followed, run: Run, from_seq: int = 0) -> AsyncIterator[tuple[int, FrameResult]]:
    """Yield (seq, result) of a run's frames from `from_seq` on, as they come, until it has ended.

    A follower is a cursor into the store: a slow or vanished one holds up nobody.

    Raises:
        Conflict: the session was closed meanwhile.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    unsubscribe = session.changes.subscribe(_ringer(loop, woken))
    place = max(from_seq, 0)
    try:
        while True:
            woken.clear()
            ended = not run.active
            while place < run.done:
                # On a thread: the session's lock may be held while a result is written down. And a few at a time:
                # a long run that is replayed must let the others have the loop.
                frames = await asyncio.to_thread(_read, session, run, place)
                for frame in frames:
                    if session.closed:
                        raise closed_error()
                    yield place, frame
                    place += 1
                if session.closed:
                    raise closed_error()
            if ended:
                return
            if session.closed:
                raise closed_error()
            await woken.wait()
    finally:
        unsubscribe()


def _read(session: Followed, run: Run, place: int) -> list[FrameResult]:
    """The next frames of a run, some at a time."""
    return [] if session.closed else [session.run_frame(run, i) for i in range(place, min(place + BATCH, run.done))]


def closed_error() -> Conflict:
    return Conflict("The session was closed meanwhile.", "session_closed")


def _ringer(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], None]:
    def ring() -> None:
        # A loop that is shutting down has nobody left to wake.
        if not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    return ring
