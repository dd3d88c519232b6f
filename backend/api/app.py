"""The FastAPI application: the contract's routes over one service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from backend.api import errors, files, image, login, metrics, objects, stream, system, video
from backend.api.auth import Access
from backend.api.guard import Guard, Rules
from backend.api.headers import SafeHeaders
from backend.api.limits import BodyLimit
from backend.sessions.service import Service
from backend.version import VERSION

THREADS = 32
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]
KEY_SCHEMES = [
    Security(APIKeyHeader(name="X-API-Key", scheme_name="Key", auto_error=False)),
    Security(HTTPBearer(scheme_name="Bearer", auto_error=False)),
]

DESCRIPTION = """
Segment and track anything in video and images. Boxes are `[x, y, w, h]` and points `[x, y]`, normalised to
[0, 1] of the displayed frame; masks are COCO compressed RLE `counts`, with `size: [height, width]` beside them.
WebSockets: `/api/v1/video/ws/propagate/{session_id}` and `/api/v1/video/ws/follow/{session_id}`.
"""


async def _nothing_here(request: Request) -> None:
    """Answer what no route of the API takes, before the page mounted at / would.

    Raises:
        HTTPException: 405 where the address exists with other methods, else 404.
    """
    routes = [
        r for r in request.app.routes if not isinstance(r, Mount) and getattr(r, "endpoint", None) is not _nothing_here
    ]
    allowed = [
        method
        for method in METHODS
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    ]
    if allowed:
        raise HTTPException(405, f"This address takes {', '.join(allowed)} only.", {"Allow": ", ".join(allowed)})
    raise HTTPException(404)


def create_api(service: Service) -> FastAPI:
    """The application; starting and stopping it starts and stops the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The usual number of threads follows the cores, but what these do is wait: for a lock, a disk, a probe.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "service"))
        service.start()
        watching = asyncio.create_task(app.state.metrics.lag.watch())
        try:
            yield
        finally:
            watching.cancel()
            service.stop()

    settings = service.settings
    # Its /docs page brings its own scripts: it works without the internet.
    app = FastAPIOffline(title="SAM3 UI", version=VERSION, description=DESCRIPTION, lifespan=lifespan, redoc_url=None)
    app.state.service = service
    app.state.rules = Rules(settings, Access(settings))
    app.state.metrics = metrics.Metrics(service)
    errors.install(app)
    # Only told in the OpenAPI document: the guard in front of everything does the asking.
    keyed = KEY_SCHEMES if settings.require_api_key else []
    for room in (video, objects, files):
        app.include_router(room.router, dependencies=keyed)
    app.include_router(stream.router)
    app.include_router(image.router, dependencies=keyed)
    app.include_router(system.open_router)
    app.include_router(system.router, dependencies=keyed)
    app.include_router(login.router)
    if settings.enable_metrics:
        app.include_router(metrics.router)
    for path in ("/api/{rest:path}", "/health", "/ready", "/models/info", "/metrics"):
        app.add_api_route(path, _nothing_here, methods=METHODS, include_in_schema=False)
    app.add_middleware(BodyLimit, max_mb=settings.max_upload_size_mb)
    app.add_middleware(Guard, rules=app.state.rules, embedded=bool(settings.frame_ancestors))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(SafeHeaders, frame_ancestors=settings.frame_ancestors, foreign=bool(settings.cors_origins))
    app.add_middleware(metrics.Counting, metrics=app.state.metrics)
    return app
