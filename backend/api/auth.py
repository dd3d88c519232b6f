"""Who asks: API keys, and the guard in front of every route.

A program sends its key as `X-API-Key` or as `Authorization: Bearer`; a WebSocket may put it in
the query as `api_key`, since browsers can't set headers there. The page asks for a key once and
holds a cookie made from it, never the key itself.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.errors import response_of
from backend.errors import Unauthenticated
from backend.sessions.service import LOCAL_OWNER
from backend.settings import Settings

COOKIE = "sam3_key"
OPEN_PATHS = ("/health", "/ready", "/api/v1/health", "/api/v1/ready", "/api/v1/login")


class Keys:
    """The valid API keys, compared in constant time."""

    def __init__(self, settings: Settings) -> None:
        self.required = settings.require_api_key
        self._keys = [key.encode() for key in settings.api_keys]
        self._secret = secrets.token_bytes(32)

    def owner(self, connection: HTTPConnection) -> str:
        """Whose request it is.

        Raises:
            Unauthenticated: a key is required and none that is valid came.
        """
        if not self.required:
            return LOCAL_OWNER
        for given in _given(connection):
            owner = self.owner_of_key(given)
            if owner:
                return owner
        cookie = connection.cookies.get(COOKIE, "").encode()
        for key in self._keys:
            if hmac.compare_digest(self._token(key).encode(), cookie):
                return _name(key)
        raise Unauthenticated("This server needs an API key: send it as X-API-Key.")

    def owner_of_key(self, given: str) -> str | None:
        found = None
        # All keys are compared, so that the time taken tells nothing.
        for key in self._keys:
            if hmac.compare_digest(key, given.encode("utf-8", "surrogateescape")):
                found = _name(key)
        return found

    def cookie_for(self, given: str) -> str:
        """What the page's cookie holds for a key.

        Raises:
            Unauthenticated: the key is not valid.
        """
        if self.owner_of_key(given) is None:
            raise Unauthenticated("That key is not valid.")
        return self._token(given.encode())

    def _token(self, key: bytes) -> str:
        return hmac.new(self._secret, key, hashlib.sha256).hexdigest()


def _given(connection: HTTPConnection) -> Sequence[str]:
    out = [connection.headers.get("x-api-key", "")]
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        out.append(token.strip())
    if connection.scope["type"] == "websocket":
        out.append(connection.query_params.get("api_key", ""))
    return [key for key in out if key]


def _name(key: bytes) -> str:
    """An owner's name, from which the key can't be had."""
    return "key-" + hashlib.sha256(key).hexdigest()[:24]


def same_origin(connection: HTTPConnection, allowed: Sequence[str]) -> bool:
    """Whether a browser's request comes from a page of this server, or of an allowed origin.

    Programs send no Origin. Behind a proxy the page's host is what the proxy was asked for.
    """
    origin = connection.headers.get("origin")
    if not origin or origin in allowed or "*" in allowed:
        return True
    hosts = {connection.headers.get("host"), connection.headers.get("x-forwarded-host")}
    return urlsplit(origin).netloc in hosts


class Guard:
    """ASGI middleware: with keys required, nothing but the open paths is served without one.

    WebSockets pass: their handlers answer with the contract's close codes.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys.required and scope["path"] not in OPEN_PATHS:
            connection = HTTPConnection(scope)
            try:
                self._keys.owner(connection)
            except Unauthenticated as error:
                wants_page = scope["method"] == "GET" and "text/html" in connection.headers.get("accept", "")
                response: Response = HTMLResponse(_LOGIN, 401) if wants_page else response_of(error)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>SAM3 UI</title><style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;display:grid;
place-items:center;min-height:100vh;margin:0}form{display:grid;gap:10px;width:min(340px,90vw)}input,button{font:inherit;
padding:9px 12px;border-radius:6px;border:1px solid #8888}p{margin:0;min-height:1.5em}</style>
<form><h1 style="font-size:20px;margin:0">SAM3 UI</h1><label for="k">This server needs an API key.</label>
<input id="k" type="password" autocomplete="current-password" required autofocus><button>Open</button>
<p role="alert" id="m"></p></form><script>document.querySelector("form").onsubmit=async e=>{e.preventDefault();
const r=await fetch("api/v1/login",{method:"POST",headers:{"content-type":"application/json"},
body:JSON.stringify({api_key:document.querySelector("#k").value})});
if(r.ok)location.reload();else document.querySelector("#m").textContent=(await r.json()).detail}</script></html>"""
