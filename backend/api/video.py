"""The REST routes of video sessions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi import Path as PathParam
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from backend.api import schema as s
from backend.api.context import OwnerDep, ServiceDep, video_enabled
from backend.errors import Conflict, EngineError, InvalidInput
from backend.exports.registry import FORMATS
from backend.sessions import operations, wire
from backend.sessions.ranges import check_frame
from backend.sessions.run import Run, follow
from backend.sessions.session import Session
from backend.sessions.start import frame_rate, start_session

router = APIRouter(prefix="/api/v1/video", tags=["video"], responses=s.ERRORS, dependencies=[Depends(video_enabled)])

SessionId = Annotated[str, PathParam(description="the session's id")]
ObjId = Annotated[int, PathParam(description="the object's id")]
PIECE_FRAMES = 64
"""Stored frames that are written as JSON at once."""
_FILE = {"schema": {"type": "string", "format": "binary"}}
JPEG: dict[int | str, dict[str, Any]] = {200: {"description": "the picture", "content": {"image/jpeg": _FILE}}}
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file",
        "content": {
            f.media_type: {"schema": {"type": "object"}} if f.media_type == "application/json" else _FILE
            for f in FORMATS.values()
        },
    }
}
OPTIONS = {name: text for f in FORMATS.values() for name, text in f.options.items()}
EXPORT_OPTIONS = [
    {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
    for name, text in OPTIONS.items()
]


@router.post("/upload")
async def upload(
    service: ServiceDep,
    owner: OwnerDep,
    file: Annotated[UploadFile, File(description="a video, GIF, image, or zip of numbered frames")],
    fps: Annotated[float | None, Form(description="for zips of frames"), s.FORM_RATE] = None,
) -> s.Uploaded:
    """Store a video; start sessions on it by its `video_id`."""
    rate = frame_rate(fps)
    video = await run_in_threadpool(service.upload, file.file, file.filename or "video", owner, rate)
    return s.Uploaded(video_id=video.id, video_info=s.VideoInfo(**wire.video_out(video)))


@router.post("/session/start")
async def start(service: ServiceDep, owner: OwnerDep, body: s.StartBody) -> s.Started:
    """Begin a session on one video."""
    return s.Started(**wire.started_out(await start_session(service, owner, **body.model_dump())))


@router.post("/session/import")
async def import_session(
    service: ServiceDep,
    owner: OwnerDep,
    file: Annotated[UploadFile, File(description="what the export “session” wrote, here or on another machine")],
) -> s.Started:
    """Open a session that was exported to a file, as a new session with all its history."""
    session = await run_in_threadpool(service.import_session, file.file, file.filename or "session", owner)
    return s.Started(**wire.started_out(session))


@router.get("/sessions")
async def sessions(service: ServiceDep, owner: OwnerDep) -> s.Sessions:
    """The caller's own sessions."""
    return s.Sessions(**await operations.sessions(service, owner))


@router.post("/sessions/export/{format_name}", response_class=FileResponse, responses=EXPORTED)
async def export_many(service: ServiceDep, owner: OwnerDep, format_name: str, body: s.ExportBody) -> FileResponse:
    """The results of several sessions as one file: COCO JSON holds them all, of other formats it is a zip of each."""
    path, media_type = await run_in_threadpool(service.export_many, body.session_ids, owner, format_name, body.options)
    return FileResponse(path, media_type=media_type, filename=path.name, background=BackgroundTask(_discard, path))


@router.get("/labels")
async def labels(service: ServiceDep, owner: OwnerDep) -> s.Labels:
    """The caller's own classes, from all their sessions."""
    return s.Labels(**await operations.labels(service, owner))


@router.put("/labels")
async def put_label(service: ServiceDep, owner: OwnerDep, body: s.LabelBody) -> s.Label:
    """Add a class, or give one another colour: objects that get the class from now on get the colour with it."""
    return s.Label(**await operations.put_label(service, owner, body.label, body.color))


@router.delete("/labels/{label:path}")
async def drop_label(
    service: ServiceDep, owner: OwnerDep, label: Annotated[str, PathParam(description="the class")]
) -> s.LabelRemoved:
    """Remove a class that no object has."""
    return s.LabelRemoved(**await operations.drop_label(service, owner, label))


@router.post("/session/{session_id}/prompt")
async def prompt(service: ServiceDep, owner: OwnerDep, session_id: SessionId, body: s.PromptBody) -> s.Prompted:
    """Text, points, boxes and masks on one frame, any mix in one request."""
    prompts = [p.model_dump() for p in body.prompts]
    return s.Prompted(**await operations.prompt(service, owner, session_id, body.frame_index, prompts, body.obj_id))


@router.post("/session/{session_id}/propagate", response_model=s.Propagated)
async def propagate(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, body: s.PropagateBody | None = None
) -> StreamingResponse:
    """Run a propagation; the body streams while frames arrive. A client that goes away cancels nothing."""
    session = await service.opened(session_id, owner)
    run = await operations.propagate(session, (body or s.PropagateBody()).request())
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
async def cancel(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Cancelled:
    """Stop the running propagation; its frames stay. Idempotent."""
    return s.Cancelled(**await operations.cancel(service, owner, session_id))


@router.post("/session/{session_id}/undo", response_model_exclude_unset=True)
async def undo(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Stepped:
    return s.Stepped(**await operations.undo(service, owner, session_id))


@router.post("/session/{session_id}/redo", response_model_exclude_unset=True)
async def redo(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Stepped:
    return s.Stepped(**await operations.redo(service, owner, session_id))


@router.get("/session/{session_id}/log")
async def log(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Log:
    """The edits, oldest first, with what is undone."""
    return s.Log(**await run_in_threadpool(wire.log_out, await service.opened(session_id, owner)))


@router.get("/session/{session_id}/status")
async def status(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Status:
    return s.Status(**await operations.status(service, owner, session_id))


@router.get("/session/{session_id}/timestamps")
async def timestamps(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Timestamps:
    """The time of every frame in seconds, true on variable frame rates too."""
    times = await run_in_threadpool(service.timestamps, session_id, owner)
    return s.Timestamps(timestamps=list(times))


@router.get("/session/{session_id}/results", response_model=s.Results)
async def results(
    service: ServiceDep,
    owner: OwnerDep,
    session_id: SessionId,
    start: Annotated[int | None, Query(description="the first frame", json_schema_extra=s.FRAME)] = None,
    stop: Annotated[int | None, Query(description="the last frame", json_schema_extra=s.FRAME)] = None,
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
) -> s.Problems:
    """Frames that a person should look at, worked out from stored results; those that are approved are left out."""
    session = await service.opened(session_id, owner)
    return s.Problems(**await run_in_threadpool(wire.problems_out, session, obj_id))


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


@router.get("/session/{session_id}/frame/{frame_index}", response_class=Response, responses=JPEG)
async def frame(
    service: ServiceDep,
    owner: OwnerDep,
    session_id: SessionId,
    frame_index: int,
    overlay: Annotated[bool, Query(description="paint the objects")] = False,
    width: Annotated[int | None, Query(ge=16, le=8192, description="pixels wide at most")] = None,
) -> Response:
    """Exactly that frame as JPEG."""
    session = await service.opened(session_id, owner)
    check_frame(frame_index, session.video.num_frames)
    jpeg = await run_in_threadpool(service.frame, session_id, owner, frame_index, overlay, width)
    caching = "no-store" if overlay else "private, max-age=3600, immutable"
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": caching})


@router.get("/session/{session_id}/thumbnail", response_class=Response, responses=JPEG)
async def thumbnail(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> Response:
    """A small picture to know the session by. To look at it is no use of the session."""
    jpeg = await run_in_threadpool(service.thumbnail, session_id, owner)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})


@router.get(
    "/session/{session_id}/export/{format_name}",
    response_class=FileResponse,
    responses=EXPORTED,
    openapi_extra={"parameters": EXPORT_OPTIONS},
)
async def export(
    request: Request, service: ServiceDep, owner: OwnerDep, session_id: SessionId, format_name: str
) -> FileResponse:
    """The results as a file; `/api/v1/config` lists the formats. Options go into the query."""
    options = dict(request.query_params)
    path, fmt = await run_in_threadpool(service.export, session_id, owner, format_name, options)
    return FileResponse(path, media_type=fmt.media_type, filename=path.name, background=BackgroundTask(_discard, path))


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.rmdir()


@router.patch("/session/{session_id}/object/{obj_id}")
async def change_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: s.ObjectBody
) -> s.ObjectReply:
    """Name, class or colour of an object; works during a propagation too."""
    if body.name is None and body.label is None and body.color is None:
        raise InvalidInput("Send a name, a label or a color.", "nothing_to_change")
    renamed = await operations.rename(service, owner, session_id, obj_id, body.name, body.label, body.color)
    return s.ObjectReply(**renamed)


@router.post("/session/{session_id}/object/{obj_id}/approve", response_model_exclude_unset=True)
async def approve_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: s.ApproveBody | None = None
) -> s.Approved:
    """Say that an object's masks on a span are right, or take it back: propagations leave approved ones untouched.

    Only frames on which the object is computed count. Can be undone.
    """
    body = body or s.ApproveBody()
    asked = (body.start, body.stop, body.approved)
    return s.Approved(**await operations.approve(service, owner, session_id, obj_id, *asked))


@router.post("/session/{session_id}/object/{obj_id}/split", response_model_exclude_unset=True)
async def split_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: s.SplitBody
) -> s.Split:
    """A part of an object becomes an object of its own: the pieces at points, or what a mask covers.

    On other frames of the span the parts are told apart by overlap, from `frame_index` outwards. Can be undone.
    """
    prompts = [p.model_dump() for p in body.prompts]
    asked = (body.frame_index, prompts, body.start, body.stop)
    return s.Split(**await operations.split(service, owner, session_id, obj_id, *asked))


@router.post("/session/{session_id}/object/{obj_id}/merge", response_model_exclude_unset=True)
async def merge_objects(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: s.MergeBody
) -> s.Merged:
    """Another object's masks go to this one: on all frames, or on a span, where the other is empty then.

    Can be undone.
    """
    asked = (body.obj_id, body.start, body.stop)
    return s.Merged(**await operations.merge(service, owner, session_id, obj_id, *asked))


@router.delete("/session/{session_id}/object/{obj_id}")
async def remove_object(service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId) -> s.Removed:
    return s.Removed(**await operations.remove(service, owner, session_id, obj_id))


@router.post("/session/{session_id}/reset")
async def reset(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.WasReset:
    """Clear all objects; the video stays. Can be undone."""
    return s.WasReset(**await operations.reset(service, owner, session_id))


@router.delete("/session/{session_id}")
async def close(service: ServiceDep, owner: OwnerDep, session_id: SessionId) -> s.Closed:
    """End the session and free its memory; a running propagation is cancelled first."""
    return s.Closed(**await operations.close(service, owner, session_id))
