"""A limit on request bodies, enforced while they arrive."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import response_of, status_of
from backend.errors import TooLarge

_FORM_BYTES = 1_000_000
"""What a form or a JSON body has around the file in it."""
_SMALL_BYTES = 16_000_000
"""Bodies without a file: a drawn mask is the largest thing in them."""
_LOGIN_BYTES = 10_000
_PATIENCE = 4
"""A body that is larger by more than this is not waited for: most clients read no answer before its end."""
_WITH_FILES = ("/api/v1/video/session/start", "/api/v1/image/", "/gradio_api/")


class BodyLimit:
    """ASGI middleware: a body larger than what its address needs ends with 413, whatever its header says.

    The routes' own limits are tighter; this one bounds what is spooled to disk or memory at all.

    Args:
        app: what answers.
        max_mb: the largest upload, in MB (10^6 bytes).
    """

    def __init__(self, app: ASGIApp, max_mb: int) -> None:
        self._app = app
        self._max = max_mb * 1_000_000
        self._upload_error = TooLarge(
            f"The upload is larger than {max_mb} MB, the limit of this server.", "upload_too_large"
        )
        self._body_error = TooLarge("The request is larger than any of its kind needs to be.", "body_too_large")

    def _limit(self, path: str) -> tuple[int, TooLarge]:
        if path == "/api/v1/video/upload" or path.startswith("/gradio_api/upload"):
            return self._max + _FORM_BYTES, self._upload_error
        if path.startswith(_WITH_FILES):
            # base64 needs a third more than the file.
            return self._max * 4 // 3 + _FORM_BYTES, self._upload_error
        return (_LOGIN_BYTES if path.endswith("/login") else _SMALL_BYTES), self._body_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, error = self._limit(scope["path"])
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            await _refusal(error, hang_up=int(declared) > _PATIENCE * most)(scope, receive, send)
            return
        seen = 0
        started = overrun = False
        # Without a length nobody knows how much is still to come.
        coming = b"content-length" not in headers

        async def counted() -> Message:
            nonlocal seen, overrun, coming
            message = await receive()
            coming = coming and bool(message.get("more_body"))
            seen += len(message.get("body", b""))
            if seen > most and not started:
                # The handler sees a client that went away; whatever it answers is replaced below.
                overrun = True
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if overrun:
                return
            if message["type"] == "http.response.start":
                started = True
                if message["status"] == status_of(error) and coming:
                    MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, counted, watched)
        if overrun:
            await _refusal(error, hang_up=True)(scope, receive, send)


def _refusal(error: TooLarge, hang_up: bool) -> Response:
    response = response_of(error)
    if hang_up:
        response.headers["connection"] = "close"
    return response
