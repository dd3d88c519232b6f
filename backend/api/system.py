"""Routes about the server itself: health, readiness, models, configuration, metrics, login, images."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection

from backend.api import schema as s
from backend.api.auth import COOKIE
from backend.api.context import ServiceDep, keys_of
from backend.exports.registry import FORMATS
from backend.sessions import wire
from backend.sessions.image import segment_image
from backend.sessions.service import Service
from backend.version import VERSION

router = APIRouter(tags=["service"])
SAMPLE = "sample.mp4"


def _engine(service: Service) -> str:
    return next((slot.info.name for slot in service.engines() if slot.info), "")


@router.get("/health")
@router.get("/api/v1/health", include_in_schema=False)
async def health(service: ServiceDep) -> dict[str, Any]:
    stats = service.stats()
    return {
        "status": "healthy",
        "timestamp": wire.time_out(datetime.now(UTC)),
        "uptime_seconds": round(stats.uptime_seconds, 3),
        "gpu_available": False,
        "gpu_count": 0,
        "active_sessions": stats.sessions,
        "video_model_enabled": service.settings.video_model_enabled,
        "engine": _engine(service),
        "version": VERSION,
    }


@router.get("/ready")
@router.get("/api/v1/ready", include_in_schema=False)
async def ready(service: ServiceDep) -> JSONResponse:
    """200 only when an engine can take a session."""
    slots = service.engines()
    if any(slot.state == "ready" for slot in slots):
        return JSONResponse({"status": "ready"})
    error = next((slot.error for slot in slots if slot.error), None)
    if error and all(slot.state == "failed" for slot in slots):
        return JSONResponse({"detail": error.sentence, "code": error.code, "status": "failed"}, 503)
    return JSONResponse({"detail": "The engine is loading.", "code": "engine_loading", "status": "loading"}, 503)


@router.get("/models/info")
@router.get("/api/v1/models/info", include_in_schema=False)
async def models_info(service: ServiceDep) -> dict[str, Any]:
    """The engines, what they can do, and where they run."""
    models = []
    for slot in service.engines():
        info = slot.info
        models.append(
            {
                "name": info.name if info else "",
                "title": info.title if info else "Engine",
                "loaded": slot.state == "ready",
                "state": slot.state,
                "checkpoint": info.checkpoint if info else None,
                "devices": [info.device if info else slot.device],
                "memory_mb": resident_mb(slot.pid),
                "capabilities": _capabilities(info.capabilities) if info else None,
                "note": slot.error.sentence if slot.error else (info.note if info else ""),
            }
        )
    return {"models": models, "server_version": VERSION, "sam3_version": None}


def _capabilities(capabilities: Any) -> dict[str, Any]:
    names = ("text", "points", "box", "mask", "exemplar", "backward", "multi_concept")
    return {name: getattr(capabilities, name) for name in names} | {"words": list(capabilities.words)}


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB (10^6 bytes); 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid or 'self'}/statm", encoding="ascii") as statm:
            return round(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (OSError, ValueError):
        return 0.0


@router.get("/api/v1/config")
async def config(service: ServiceDep) -> dict[str, Any]:
    """What a page needs to know before it asks for anything."""
    settings = service.settings
    sample = any((root / SAMPLE).is_file() for root in settings.video_roots)
    return {
        "version": VERSION,
        "max_upload_size_mb": settings.max_upload_size_mb,
        "max_video_seconds": settings.max_video_seconds,
        "sample": SAMPLE if sample else None,
        "export_formats": [
            {
                "name": f.name,
                "title": f.title,
                "extension": f.extension,
                "media_type": f.media_type,
                "description": f.description,
            }
            for f in FORMATS.values()
        ],
    }


@router.post("/api/v1/login", include_in_schema=False)
async def login(connection: HTTPConnection, body: s.LoginBody) -> Response:
    """Exchange a key for the page's cookie."""
    cookie = keys_of(connection).cookie_for(body.api_key)
    response = JSONResponse({"status": "ok"})
    secure = connection.url.scheme == "https" or connection.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure, max_age=7 * 86400)
    return response


@router.post("/api/v1/image/segment", tags=["image"], responses=s.ERRORS)
async def image_segment(service: ServiceDep, body: s.ImageBody) -> s.Segmented:
    """Segment one still image."""
    prompts = [p.model_dump() for p in body.prompts]
    found = await segment_image(service, body.image, prompts, body.confidence_threshold, body.return_visualization)
    return s.Segmented(**found)
