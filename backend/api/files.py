"""The REST routes of pictures and files: frames, thumbnails, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from backend.api import bodies as b
from backend.api.context import OwnerDep, ServiceDep, SessionId, video_router
from backend.exports.registry import FORMATS
from backend.masks.looks import Look, LookName
from backend.sessions.pictures import PictureFormat, Still, Uncomputed
from backend.sessions.ranges import check_frame

router = video_router()
_FILE = {"schema": {"type": "string", "format": "binary"}}
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "the picture", "content": {"image/jpeg": _FILE, "image/png": _FILE}}
}
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


@router.post("/sessions/export/{format_name}", response_class=FileResponse, responses=EXPORTED)
async def export_many(service: ServiceDep, owner: OwnerDep, format_name: str, body: b.ExportBody) -> FileResponse:
    """The results of several sessions as one file: COCO JSON holds them all, of other formats it is a zip of each."""
    path, media_type = await run_in_threadpool(service.export_many, body.session_ids, owner, format_name, body.options)
    return FileResponse(path, media_type=media_type, filename=path.name, background=BackgroundTask(_discard, path))


@router.get("/session/{session_id}/frame/{frame_index}", response_class=Response, responses=PICTURE)
async def frame(
    service: ServiceDep,
    owner: OwnerDep,
    session_id: SessionId,
    frame_index: int,
    overlay: Annotated[
        bool, Query(description="paint the objects, in the look “fill” unless another is named")
    ] = False,
    width: Annotated[int | None, Query(ge=16, le=8192, description="pixels wide at most")] = None,
    look: Annotated[LookName | None, Query(description="paint the objects in this look")] = None,
    opacity: Annotated[
        float | None, Query(ge=0, le=1, description="of fill's colour, or of the dark around a spotlight")
    ] = None,
    uncomputed: Annotated[
        Uncomputed | None,
        Query(
            description="what becomes of a frame on which an object was never computed; default: black where the look "
            "hides objects (blur_object, pixelate_object), else keep, which treats it as not there"
        ),
    ] = None,
    format: Annotated[PictureFormat, Query(description="of a cut-out as PNG the rest is transparent")] = "jpeg",
) -> Response:
    """Exactly that frame as a picture."""
    session = await service.opened(session_id, owner)
    check_frame(frame_index, session.video.num_frames)
    painting = overlay or look is not None or opacity is not None
    still = Still(Look(look or "fill", opacity) if painting else None, width, format, uncomputed)
    picture = await run_in_threadpool(service.frame, session_id, owner, frame_index, still)
    caching = "no-store" if painting else "private, max-age=3600, immutable"
    return Response(picture, media_type=f"image/{format}", headers={"Cache-Control": caching})


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
