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


ServiceDep = Annotated[Service, Depends(service_of)]
OwnerDep = Annotated[str, Depends(owner_of)]


def video_enabled(service: ServiceDep) -> None:
    service.require_video()
