"""What routes need of the application: the service and the caller's name."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

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


ServiceDep = Annotated[Service, Depends(service_of)]
OwnerDep = Annotated[str, Depends(owner_of)]


def video_enabled(service: ServiceDep) -> None:
    service.require_video()
