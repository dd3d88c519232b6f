"""Does what a plan says, and reports."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import httpx

from backend.engines.memory import resident_mb
from benchmarks.load.bystanders import clicker, noise
from benchmarks.load.clients import Client, person
from benchmarks.load.limits import check_limits
from benchmarks.load.plan import Memory, Plan, Report, Tally, Times
from benchmarks.load.server import Server
from benchmarks.load.video import write_video

LATE, BLOCKED = "sam3_event_loop_lag_max_seconds", "sam3_event_loop_blocked_max_seconds"


def run(plan: Plan) -> Report:
    """Start a server, load it as planned, end it.

    Raises:
        RuntimeError: the server does not start, or is gone before the end.
    """
    # A person each, the clicked sessions, and the one with which a place too few is tried.
    with Server(plan.workers, plan.step_ms / 1000, plan.sessions) as server:
        return asyncio.run(_drive(server, plan))


async def _drive(server: Server, plan: Plan) -> Report:
    tally = Tally()
    video = write_video(server.folder / "load.mp4", plan.frames, plan.width, plan.height)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=plan.sessions)
    async with httpx.AsyncClient(base_url=f"{server.address}/api/v1/video", timeout=120, limits=limits) as http:
        client = Client(server.address, http, tally)
        video_id = await _upload(http, video)
        await check_limits(server, client, plan, video_id)
        # The frames of the limits' runs are no measure of the load's pace.
        tally.frames = 0
        quiet = await _click_alone(server, video_id, plan)
        with noise() as machine, clicker(server.address, video_id, plan.clicked) as clicks:
            began = time.monotonic()
            memory, late, blocked = await _load(server, client, plan, video_id)
            elapsed = time.monotonic() - began
        quiet += await _click_alone(server, video_id, plan)
    return Report(
        plan=plan,
        tally=tally,
        quiet=Times(quiet),
        loaded=Times(clicks.values),
        late=Times(late),
        blocked=Times(blocked),
        noise=Times(machine.values),
        memory=memory,
        load_average=os.getloadavg(),
        elapsed=elapsed,
    )


async def _upload(http: httpx.AsyncClient, video: Path) -> str:
    reply = await http.post("/upload", files={"file": (video.name, video.read_bytes())})
    reply.raise_for_status()
    return str(reply.json()["video_id"])


async def _click_alone(server: Server, video_id: str, plan: Plan) -> list[float]:
    with clicker(server.address, video_id, plan.clicked) as clicks:
        await asyncio.sleep(plan.quiet_seconds)
    return clicks.values


async def _load(
    server: Server, client: Client, plan: Plan, video_id: str
) -> tuple[list[Memory], list[float], list[float]]:
    """What the processes held meanwhile, and how late the event loop was and by what fault of its own."""
    began = time.monotonic()
    until = began + plan.seconds
    people = [
        asyncio.create_task(person(client, number, video_id, plan, until))
        for number in range(plan.sessions - plan.clicked)
    ]
    working = asyncio.gather(*people)
    names = {server.pid: "the web process"}
    names |= {pid: f"worker {place}" for place, pid in enumerate(server.worker_pids(), 1)}
    samples: dict[int, list[tuple[float, float]]] = {pid: [] for pid in names}
    late: list[float] = []
    blocked: list[float] = []
    await asyncio.to_thread(server.metrics)
    while not working.done():
        await asyncio.wait([working], timeout=1)
        # Reading it starts it anew: each value is the worst of about a second.
        said = await asyncio.to_thread(server.metrics)
        late.append(said[LATE] * 1000)
        blocked.append(said[BLOCKED] * 1000)
        for pid, points in samples.items():
            points.append((time.monotonic() - began, resident_mb(pid)))
    await working
    return [Memory(names[pid], points) for pid, points in samples.items()], late, blocked
