"""The contract's limits, exactly: places, parking, the queue's positions, 429."""

from __future__ import annotations

import asyncio

from benchmarks.load.clients import FORWARD, Client
from benchmarks.load.plan import Plan
from benchmarks.load.server import Server

QUEUED_SECONDS = 30.0


async def check_limits(server: Server, client: Client, plan: Plan, video_id: str) -> None:
    """Fill every place; park one and bring it back; have all busy; mistakes go into the tally."""
    wrong = client.tally.wrong
    sessions = [await _prompted(client, video_id) for _ in range(plan.sessions)]
    extra = await _prompted(client, video_id)
    # Asked of the list, since to ask for a session's own status is to use it.
    if await _parked(client) != sessions[:1]:
        wrong(f"parking: {await _parked(client)} gave way, not the longest idle {sessions[0]}")
    # The next use of the parked one brings it back, and parks the one that is now the longest idle.
    if await client.prompt(sessions[0], obj_id=1) != [1]:
        wrong("parking: the parked session did not come back with its object")
    if await _parked(client) != sessions[1:2]:
        wrong(f"parking: {await _parked(client)} gave way, not the longest idle {sessions[1]}")
    holders = [*sessions[2:], sessions[0], extra]
    await _check_queue(server, client, plan, video_id, holders)
    for session_id in [*sessions, extra]:
        await client.http.delete(f"/session/{session_id}")


async def _prompted(client: Client, video_id: str) -> str:
    session_id = await client.start(video_id, 0.0)
    if session_id is None or await client.prompt(session_id) != [1]:
        client.tally.wrong("a session could not be started while places could be had")
    return session_id or ""


async def _parked(client: Client) -> list[str]:
    listed = (await client.http.get("/sessions")).json()["sessions"]
    return [item["session_id"] for item in listed if item["status"] == "parked"]


async def _check_queue(server: Server, client: Client, plan: Plan, video_id: str, holders: list[str]) -> None:
    wrong = client.tally.wrong
    server.stop_workers()
    try:
        runs = []
        for place, session_id in enumerate(holders):
            runs.append(asyncio.create_task(client.listen(session_id, "propagate", FORWARD)))
            status = await _until_queued(client, session_id)
            if (status["status"], status["queue_position"]) != ("queued", place):
                wrong(f"queue: place {place} reads {status['status']}, {status['queue_position']}")
        refused = await client.http.post("/session/start", json={"video_id": video_id})
        if refused.status_code != 429 or int(refused.headers.get("Retry-After", "0")) < 1:
            wrong(f"all busy: {refused.status_code}, Retry-After {refused.headers.get('Retry-After')}")
        if "code" not in refused.json():
            wrong("all busy: no code")
    finally:
        server.continue_workers()
    for messages in await asyncio.gather(*runs):
        frames = client.check("queued run", messages, plan.frames)
        client.tally.runs += 1
        client.tally.followers += 1
        if len(frames) != plan.frames:
            wrong(f"queued run: {len(frames)} frames")


async def _until_queued(client: Client, session_id: str) -> dict[str, object]:
    """The status once the run is on its way to the stopped worker."""
    deadline = asyncio.get_running_loop().time() + QUEUED_SECONDS
    while True:
        status = await client.status(session_id)
        if status["status"] == "queued" or asyncio.get_running_loop().time() > deadline:
            return status
        await asyncio.sleep(0.005)
