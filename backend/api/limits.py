"""A limit on request bodies, enforced while they arrive."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.errors import response_of
from backend.errors import TooLarge


class BodyLimit:
    """ASGI middleware: a body larger than `max_bytes` ends with 413, whatever its header says.

    The routes' own limits are tighter; this one bounds what is spooled to disk or memory at all.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, sentence: str) -> None:
        self._app = app
        self._max = max_bytes
        self._error = TooLarge(sentence, "upload_too_large")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max:
            await response_of(self._error)(scope, receive, send)
            return
        seen = 0
        started = overrun = False

        async def counted() -> Message:
            nonlocal seen, overrun
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max and not started:
                # The handler sees a client that went away; whatever it answers is replaced below.
                overrun = True
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if overrun:
                return
            started = started or message["type"] == "http.response.start"
            await send(message)

        await self._app(scope, counted, watched)
        if overrun:
            await response_of(self._error)(scope, receive, send)
