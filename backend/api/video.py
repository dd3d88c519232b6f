"""The REST routes of video sessions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Any

from fastapi import File, Form, Query, UploadFile
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from backend.api import bodies as b
from backend.api import replies as r
from backend.api.context import OwnerDep, ServiceDep, SessionId, video_router
from backend.errors import Conflict, EngineError
from backend.sessions import operations, wire
from backend.sessions.ranges import check_frame
from backend.sessions.run import Run, follow
from backend.sessions.session import Session
from backend.sessions.start import frame_rate, start_session

router = video_router()
PIECE_FRAMES = 64
"""Stored frames that are written as JSON at once."""


@router.post("/upload")
async def upload(
    service: ServiceDep,
    owner: OwnerDep,
    file: Annotated[UploadFile, File(description="a video, GIF, image, or zip of numbered frames")],
    fps: Annotated[float | None, Form(description="for zips of frames"), b.FORM_RATE] = None,
) -> r.Uploaded:
    """Store a video; start sessions on it by its `video_id`."""
    rate = frame_rate(fps)
    video = await run_in_threadpool(service.upload, file.file, file.filename or "video", owner, rate)
    return r.Uploaded(video_id=video.id, video_info=r.VideoInfo(**wire.video_out(video)))


@router.post("/session/start")
async def start(service: ServiceDep, owner: OwnerDep, body: b.StartBody) -> r.Started:
    """Begin a session on one video."""
    return r.Started(**wire.started_out(await start_session(service, owner, **body.model_dump())))


@router.post("/session/import")
async def import_session(
    service: ServiceDep,
    owner: OwnerDep,
    file: Annotated[UploadFile, File(description="what the export “session” wrote, here or on another machine")],
) -> r.Started:
    """Open a session that was exported to a file, as a new session with all its history."""
    session = await run_in_threadpool(service.import_session, file.file, file.filename or "session", owner)
    return r.Started(**wire.started_out(session))


@router.get("/sessions")
async def sessions(service: ServiceDep, owner: OwnerDep) -> r.Sessions:
    """The caller's own sessions."""
    return r.Sessions(**await operations.sessions(service, owner))


@router.post("/session/{session_id}/prompt")
async def prompt(service: ServiceDep, owner: OwnerDep, session_id: SessionId, body: b.PromptBody) -> r.Prompted:
    """Text, points, boxes and masks on one frame, any mix in one request."""
    prompts = [p.model_dump() for p in body.prompts]
    return r.Prompted(**await operations.prompt(service, owner, session_id, body.frame_index, prompts, body.obj_id))


@router.post("/session/{session_id}/propagate", response_model=r.Propagated)
async def propagate(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, body: b.PropagateBody | None = None
) -> StreamingResponse:
    """Run a propagation; the body streams while frames arrive. A client that goes away cancels nothing."""
    session = await service.opened(session_id, owner)
    run = await operations.propagate(session, (body or b.PropagateBody()).request())
    stream = _propagated(session, run, run.first_place)
    # The first piece is awaited here, so that a run that fails at once gets its own status.
    first = await anext(stream)
    return StreamingResponse(_chain(first, stream), media_type="application/json")


async def _propagated(session: Session, run: Run, from_seq: int) -> AsyncIterator[str]:
    head = {"session_id": session.id, "run_id": run.id, "size": wire.size_of(session.video)}
    opening = json.dumps(head)[:-1] + ', "results": {'
    count = 0
    tail: dict[str, Any] = {}
    try:
        async for _, frame in follow(session, run, from_seq):
            piece = f"{json.dumps(str(frame.frame_index))}: {json.dumps(wire.frame_out(frame))}"
            yield (opening if count == 0 else ", ") + piece
            count += 1
        tail = {"status": run.state, "error": run.error, "code": run.code}
    except Conflict as error:
        tail = {"status": "error", "error": error.sentence, "code": error.code}
        if count == 0:
            raise
    if count == 0:
        if run.state in ("error", "interrupted"):
            raise EngineError(run.error or "The engine failed.", run.code or "engine_error")
        yield opening
    tail |= {"total_frames": run.done, "processing_time_ms": round(run.milliseconds, 1)}
    yield "}, " + json.dumps(tail)[1:]


async def _chain(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


@router.post("/session/{session_id}/cancel")
async def cancel(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Cancelled:
    """Stop the running propagation; its frames stay. Idempotent."""
    return r.Cancelled(**await operations.cancel(service, owner, session_id))


@router.post("/session/{session_id}/undo", response_model_exclude_unset=True)
async def undo(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Stepped:
    return r.Stepped(**await operations.undo(service, owner, session_id))


@router.post("/session/{session_id}/redo", response_model_exclude_unset=True)
async def redo(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Stepped:
    return r.Stepped(**await operations.redo(service, owner, session_id))


@router.get("/session/{session_id}/log")
async def log(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Log:
    """The edits, oldest first, with what is undone."""
    return r.Log(**await run_in_threadpool(wire.log_out, await service.opened(session_id, owner)))


@router.get("/session/{session_id}/status")
async def status(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Status:
    return r.Status(**await operations.status(service, owner, session_id))


@router.get("/session/{session_id}/timestamps")
async def timestamps(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Timestamps:
    """The time of every frame in seconds, true on variable frame rates too."""
    times = await run_in_threadpool(service.timestamps, session_id, owner)
    return r.Timestamps(timestamps=list(times))


@router.get("/session/{session_id}/results", response_model=r.Results)
async def results(
    service: ServiceDep,
    owner: OwnerDep,
    session_id: SessionId,
    start: Annotated[int | None, Query(description="the first frame", json_schema_extra=b.FRAME)] = None,
    stop: Annotated[int | None, Query(description="the last frame", json_schema_extra=b.FRAME)] = None,
    obj_id: Annotated[int | None, Query(description="only this object")] = None,
) -> StreamingResponse:
    """Stored results of any range (ends inclusive); nothing is run."""
    session = await service.opened(session_id, owner)
    for end in (start, stop):
        if end is not None:
            check_frame(end, session.video.num_frames)
    if obj_id is not None:
        await run_in_threadpool(session.object_info, obj_id)
    stored = await run_in_threadpool(wire.results_out, session, start, stop, obj_id)
    return StreamingResponse(_in_pieces(stored), media_type="application/json")


@router.get("/session/{session_id}/problems")
async def problems(
    service: ServiceDep,
    owner: OwnerDep,
    session_id: SessionId,
    obj_id: Annotated[int | None, Query(description="only this object")] = None,
) -> r.Problems:
    """Frames that a person should look at, worked out from stored results; those that are approved are left out."""
    session = await service.opened(session_id, owner)
    return r.Problems(**await run_in_threadpool(wire.problems_out, session, obj_id))


def _in_pieces(stored: wire.Json) -> Iterator[str]:
    """The JSON of stored results, some frames at a time: as one piece, a long video's would hold up everybody.

    It is a plain generator, which runs on a thread.
    """
    frames = iter(stored["results"].items())
    opening = '{"results": {'
    while some := list(islice(frames, PIECE_FRAMES)):
        yield opening + ", ".join(f"{json.dumps(index)}: {json.dumps(frame)}" for index, frame in some)
        opening = ", "
    yield ("" if stored["results"] else opening) + "}, " + json.dumps({k: stored[k] for k in ("stale", "size")})[1:]


@router.post("/session/{session_id}/reset")
async def reset(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.WasReset:
    """Clear all objects; the video stays. Can be undone."""
    return r.WasReset(**await operations.reset(service, owner, session_id))


@router.delete("/session/{session_id}")
async def close(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> r.Closed:
    """End the session and free its memory; a running propagation is cancelled first."""
    return r.Closed(**await operations.close(service, owner, session_id))
