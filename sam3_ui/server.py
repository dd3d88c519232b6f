"""Puts the service, its API and the page together, and serves them."""

from __future__ import annotations

import gc
import importlib.util
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.responses import Response

from backend.api.app import create_api
from backend.api.auth import Access
from backend.engines.devices import gpus
from backend.engines.registry import choose
from backend.errors import ServiceError
from backend.media.disk import hold_folder
from backend.sessions.service import Service
from backend.settings import ROOT, Settings
from backend.workers.pool import Pool

CANVAS = Path(__file__).parent / "canvas"

log = logging.getLogger(__name__)


class Revalidated(StaticFiles):
    """Files that browsers ask about each time, so that an upgrade never mixes old modules with new ones."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_service(settings: Settings) -> Service:
    """A service with the workers that the settings ask for; not started."""
    specs = choose(settings, gpus())
    pool = Pool(specs, settings.engine_step_timeout_seconds, settings.worker_memory_limit_mb)
    return Service(settings, pool)


def create_app(settings: Settings) -> FastAPI:
    """The whole application: /api/v1, the page's files, and the page at /."""
    from sam3_ui import api, blocks
    from sam3_ui.owners import Claims, GradioOwners

    service = create_service(settings)
    app = create_api(service)
    access = app.state.rules.access
    claims = Claims() if access.many_owners else None
    # Innermost: who asks is settled before it.
    app.user_middleware.append(Middleware(GradioOwners, access=access, claims=claims))
    app.mount("/canvas", Revalidated(directory=CANVAS), name="canvas")
    page = blocks.build()
    with page:
        api.expose(app, claims)
    # Gradio checks that a file named in a call is an upload only of a page that is "launched", which a
    # mounted one never is: without this, any file of the server could be named.
    page.has_launched = True
    # Gradio's queue looks for events a thousand times a second, 6 % of a core while nobody is there.
    # Windows gets 0.05 s from it; a fiftieth of a second is still below what anybody notices.
    page._queue.sleep_when_free = 0.02
    # Gradio sends a generator's item as its difference from the one before, and counts the deletions in a
    # list within a list twice: a frame with fewer objects than the last would arrive with wrong ones.
    gr.utils.diff = _whole
    # It also fetches what a file's path says, where that is an address: video_url is the door for that.
    processing_utils.async_ssrf_protected_get = _fetch_nothing
    served: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        favicon_path=str(ROOT / "assets" / "favicon.png"),
        footer_links=["api"],
        max_file_size=settings.max_upload_size_mb * 1_000_000,
        ssr_mode=False,
        # Who has not come in never gets this far; Gradio learns who it is.
        auth_dependency=_who(access) if access.required else None,
        # The endpoints are tools for agents too, where the extra `mcp` is installed.
        mcp_server=importlib.util.find_spec("mcp") is not None,
        **blocks.mount_options(),
    )
    return served


def _whole(old: Any, new: Any) -> list[list[Any]]:
    """The difference that replaces everything."""
    return [["replace", [], new]]


async def _fetch_nothing(url: str) -> NoReturn:
    raise gr.Error("An address can't be given as a file: use video_url. [invalid_video]", print_exception=False)


def _who(access: Access) -> Callable[[Request], str | None]:
    return access.owner


def listen(settings: Settings) -> socket.socket:
    """Take the port before anything slow happens, so that a taken one is said at once."""
    family = socket.AF_INET6 if ":" in settings.server_host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((settings.server_host, settings.server_port))
    return sock


def serve() -> None:
    """Read the settings and serve until interrupted."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "httpcore", "multipart", "python_multipart", "asyncio", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        sock = listen(settings)
    except OSError as error:
        reason = error.strerror or "it can't be used"
        raise SystemExit(
            f"Port {settings.server_port} can't be taken ({reason}). Set SERVER_PORT to another."
        ) from None
    try:
        # Until the process ends: two servers would write over each other's sessions.
        lock = hold_folder(settings.data_dir)
        app = create_app(settings)
    except ServiceError as error:
        raise SystemExit(error.sentence) from None
    config = uvicorn.Config(
        app,
        # At DEBUG it would log the headers of sockets, and with them keys and cookies.
        log_level=logging.getLevelName(max(logging.INFO, logging.getLevelNamesMapping()[settings.log_level])).lower(),
        access_log=False,
        ws_max_size=64_000_000,
        # Run-length codes are compact already: compressing each takes longer than sending it, and every socket
        # would hold some 300 KB for it.
        ws_per_message_deflate=False,
        # Whose X-Forwarded-For is believed, TRUSTED_PROXIES says.
        proxy_headers=False,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").addFilter(_without_query)
    server = AnnouncingServer(config, app.state.service)
    server.run(sockets=[sock])
    if lock is not None:
        lock.close()
    if server.failure:
        raise SystemExit(server.failure.sentence)


def _without_query(record: logging.LogRecord) -> bool:
    """Take the query out of a socket's address, which uvicorn logs: it may hold a key."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


class AnnouncingServer(uvicorn.Server):
    """Says where the page is once it can be opened, and ends where a required engine can't be loaded.

    Args:
        config: uvicorn's.
        service: whose engines are watched.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.failure: ServiceError | None = None
        """Why it ended by itself."""
        self._service = service

    async def on_tick(self, counter: int) -> bool:
        if self._service.settings.video_model_required:
            slots = self._service.engines()
            if slots and all(slot.state == "failed" for slot in slots):
                self.failure = next((slot.error for slot in slots if slot.error), None)
                return True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Everything there is now stays: looking through it for garbage again and again held up the event loop
        # for a fifth of a second at a time.
        gc.collect()
        gc.freeze()
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host
            print(f"SAM3 UI is at http://{shown}:{port}", flush=True)
