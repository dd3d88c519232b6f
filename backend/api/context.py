"""What routes need of the application: the service and the caller's name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Path as PathParam
from starlette.requests import HTTPConnection

from backend.api import replies as r
from backend.api.auth import Access
from backend.api.guard import Rules
from backend.sessions.service import Service


def service_of(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


def rules_of(connection: HTTPConnection) -> Rules:
    rules: Rules = connection.app.state.rules
    return rules


def access_of(connection: HTTPConnection) -> Access:
    return rules_of(connection).access


def owner_of(connection: HTTPConnection) -> str:
    return access_of(connection).owner(connection)


# Coroutines, since FastAPI calls plain functions on a thread each: two hops for every request, for nothing.
async def _service(connection: HTTPConnection) -> Service:
    return service_of(connection)


async def _owner(connection: HTTPConnection) -> str:
    return owner_of(connection)


ServiceDep = Annotated[Service, Depends(_service)]
OwnerDep = Annotated[str, Depends(_owner)]
SessionId = Annotated[str, PathParam(description="the session's id")]
ObjId = Annotated[int, PathParam(description="the object's id")]


async def video_enabled(service: ServiceDep) -> None:
    service.require_video()


def video_router() -> APIRouter:
    """A router for routes about video sessions."""
    depends = [Depends(video_enabled)]
    return APIRouter(prefix="/api/v1/video", tags=["video"], responses=r.ERRORS, dependencies=depends)
