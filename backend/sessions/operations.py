"""The contract's operations, values in and JSON out: what REST and Gradio's API both call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from backend.sessions import wire
from backend.sessions.service import Service
from backend.sessions.wire import Json

CANCEL_SECONDS = 10.0
"""How long a cancel waits for the engine's step; a hung engine ends with its watchdog."""


async def prompt(
    service: Service,
    owner: str,
    session_id: str,
    frame_index: int,
    prompts: Sequence[Mapping[str, Any]],
    obj_id: int | None,
) -> Json:
    session = await service.opened(session_id, owner)
    asked = wire.prompts_in(prompts, session.video)
    outcome = await asyncio.wrap_future(session.prompt(frame_index, asked, obj_id))
    return wire.prompted_out(session, outcome)


async def cancel(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    await asyncio.wait([asyncio.wrap_future(session.cancel())], timeout=CANCEL_SECONDS)
    return {"session_id": session_id, "status": session.status}


async def undo(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    edit = await asyncio.wrap_future(session.undo())
    return wire.stepped_out(session) | {"undone": wire.edit_summary(session, edit)}


async def redo(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    edit = await asyncio.wrap_future(session.redo())
    return wire.stepped_out(session) | {"redone": wire.edit_summary(session, edit)}


async def remove(service: Service, owner: str, session_id: str, obj_id: int) -> Json:
    session = await service.opened(session_id, owner)
    await asyncio.wrap_future(session.remove(obj_id))
    return {"session_id": session_id, "obj_id": obj_id, "status": "removed"}


async def rename(
    service: Service,
    owner: str,
    session_id: str,
    obj_id: int,
    name: str | None = None,
    label: str | None = None,
    color: str | None = None,
) -> Json:
    await service.opened(session_id, owner)
    return wire.info_out(await asyncio.wrap_future(service.rename(session_id, owner, obj_id, name, label, color)))


async def reset(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    count = await asyncio.wrap_future(session.reset())
    return {"session_id": session_id, "status": "reset", "objects_cleared": count}


async def close(service: Service, owner: str, session_id: str) -> Json:
    freed = await asyncio.to_thread(service.close, session_id, owner)
    return {"session_id": session_id, "status": "closed", "memory_freed_mb": round(freed / 1e6, 3)}


async def status(service: Service, owner: str, session_id: str) -> Json:
    return await asyncio.to_thread(service.status, await service.opened(session_id, owner))


async def sessions(service: Service, owner: str) -> Json:
    own = await asyncio.to_thread(lambda: [wire.listed_out(session) for session in service.list_sessions(owner)])
    return {"sessions": own, "total_sessions": len(own)}
