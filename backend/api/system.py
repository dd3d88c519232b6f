"""Routes about the server itself: health, readiness, models and configuration."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from backend.api import replies as r
from backend.api.context import ServiceDep
from backend.domain import Capabilities
from backend.engines.devices import gpus
from backend.engines.memory import resident_mb
from backend.exports.registry import FORMATS
from backend.sessions import wire
from backend.sessions.service import Service
from backend.version import VERSION

router = APIRouter(tags=["service"])
open_router = APIRouter(tags=["service"])
"""What anybody may ask, keys or not."""
SAMPLE = "sample.mp4"
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": r.NotReady, "description": "no engine is ready"}}


def _engine(service: Service) -> str:
    return next((slot.info.name for slot in service.engines() if slot.info), "")


@open_router.get("/health")
@open_router.get("/api/v1/health", include_in_schema=False)
async def health(service: ServiceDep) -> r.Health:
    """Alive, with what there is to know at a glance."""
    stats = service.stats()
    found = await asyncio.to_thread(gpus)
    return r.Health(
        status="healthy",
        timestamp=wire.time_out(datetime.now(UTC)),
        uptime_seconds=round(stats.uptime_seconds, 3),
        gpu_available=bool(found),
        gpu_count=len(found),
        active_sessions=stats.sessions,
        video_model_enabled=service.settings.video_model_enabled,
        engine=_engine(service),
        version=VERSION,
    )


@open_router.get("/ready", response_model=r.Ready, responses=NOT_READY)
@open_router.get("/api/v1/ready", include_in_schema=False)
async def ready(service: ServiceDep) -> JSONResponse:
    """200 only when an engine can take a session."""
    slots = service.engines()
    if any(slot.state == "ready" for slot in slots):
        return JSONResponse({"status": "ready"})
    error = next((slot.error for slot in slots if slot.error), None)
    if error and all(slot.state == "failed" for slot in slots):
        return JSONResponse({"detail": error.sentence, "code": error.code, "status": "failed"}, 503)
    stage = next((slot.stage for slot in slots if slot.stage), "")
    detail = f"The engine is loading: {stage}." if stage else "The engine is loading."
    return JSONResponse({"detail": detail, "code": "engine_loading", "status": "loading"}, 503)


@router.get("/models/info", responses=r.KEYED)
@router.get("/api/v1/models/info", include_in_schema=False)
async def models_info(service: ServiceDep) -> r.Models:
    """The engines, what they can do, and where they run."""
    models = []
    memory = {gpu.index: gpu.used_mb for gpu in await asyncio.to_thread(gpus)}
    for slot in service.engines():
        info = slot.info
        on_gpus = sum(memory.get(index, 0.0) for index in slot.gpus)
        models.append(
            r.EngineModel(
                name=info.name if info else "",
                title=slot.title,
                loaded=slot.state == "ready",
                state=slot.state,
                stage=slot.stage,
                checkpoint=info.checkpoint if info else None,
                devices=[slot.device],
                gpu_ids=list(slot.gpus),
                memory_mb=on_gpus or resident_mb(slot.pid),
                capabilities=_capabilities(info.capabilities) if info else None,
                note=slot.error.sentence if slot.error else (info.note if info else ""),
            )
        )
    return r.Models(models=models, server_version=VERSION, sam3_version=_installed("sam3"))


def _installed(package: str) -> str | None:
    """The version of an installed package, without importing it; None where it isn't."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _capabilities(capabilities: Capabilities) -> r.EngineCapabilities:
    return r.EngineCapabilities(**asdict(capabilities))


@router.get("/api/v1/config", responses=r.KEYED)
async def config(service: ServiceDep) -> r.Config:
    """What a page needs to know before it asks for anything."""
    settings = service.settings
    sample = any((root / SAMPLE).is_file() for root in settings.video_roots)
    return r.Config(
        version=VERSION,
        max_upload_size_mb=settings.max_upload_size_mb,
        max_video_seconds=settings.max_video_seconds,
        sample=SAMPLE if sample else None,
        export_formats=[
            r.ExportFormatReply(
                name=f.name, title=f.title, extension=f.extension, media_type=f.media_type, description=f.description
            )
            for f in FORMATS.values()
        ],
    )
