"""Talks to a session and waits for what it says."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import numpy as np

from backend.domain import BoolMask, FrameResult, Prompt
from backend.masks import decode, mask_box
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import Run, follow
from backend.sessions.session import Session

Stored = dict[int, dict[int, tuple[str, float]]]
"""Run-length code and score by frame and object."""


def done(future: Future[Any]) -> Any:
    return future.result(timeout=120)


def prompt(session: Session, frame: int, *prompts: Prompt, obj_id: int | None = None) -> tuple[int, ...]:
    """The objects that a prompt wrote."""
    outcome = done(session.prompt(frame, prompts, obj_id))
    return tuple(o.obj_id for o in outcome.frame.objects)


async def _collect(session: Session, run: Run) -> list[FrameResult]:
    return [frame async for _, frame in follow(session, run)]


def propagate(session: Session, **request: Any) -> list[int]:
    """Propagate to the end; the frames in their order."""
    run = done(session.propagate(PropagateRequest(**request)))
    frames = asyncio.run(_collect(session, run))
    assert run.state == "complete", run.error
    return [frame.frame_index for frame in frames]


def propagate_together(*sessions: Session) -> None:
    """Propagate four frames forward in all of them at the same time."""

    async def all_of_them() -> None:
        runs = [done(s.propagate(PropagateRequest(direction="forward", max_frames=4))) for s in sessions]
        await asyncio.gather(*(_collect(s, r) for s, r in zip(sessions, runs, strict=True)))

    asyncio.run(all_of_them())


def propagate_and_cancel(session: Session, after: int, **request: Any) -> int:
    """Cancel a propagation after some frames; returns how many are stored."""
    run = done(session.propagate(PropagateRequest(**request)))

    async def watch() -> None:
        async for seq, _ in follow(session, run):
            if seq + 1 == after:
                session.cancel()

    asyncio.run(watch())
    assert run.state == "cancelled", "it ended before it could be cancelled"
    return len(run.frames)


def stored(session: Session) -> Stored:
    """All that is seen; boxes, sizes and scores are checked on the way."""
    out: Stored = {}
    size = session.video.height, session.video.width
    with session.lock:
        for frame_index in session.results.computed():
            frame = session.results.frame(frame_index)
            assert frame is not None
            out[frame_index] = {}
            for obj in frame.objects:
                mask = decode(obj.rle)
                assert mask.shape == size
                assert obj.box == mask_box(mask)
                assert 0 <= obj.score <= 1
                out[frame_index][obj.obj_id] = (obj.rle.counts, obj.score)
    return out


def mask_of(session: Session, frame_index: int, obj_id: int) -> BoolMask:
    """An object's mask on a frame, that of a removed one too; empty where there is none."""
    with session.lock:
        version = session.results.visible(obj_id, frame_index)
    if version is None:
        return np.zeros((session.video.height, session.video.width), np.bool_)
    return decode(version.result.rle)


def births(session: Session) -> dict[int, int]:
    """The first frame on which each object is."""
    out: dict[int, int] = {}
    for frame_index, objects in stored(session).items():
        for obj_id in objects:
            if mask_of(session, frame_index, obj_id).any():
                out.setdefault(obj_id, frame_index)
    return out
