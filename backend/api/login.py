"""Logging in and out: the page's cookie for a key or a login."""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.requests import HTTPConnection

from backend.api import bodies as b
from backend.api.auth import LOGIN_SECONDS
from backend.api.context import access_of, service_of
from backend.errors import InvalidInput

router = APIRouter()


def _with_cookie(connection: HTTPConnection, response: Response, value: str, seconds: int) -> Response:
    access = access_of(connection)
    embedded = bool(service_of(connection).settings.frame_ancestors)
    response.headers.append("set-cookie", access.set_cookie(connection, access.login_cookie, value, seconds, embedded))
    response.headers["cache-control"] = "no-store"
    return response


@router.post("/api/v1/login", include_in_schema=False)
async def login(connection: HTTPConnection, body: b.LoginBody) -> Response:
    """Exchange a key, or a name and a password, for the page's cookie."""
    if (body.api_key is None) == (body.username is None):
        raise InvalidInput("Send an api_key, or a username with its password.", "malformed_request")
    secret = body.api_key if body.api_key is not None else body.password or ""
    value = access_of(connection).log_in(connection, body.username, secret)
    return _with_cookie(connection, JSONResponse({"status": "ok"}), value, LOGIN_SECONDS)


@router.post("/login", include_in_schema=False)
async def gradio_login(request: Request) -> Response:
    """The same, as `gradio_client`'s `auth` asks for it: a form with `username` and `password`."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    user, password = (form.get(name, [""])[0] for name in ("username", "password"))
    value = access_of(request).log_in(request, user, password)
    return _with_cookie(request, JSONResponse({"success": True}), value, LOGIN_SECONDS)


@router.get("/logout", include_in_schema=False)
async def logout(request: Request) -> Response:
    """Forget the login, and show the page, which asks for one."""
    return _with_cookie(request, RedirectResponse("./", 302), "", 0)
