"""People who propagate, and all who follow them: every frame is checked as it comes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import websockets

from benchmarks.load.plan import Plan, Tally

Json = dict[str, Any]
CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
FORWARD = {"direction": "forward", "start_frame_index": 0}


class Client:
    """One person's REST and WebSocket calls."""

    def __init__(self, address: str, http: httpx.AsyncClient, tally: Tally) -> None:
        self._ws = f"ws{address.removeprefix('http')}/api/v1/video/ws"
        self.http = http
        self.tally = tally

    async def start(self, video_id: str, until: float) -> str | None:
        """Begin a session, again and again while all places are busy; None: it was never its turn."""
        while True:
            reply = await self.http.post("/session/start", json={"video_id": video_id})
            if reply.status_code == 200:
                return str(reply.json()["session_id"])
            if reply.status_code != 429 or not reply.headers.get("Retry-After", "").isdigit():
                self.tally.wrong(f"start: {reply.status_code} {reply.text[:200]}")
                return None
            self.tally.refused += 1
            if time.monotonic() > until:
                return None
            await asyncio.sleep(0.2)

    async def prompt(self, session_id: str, obj_id: int | None = None) -> list[int]:
        """Click on the first frame; the objects that it wrote."""
        body = {"frame_index": 0, "prompts": [CLICK], "obj_id": obj_id}
        reply = await self.http.post(f"/session/{session_id}/prompt", json=body)
        if reply.status_code != 200:
            self.tally.wrong(f"prompt: {reply.status_code} {reply.text[:200]}")
            return []
        return list(reply.json()["obj_ids"])

    async def status(self, session_id: str) -> Json:
        return dict((await self.http.get(f"/session/{session_id}/status")).json())

    async def listen(
        self, session_id: str, path: str, first: Json, begun: asyncio.Event | None = None, cancel_after: int = 0
    ) -> list[Json]:
        """All messages of a socket; `begun` is set at the first frame, after `cancel_after` of them it cancels."""
        messages: list[Json] = []
        async with websockets.connect(f"{self._ws}/{path}/{session_id}", max_size=None) as socket:
            await socket.send(json.dumps(first))
            async for text in socket:
                messages.append(json.loads(text))
                if begun:
                    begun.set()
                if cancel_after and len(messages) == cancel_after:
                    await socket.send('{"type": "cancel"}')
        if begun:
            begun.set()
        return messages

    def check(self, who: str, messages: list[Json], frames: int, from_seq: int = 0) -> list[Json]:
        """Hold a follower's messages against what must have come; returns its frames."""
        wrong = self.tally.wrong
        if not messages:
            wrong(f"{who}: nothing came")
            return []
        *seen, last = messages
        if last["type"] not in ("complete", "cancelled") or any(item["type"] != "frame" for item in seen):
            wrong(f"{who}: ended with {json.dumps(last)[:200]}")
            return []
        if [item["seq"] for item in seen] != list(range(from_seq, from_seq + len(seen))):
            wrong(f"{who}: seq {[item['seq'] for item in seen]}")
        if [item["frame_index"] for item in seen] != list(range(from_seq, from_seq + len(seen))):
            wrong(f"{who}: frame_index {[item['frame_index'] for item in seen]}")
        if last["total_frames"] != from_seq + len(seen):
            wrong(f"{who}: {len(seen)} frames from {from_seq} on, {last['total_frames']} in all")
        if last["type"] == "complete" and last["total_frames"] != frames:
            wrong(f"{who}: complete with {last['total_frames']} of {frames} frames")
        if any(len(item["objects"]) != 1 for item in seen):
            wrong(f"{who}: a frame without its object")
        if len({item["run_id"] for item in messages}) != 1:
            wrong(f"{who}: frames of several runs")
        return seen


async def propagate_by_socket(client: Client, session_id: str, plan: Plan, cancel_after: int = 0) -> None:
    """A run with three followers: who asked for it, one from the start, one that joins in the middle."""
    tally, begun, middle = client.tally, asyncio.Event(), plan.frames // 3
    running = asyncio.create_task(client.listen(session_id, "propagate", FORWARD, begun, cancel_after))
    await begun.wait()
    joined = [client.listen(session_id, "follow", {"from_seq": start}) for start in (0, 0 if cancel_after else middle)]
    first, second, third = await asyncio.gather(running, *joined)
    frames = client.check("propagate", first, plan.frames)
    tally.runs += 1
    tally.followers += 3
    tally.frames += len(frames)
    tally.cancelled += bool(first and first[-1]["type"] == "cancelled")
    if client.check("follow", second, plan.frames) != frames:
        tally.wrong("follow: not the frames of who asked for the run")
    start = 0 if cancel_after else middle
    if client.check("late follow", third, plan.frames, start) != frames[start:]:
        tally.wrong("late follow: not the frames of who asked for the run")
    await _check_stored(client, session_id, {f["frame_index"]: f["objects"] for f in frames})


async def propagate_by_rest(client: Client, session_id: str, plan: Plan) -> None:
    """A run whose reply is one body."""
    reply = await client.http.post(f"/session/{session_id}/propagate", json=FORWARD)
    if reply.status_code != 200:
        client.tally.wrong(f"propagate: {reply.status_code} {reply.text[:200]}")
        return
    body = reply.json()
    if list(map(int, body["results"])) != list(range(plan.frames)) or body["total_frames"] != plan.frames:
        client.tally.wrong(f"propagate: frames {list(body['results'])}")
    client.tally.runs += 1
    client.tally.followers += 1
    client.tally.frames += len(body["results"])
    await _check_stored(client, session_id, {int(i): f["objects"] for i, f in body["results"].items()})


async def _check_stored(client: Client, session_id: str, frames: dict[int, Any]) -> None:
    stored = (await client.http.get(f"/session/{session_id}/results")).json()["results"]
    if {int(index): frame["objects"] for index, frame in stored.items()} != frames:
        client.tally.wrong("results: not what was streamed")


async def person(client: Client, number: int, video_id: str, plan: Plan, until: float) -> None:
    """One session after the other, each propagated and closed, until the time is up."""
    turn = number
    while time.monotonic() < until:
        session_id = await client.start(video_id, until)
        if session_id is None:
            return
        if await client.prompt(session_id) == [1]:
            if turn % 4 == 3:
                await propagate_by_rest(client, session_id, plan)
            else:
                await propagate_by_socket(client, session_id, plan, plan.frames // 2 if turn % 5 == 4 else 0)
        reply = await client.http.delete(f"/session/{session_id}")
        if reply.status_code != 200:
            client.tally.wrong(f"close: {reply.status_code} {reply.text[:200]}")
        turn += 1
