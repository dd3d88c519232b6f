"""The guard in front of every route: who asks, from where, and how often."""

from __future__ import annotations

import math
from typing import Literal

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.auth import VISITOR_SECONDS, Access, Caller
from backend.api.errors import response_of
from backend.api.login_page import page
from backend.api.origins import Hosts, same_origin
from backend.api.rates import Buckets
from backend.errors import ServiceError, TooMany, Unauthenticated
from backend.owners import CROWD, LOCAL_OWNER
from backend.settings import Settings

FREE_PATHS = ("/health", "/ready", "/api/v1/health", "/api/v1/ready")
"""Open to everybody, and not counted."""
LOGIN_PATHS = ("/api/v1/login", "/login", "/logout")
READS = 60
"""So many reads stand for one request that changes or computes something: a second of playback."""
_PAGE_FILES = ("/canvas/", "/assets/", "/static/", "/svelte/", "/static-offline-docs/")

Kind = Literal["work", "read"]


class RateLimit:
    """How often each client may ask, where RATE_LIMIT_ENABLED is set.

    A client is a key, a login, a visitor, or else an address. The visitors of one address together
    get `CROWD` times as much as one of them: a new cookie costs nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.enabled = settings.rate_limit_enabled
        most = settings.rate_limit_requests_per_minute
        self._own: dict[Kind, Buckets] = {"work": Buckets(most), "read": Buckets(most * READS)}
        self._crowd: dict[Kind, Buckets] = {"work": Buckets(most * CROWD), "read": Buckets(most * READS * CROWD)}

    def count(self, caller: Caller, kind: Kind) -> None:
        """Count one request.

        Raises:
            TooMany: `rate_limited`, with the time until there is room again.
        """
        if not self.enabled:
            return
        wait = 0.0
        if caller.owner.startswith("visitor-"):
            wait = self._crowd[kind].take(caller.address)
        named = caller.known and caller.owner != LOCAL_OWNER
        wait = wait or self._own[kind].take(caller.owner if named else f"at {caller.address}")
        if wait:
            raise TooMany(
                "You ask more often than this server allows. Wait a moment.", "rate_limited", max(1, math.ceil(wait))
            )


def kind_of(method: str, path: str) -> Kind | None:
    """How a request counts: as work, as a read, or (files of the page) not at all."""
    if method not in ("GET", "HEAD"):
        return "work"
    if path.startswith(_PAGE_FILES):
        return None
    return "work" if "/export/" in path else "read"


class Rules:
    """What a request or a socket has to pass before it is served."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self.access = access
        self._rates = RateLimit(settings)
        self._hosts = Hosts(settings)
        self._origins = settings.cors_origins

    def check_request(self, connection: HTTPConnection) -> None:
        """Raises: Unauthenticated, TooMany."""
        method, path = connection.scope["method"], connection.scope["path"]
        self._hosts.check(connection)
        if method not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(connection)
        if path not in LOGIN_PATHS:
            self._count(connection, kind_of(method, path))

    def check_socket(self, connection: HTTPConnection) -> str:
        """The owner who opens a socket. Raises: Unauthenticated, TooMany."""
        self._hosts.check(connection)
        self._check_origin(connection)
        self._count(connection, "work")
        return self.access.owner(connection)

    def _check_origin(self, connection: HTTPConnection) -> None:
        if not same_origin(connection, self._origins):
            raise Unauthenticated("This page is not allowed to use the service.", "foreign_origin")

    def _count(self, connection: HTTPConnection, kind: Kind | None) -> None:
        try:
            caller = self.access.caller(connection)
        except Unauthenticated:
            self._rates.count(self.access.stranger(connection), kind or "read")
            raise
        if kind is not None:
            self._rates.count(caller, kind)


class Guard:
    """ASGI middleware in front of everything.

    WebSockets pass: their handlers answer with the contract's close codes.
    """

    def __init__(self, app: ASGIApp, rules: Rules, embedded: bool) -> None:
        self._app = app
        self._rules = rules
        self._access = rules.access
        self._embedded = embedded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE_PATHS:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            self._rules.check_request(connection)
        except ServiceError as error:
            await self._refusal(connection, error)(scope, receive, send)
            return
        await self._app(scope, receive, self._with_cookie(connection, send))

    def _refusal(self, connection: HTTPConnection, error: ServiceError) -> Response:
        wants_page = connection.scope["method"] == "GET" and "text/html" in connection.headers.get("accept", "")
        if wants_page and isinstance(error, Unauthenticated) and error.code == Unauthenticated.default_code:
            return HTMLResponse(page(self._access.takes_logins), 401, {"Cache-Control": "no-store"})
        return response_of(error)

    def _with_cookie(self, connection: HTTPConnection, send: Send) -> Send:
        """Give a browser that opens the page without a cookie one of its own."""
        asked_for_page = connection.scope["method"] == "GET" and connection.scope["path"] == "/"
        if not (self._access.per_visitor and asked_for_page) or self._access.visitor(connection):
            return send

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                value = self._access.new_visitor(connection)
                cookie = self._access.set_cookie(
                    connection, self._access.visitor_cookie, value, VISITOR_SECONDS, self._embedded
                )
                headers = MutableHeaders(scope=message)
                headers.append("set-cookie", cookie)
                headers["cache-control"] = "no-store"
            await send(message)

        return adding
