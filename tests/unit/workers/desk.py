"""Helpers of the tests that work through real worker processes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from backend.domain import Points, Prompt, Text
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import Run, follow
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.session import Session

CLICK = Points(((0.3, 0.5),), (1,))
OTHER = Points(((0.7, 0.5),), (1,))
FORWARD = PropagateRequest(direction="forward", start_frame_index=0)
DEADLINE = 60.0


def session_on(service: Service, clip: Path) -> Session:
    return service.start_session(service.upload(clip, "a.mp4", ME), ME)


def prompt(session: Session, frame: int, *prompts: Prompt, obj_id: int | None = None):
    return session.prompt(frame, prompts or (CLICK,), obj_id).result(DEADLINE).frame


def order(session: Session, fault: str) -> None:
    """Order a fault of the stand-in engine for later."""
    session.prompt(0, (Text(fault),), None).result(DEADLINE)


def begin(session: Session) -> Run:
    return session.propagate(FORWARD).result(DEADLINE)


def frames_of(session: Session, run: Run) -> list[int]:
    """The frames that a follower sees, once the run has ended."""

    async def collect() -> list[int]:
        return [frame.frame_index async for _, frame in follow(session, run)]

    return asyncio.run(asyncio.wait_for(collect(), DEADLINE))


def after_frames(session: Session, run: Run, count: int) -> threading.Event:
    """An event that is set once the run has so many frames."""
    reached = threading.Event()
    session.changes.subscribe(lambda: reached.set() if run.done >= count else None)
    if run.done >= count:
        reached.set()
    return reached
