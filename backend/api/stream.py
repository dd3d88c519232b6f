"""The WebSockets: run a propagation and see its frames, or join one that is going on.

There are no acknowledgements: each socket is a cursor into the store, so a slow one holds up
nobody, and one that goes away cancels nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from backend.api.bodies import PropagateBody
from backend.api.context import rules_of, service_of
from backend.api.errors import body_of, close_code_of
from backend.errors import InvalidInput, NotFound, ServiceError
from backend.sessions import operations, wire
from backend.sessions.run import Run, follow
from backend.sessions.session import Session

router = APIRouter(prefix="/api/v1/video/ws")

LONGEST_MESSAGE = 1_000_000
"""Characters of a message: a request is far shorter, and reading more would hold up everybody."""


@router.websocket("/propagate/{session_id}")
async def propagate(socket: WebSocket, session_id: str) -> None:
    await socket.accept()
    try:
        session = await _session(socket, session_id)
        body = await _first_message(socket)
        try:
            request = PropagateBody.model_validate(body).request()
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"{place or 'The message'}: {first['msg']}.", "malformed_request") from error
        run = await operations.propagate(session, request)
    except ServiceError as error:
        await _refuse(socket, error)
        return
    except WebSocketDisconnect:
        return
    await _serve(socket, session, run, run.first_place)


@router.websocket("/follow/{session_id}")
async def follow_run(socket: WebSocket, session_id: str) -> None:
    await socket.accept()
    try:
        session = await _session(socket, session_id)
        body = await _first_message(socket)
        from_seq = body.get("from_seq", 0)
        if isinstance(from_seq, bool) or not isinstance(from_seq, int) or from_seq < 0:
            raise InvalidInput("from_seq is a whole number from 0 on.", "malformed_request")
        run = session.run
        if run is None:
            raise NotFound("No propagation has run in this session yet.", "no_run")
    except ServiceError as error:
        await _refuse(socket, error)
        return
    except WebSocketDisconnect:
        return
    await _serve(socket, session, run, from_seq)


async def _session(socket: WebSocket, session_id: str) -> Session:
    return await service_of(socket).opened(session_id, rules_of(socket).check_socket(socket))


async def _first_message(socket: WebSocket) -> dict[str, Any]:
    try:
        seconds = service_of(socket).settings.socket_timeout_seconds
        text = await asyncio.wait_for(_text(socket), seconds)
    except TimeoutError as error:
        raise InvalidInput("Nothing was asked for in time.", "no_message") from error
    if len(text) > LONGEST_MESSAGE:
        raise InvalidInput("The message is too long for a request.", "malformed_request")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The message is not valid JSON.", "malformed_request") from error
    if not isinstance(body, dict):
        raise InvalidInput("The message is a JSON object.", "malformed_request")
    return body


async def _text(socket: WebSocket) -> str:
    """The next message as text; a binary one holding text is fine too."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    if message.get("text") is not None:
        return str(message["text"])
    return bytes(message.get("bytes") or b"").decode("utf-8", "replace")


async def _refuse(socket: WebSocket, error: ServiceError) -> None:
    body = body_of(error)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json({"type": "error", "error": body["detail"], "code": body["code"]})
        await socket.close(close_code_of(error))


async def _serve(socket: WebSocket, session: Session, run: Run, from_seq: int) -> None:
    """Send a run's frames and how it ended, and listen for a cancel meanwhile."""
    sending = asyncio.create_task(_send_run(socket, session, run, from_seq))
    listening = asyncio.create_task(_listen(socket, session, run))
    await asyncio.wait([sending, listening], return_when=asyncio.FIRST_COMPLETED)
    for task in (sending, listening):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await task
    # It may have gone away meanwhile.
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.close()


async def _send_run(socket: WebSocket, session: Session, run: Run, from_seq: int) -> None:
    size = wire.size_of(session.video)
    try:
        async for seq, frame in follow(session, run, from_seq):
            await socket.send_json(
                {"type": "frame", "run_id": run.id, "seq": seq, "size": size, **wire.frame_out(frame)}
            )
    except ServiceError as error:
        await socket.send_json({"type": "error", "error": error.sentence, "code": error.code})
        return
    if run.state in ("error", "interrupted"):
        await socket.send_json({"type": "error", "error": run.error, "code": run.code, "total_frames": run.done})
    elif run.state == "cancelled":
        await socket.send_json({"type": "cancelled", "run_id": run.id, "total_frames": run.done})
    else:
        await socket.send_json(
            {
                "type": "complete",
                "run_id": run.id,
                "total_frames": run.done,
                "processing_time_ms": round(run.milliseconds, 1),
            }
        )


async def _listen(socket: WebSocket, session: Session, run: Run) -> None:
    """Take cancels until the client goes away; anything else it says is ignored."""
    while True:
        text = await _text(socket)
        if len(text) > LONGEST_MESSAGE or run.cancelling:
            continue
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(text)
            if isinstance(body, dict) and body.get("type") == "cancel" and session.run is run:
                await asyncio.to_thread(session.cancel)
