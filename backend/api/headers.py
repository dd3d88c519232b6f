"""Headers that every reply carries, so that browsers keep to what the page is made for."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLAIN = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""What every reply carries, whatever it is."""
_SCRIPT = re.compile(rb"<script(?=[\s>])")


def policy(frame_ancestors: Sequence[str], nonce: str | None = None) -> str:
    """The Content-Security-Policy.

    Scripts come from this server's files, or stand in its pages under a nonce that is made for each
    reply; handlers in markup never run. Gradio compiles a component's script from text, hence
    `unsafe-eval`. Objects' colours are styles in markup, hence `unsafe-inline` for these.
    """
    scripts = f"'self' 'nonce-{nonce}' 'unsafe-eval'" if nonce else "'self' 'unsafe-eval'"
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            " ".join(("frame-ancestors 'self'", *frame_ancestors)),
        )
    )


class SafeHeaders:
    """ASGI middleware that adds them, and takes away what Gradio says about other origins.

    Args:
        app: what answers.
        frame_ancestors: origins that may embed the page.
        foreign: whether other origins may call; else no reply has an Access-Control header.
    """

    def __init__(self, app: ASGIApp, frame_ancestors: Sequence[str], foreign: bool) -> None:
        self._app = app
        self._ancestors = list(frame_ancestors)
        self._foreign = foreign

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "text/html" in Headers(scope=scope).get("accept", ""):
            # A page is changed on its way, so it must not come compressed.
            kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        nonce = secrets.token_urlsafe(16)
        start: Message | None = None
        body = b""

        async def watched(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                page = _is_page(headers)
                self._dress(headers, nonce if page else None)
                if page:
                    start = message
                    return
            elif start is not None and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                begun, start = start, None
                text = _SCRIPT.sub(f'<script nonce="{nonce}"'.encode(), body)
                if scope["method"] != "HEAD":
                    MutableHeaders(scope=begun)["content-length"] = str(len(text))
                await send(begun)
                await send({"type": "http.response.body", "body": text})
                return
            await send(message)

        await self._app(scope, receive, watched)

    def _dress(self, headers: MutableHeaders, nonce: str | None) -> None:
        for name, value in PLAIN.items():
            headers[name] = value
        headers["Content-Security-Policy"] = policy(self._ancestors, nonce)
        if not self._ancestors:
            headers["X-Frame-Options"] = "SAMEORIGIN"
        if not self._foreign:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]


def _is_page(headers: MutableHeaders) -> bool:
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
