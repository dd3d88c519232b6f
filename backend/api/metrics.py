"""/metrics, in Prometheus' text format."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.lag import LoopLag
from backend.engines.devices import gpus
from backend.engines.memory import resident_mb
from backend.sessions.service import Service

router = APIRouter()


class Metrics(Collector):
    """Counts requests as they pass, and reads the service when asked."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sam3_requests", "Requests by route and status", ["method", "route", "status"], registry=self.registry
        )
        self.inference = Histogram(
            "sam3_inference_seconds", "Time of prompts and image calls", ["route"], registry=self.registry
        )
        self.lag = LoopLag(self.registry)
        self.registry.register(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        stats = self._service.stats()
        slots = self._service.engines()
        memory = resident_mb(0) + sum(resident_mb(slot.pid) for slot in slots if slot.pid)
        for name, text, value in (
            ("sam3_active_sessions", "Sessions", stats.sessions),
            ("sam3_frames_processed", "Frames of the sessions' current or last runs", stats.frames_processed),
            ("sam3_queue_depth", "Requests that engines owe answers to", sum(slot.waiting for slot in slots)),
            ("sam3_process_memory_bytes", "Resident memory of the server and its workers", memory * 1e6),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        late, blocked = self.lag.take_worst()
        since = "since this was last read"
        yield GaugeMetricFamily("sam3_event_loop_lag_max_seconds", f"The latest the event loop was {since}", value=late)
        yield GaugeMetricFamily(
            "sam3_event_loop_blocked_max_seconds", f"The same without waits for a core, {since}", value=blocked
        )
        used = GaugeMetricFamily("sam3_gpu_memory_bytes", "Memory in use on each GPU", labels=["gpu"])
        for gpu in gpus():
            used.add_metric([str(gpu.index)], gpu.used_mb * 1e6)
        yield used


INFERENCE = ("/prompt", "/segment", "/batch", "/cached-features")
"""How the routes end whose durations are observed."""


class Counting:
    """ASGI middleware that counts requests by their route's pattern, never by raw paths."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            self._metrics.requests.labels(scope["method"], route, str(status)).inc()
            if route.endswith(INFERENCE):
                self._metrics.inference.labels(route).observe(time.monotonic() - began)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    collected: Metrics = request.app.state.metrics
    # The drivers of GPUs and /proc are asked: not on the event loop.
    text = await asyncio.to_thread(generate_latest, collected.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
