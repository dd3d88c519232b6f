"""What routes need of the application: the service and the caller's name."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from backend.api.auth import Keys
from backend.sessions.service import Service


def service_of(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


def keys_of(connection: HTTPConnection) -> Keys:
    keys: Keys = connection.app.state.keys
    return keys


def owner_of(connection: HTTPConnection) -> str:
    return keys_of(connection).owner(connection)


# Coroutines, since FastAPI calls plain functions on a thread each: two hops for every request, for nothing.
async def _service(connection: HTTPConnection) -> Service:
    return service_of(connection)


async def _owner(connection: HTTPConnection) -> str:
    return owner_of(connection)


ServiceDep = Annotated[Service, Depends(_service)]
OwnerDep = Annotated[str, Depends(_owner)]


async def video_enabled(service: ServiceDep) -> None:
    service.require_video()
