"""The only place that knows HTTP status codes and WebSocket close codes."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backend.api.headers import PLAIN
from backend.errors import (
    Conflict,
    DiskFull,
    EngineError,
    InvalidInput,
    InvalidMedia,
    LimitExceeded,
    NotFound,
    ServiceError,
    StorageUnavailable,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unsupported,
)

log = logging.getLogger(__name__)

STATUS: dict[type[ServiceError], int] = {
    InvalidMedia: 400,
    InvalidInput: 422,
    Unauthenticated: 401,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    TooMany: 429,
    DiskFull: 507,
    LimitExceeded: 429,
    StorageUnavailable: 503,
    Unsupported: 501,
    EngineError: 503,
}

CLOSE: dict[type[ServiceError], int] = {
    InvalidInput: 4422,
    Unauthenticated: 4401,
    NotFound: 4404,
    Conflict: 4409,
    LimitExceeded: 4429,
    StorageUnavailable: 4503,
    Unsupported: 4501,
    EngineError: 4503,
}

_HTTP_CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def _nearest(error: ServiceError, table: dict[type[ServiceError], int], default: int) -> int:
    """Look an error up along its class's ancestry."""
    return next((table[cls] for cls in type(error).__mro__ if cls in table), default)


def status_of(error: ServiceError) -> int:
    return _nearest(error, STATUS, 503)


def close_code_of(error: ServiceError) -> int:
    return _nearest(error, CLOSE, 4503)


def body_of(error: ServiceError) -> dict[str, Any]:
    return {"detail": error.sentence, "code": error.code}


def response_of(error: ServiceError) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else None
    return JSONResponse(body_of(error), status_of(error), headers)


def install(app: FastAPI) -> None:
    """Answer every error in the contract's one shape."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return response_of(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence_of(error), "code": "malformed_request"}, 422)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = _HTTP_CODES.get(error.status_code, "http_error")
        detail = str(error.detail).rstrip(".") + "."
        if error.status_code == 404:
            detail = "There is nothing at this address; /docs lists what there is."
        # Starlette's own parsers answer 400 for bodies they can't read.
        status = 422 if error.status_code == 400 else error.status_code
        code = "malformed_request" if status == 422 else code
        return JSONResponse({"detail": detail, "code": code}, status, error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error at %s", request.url.path, exc_info=error)
        body = {"detail": "The server made a mistake; it is in its log.", "code": "internal_error"}
        # This one is sent outside of all middleware.
        return JSONResponse(body, 500, PLAIN)


def sentence_of(error: RequestValidationError) -> str:
    """The first thing wrong with a request's shape, as a sentence."""
    first = error.errors()[0]
    if first.get("type") == "json_invalid":
        return "The body is not valid JSON."
    place = ".".join(str(part) for part in first.get("loc", ())[1:])
    message = str(first.get("msg", "is malformed")).rstrip(".")
    return f"{place or 'The request'}: {message}."
