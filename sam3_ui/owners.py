"""Gradio's own routes, kept apart by owner.

Gradio's events, uploads and results are reached by hashes, ids and paths that it makes or clients
choose, and it serves them to whoever names one. Where there are many owners, each of these belongs
to who named it first, and to anybody else it does not exist. Routes that the page does not need are
not served at all.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.auth import Access
from backend.api.errors import response_of
from backend.errors import NotFound, ServiceError

PREFIX = "/gradio_api/"
SERVED = (
    "info",
    "openapi.json",
    "startup-events",
    "theme.css",
    "user",
    "login_check",
    "app_id",
    "heartbeat",
    "queue",
    "call",
    "run",
    "api",
    "cancel",
    "reset",
    "upload",
    "upload_progress",
    "file",
    "mcp",
)
"""What is served below the prefix, by the first part of the address."""
_ELSEWHERE = ("/monitoring", "/svelte/")
"""And what is not served beside it."""
_MOST = 100_000
_PARSED = 1_000_000
"""A larger body is read on a thread."""


class Claims:
    """Who named what first. Thread-safe, bounded: the longest unused is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: OrderedDict[tuple[str, str], set[str]] = OrderedDict()

    def claim(self, kind: str, name: str, owner: str) -> None:
        """Raises: NotFound: somebody else named it first."""
        with self._lock:
            owners = self._owners.setdefault((kind, name), {owner})
            self._owners.move_to_end((kind, name))
            if len(self._owners) > _MOST:
                self._owners.popitem(last=False)
        if owner not in owners:
            raise _nothing()

    def add(self, kind: str, names: Iterable[object], owner: str) -> None:
        """One more owner of each: two who upload the same file get the same path."""
        with self._lock:
            for name in map(str, names):
                self._owners.setdefault((kind, name), set()).add(owner)
                self._owners.move_to_end((kind, name))
                if len(self._owners) > _MOST:
                    self._owners.popitem(last=False)

    def check(self, kind: str, name: str, owner: str) -> None:
        """Raises: NotFound: nobody named it, or somebody else."""
        if not self.has(kind, name, owner):
            raise _nothing()

    def has(self, kind: str, name: str, owner: str) -> bool:
        """Whether it is among what that owner named."""
        with self._lock:
            found = owner in self._owners.get((kind, name), set())
            if found:
                self._owners.move_to_end((kind, name))
            return found


def _nothing() -> NotFound:
    return NotFound("There is nothing at this address.", "not_found")


class GradioOwners:
    """ASGI middleware before Gradio's routes.

    Args:
        app: what answers.
        access: who asks.
        claims: who may see which event, upload and file; None where there is one owner only.
    """

    def __init__(self, app: ASGIApp, access: Access, claims: Claims | None) -> None:
        self._app = app
        self._access = access
        self._claims = claims

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith((PREFIX, *_ELSEWHERE)):
            await self._app(scope, receive, send)
            return
        try:
            route = path.removeprefix(PREFIX)
            first = route.partition("/")[0].partition("=")[0]
            if path.startswith(_ELSEWHERE) or first not in SERVED or _is_address(route):
                raise _nothing()
            if self._claims is not None:
                owner = self._access.owner(HTTPConnection(scope))
                receive, send = await self._claimed(self._claims, owner, scope, route, receive, send)
        except ServiceError as error:
            await response_of(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _claimed(
        self, claims: Claims, owner: str, scope: Scope, route: str, receive: Receive, send: Send
    ) -> tuple[Receive, Send]:
        """Check what a request names; what its reply names is remembered."""
        # What is noted of a reply has to be readable.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        query = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode("latin-1")).items()}
        if "session_hash" in query:
            claims.claim("session", query["session_hash"], owner)
        if "upload_id" in query:
            claims.claim("upload", query["upload_id"], owner)
        parts = route.rstrip("/").split("/")
        if parts[0] == "heartbeat" and len(parts) > 1:
            claims.claim("session", parts[1], owner)
        elif parts[0].startswith("file"):
            claims.check("file", file_name(route), owner)
        elif parts[0] == "call" and scope["method"] == "GET":
            claims.check("event", parts[-1], owner)
        elif scope["method"] == "POST" and parts[0] == "upload":
            send = _noting(send, lambda paths: claims.add("file", paths, owner))
        elif scope["method"] == "POST" and parts[0] in ("queue", "call", "run", "api", "cancel", "reset"):
            body, receive = await _body(receive)
            named = await _json(body)
            if isinstance(named.get("session_hash"), str):
                claims.claim("session", named["session_hash"], owner)
            if parts[0] == "cancel":
                claims.check("event", str(named.get("event_id")), owner)
            send = _noting(send, lambda made: claims.add("event", [made["event_id"]], owner))
        return receive, send


def _is_address(route: str) -> bool:
    """Whether a file route names an address elsewhere, which Gradio would fetch and hand on."""
    return route.startswith("file") and "://" in unquote(route)


def file_name(route: str) -> str:
    """The path that a file route names, one way of writing it."""
    return str(Path("/" + route.removeprefix("file").lstrip("=/")))


async def _body(receive: Receive) -> tuple[bytes, Receive]:
    """A request's whole body, and a `receive` that gives it once more."""
    body = b""
    last: Message = {"type": "http.disconnect"}
    while True:
        message = await receive()
        if message["type"] != "http.request":
            last = message
            break
        body += message.get("body", b"")
        if not message.get("more_body"):
            last = {"type": "http.request", "body": body, "more_body": False}
            break
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return last

    return body, again


async def _json(body: bytes) -> dict[str, Any]:
    try:
        found = await asyncio.to_thread(json.loads, body) if len(body) > _PARSED else json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noting(send: Send, note: Callable[[Any], None]) -> Send:
    """A `send` that shows a good JSON reply to `note` before its client sees it."""
    good = False
    body = b""

    async def watched(message: Message) -> None:
        nonlocal good, body
        if message["type"] == "http.response.start":
            good = message["status"] == 200
        elif message["type"] == "http.response.body" and good and len(body) < _PARSED:
            body += message.get("body", b"")
            if not message.get("more_body"):
                try:
                    note(json.loads(body))
                except (ValueError, KeyError, TypeError):
                    # A reply that names nothing: a direct call's result.
                    good = False
        await send(message)

    return watched
