"""The contract's operations, values in and JSON out: what REST and Gradio's API both call.

Whatever takes a session's lock does so on a thread: a worker's reply may hold it while it is written
down, and the event loop is everybody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from backend.domain import Edit
from backend.sessions import wire
from backend.sessions.book import Repaired
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import Run
from backend.sessions.service import Service
from backend.sessions.session import PromptOutcome, Session
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

    def ask() -> Future[PromptOutcome]:
        return session.prompt(frame_index, wire.prompts_in(prompts, session.video), obj_id)

    outcome = await asyncio.wrap_future(await asyncio.to_thread(ask))
    return await asyncio.to_thread(wire.prompted_out, session, outcome)


async def propagate(session: Session, request: PropagateRequest) -> Run:
    return await asyncio.wrap_future(await asyncio.to_thread(session.propagate, request))


async def cancel(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    ended = asyncio.wrap_future(await asyncio.to_thread(session.cancel))
    await asyncio.wait([ended], timeout=CANCEL_SECONDS)
    return {"session_id": session_id, "status": session.status}


async def undo(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    edit = await asyncio.wrap_future(await asyncio.to_thread(session.undo))
    return await asyncio.to_thread(_stepped, session, "undone", edit)


async def redo(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    edit = await asyncio.wrap_future(await asyncio.to_thread(session.redo))
    return await asyncio.to_thread(_stepped, session, "redone", edit)


def _stepped(session: Session, word: str, edit: Edit) -> Json:
    return wire.stepped_out(session) | {word: wire.edit_summary(session, edit)}


async def remove(service: Service, owner: str, session_id: str, obj_id: int) -> Json:
    session = await service.opened(session_id, owner)
    await asyncio.wrap_future(await asyncio.to_thread(session.remove, obj_id))
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
    renaming = await asyncio.to_thread(service.rename, session_id, owner, obj_id, name, label, color)
    return wire.info_out(await asyncio.wrap_future(renaming))


async def approve(
    service: Service,
    owner: str,
    session_id: str,
    obj_id: int,
    start: int | None = None,
    stop: int | None = None,
    approved: bool = True,
) -> Json:
    session = await service.opened(session_id, owner)
    frames = await asyncio.wrap_future(await asyncio.to_thread(session.approve, obj_id, start, stop, bool(approved)))
    after = await asyncio.to_thread(wire.stepped_out, session)
    return after | {"obj_id": obj_id, "approved": wire.stretches_out(frames)}


async def split(
    service: Service,
    owner: str,
    session_id: str,
    obj_id: int,
    frame_index: int,
    prompts: Sequence[Mapping[str, Any]],
    start: int | None = None,
    stop: int | None = None,
) -> Json:
    session = await service.opened(session_id, owner)

    def ask() -> Future[Repaired]:
        return session.split(obj_id, frame_index, wire.prompts_in(prompts, session.video), start, stop)

    done = await asyncio.wrap_future(await asyncio.to_thread(ask))
    return await asyncio.to_thread(wire.repaired_out, session, done) | {"obj_id": obj_id, "new_obj_id": done.obj_id}


async def merge(
    service: Service,
    owner: str,
    session_id: str,
    obj_id: int,
    other: int,
    start: int | None = None,
    stop: int | None = None,
) -> Json:
    session = await service.opened(session_id, owner)
    done = await asyncio.wrap_future(await asyncio.to_thread(session.merge, obj_id, other, start, stop))
    return await asyncio.to_thread(wire.repaired_out, session, done) | {"obj_id": obj_id, "removed": done.obj_id}


async def reset(service: Service, owner: str, session_id: str) -> Json:
    session = await service.opened(session_id, owner)
    count = await asyncio.wrap_future(await asyncio.to_thread(session.reset))
    return {"session_id": session_id, "status": "reset", "objects_cleared": count}


async def close(service: Service, owner: str, session_id: str) -> Json:
    freed = await asyncio.to_thread(service.close, session_id, owner)
    return {"session_id": session_id, "status": "closed", "memory_freed_mb": round(freed / 1e6, 3)}


async def status(service: Service, owner: str, session_id: str) -> Json:
    return await asyncio.to_thread(service.status, await service.opened(session_id, owner))


async def labels(service: Service, owner: str) -> Json:
    own = await asyncio.to_thread(service.labels.listed, owner)
    return {"labels": [asdict(label) for label in own]}


async def put_label(service: Service, owner: str, label: str, color: str) -> Json:
    return asdict(await asyncio.to_thread(service.labels.put, owner, label, color))


async def drop_label(service: Service, owner: str, label: str) -> Json:
    await asyncio.to_thread(service.labels.drop, owner, label)
    return {"label": label, "status": "removed"}


async def sessions(service: Service, owner: str) -> Json:
    def listed() -> list[Json]:
        sizes = service.disk_bytes(owner)
        return [wire.listed_out(session, sizes.get(session.id, 0)) for session in service.list_sessions(owner)]

    own = await asyncio.to_thread(listed)
    return {"sessions": own, "total_sessions": len(own)}
