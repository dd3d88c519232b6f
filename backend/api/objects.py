"""The REST routes of a session's objects, and of the caller's classes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path as PathParam

from backend.api import bodies as b
from backend.api import replies as r
from backend.api.context import ObjId, OwnerDep, ServiceDep, SessionId, video_router
from backend.errors import InvalidInput
from backend.sessions import operations

router = video_router()


@router.get("/labels")
async def labels(service: ServiceDep, owner: OwnerDep) -> r.Labels:
    """The caller's own classes, from all their sessions."""
    return r.Labels(**await operations.labels(service, owner))


@router.put("/labels")
async def put_label(service: ServiceDep, owner: OwnerDep, body: b.LabelBody) -> r.Label:
    """Add a class, or give one another colour: objects that get the class from now on get the colour with it."""
    return r.Label(**await operations.put_label(service, owner, body.label, body.color))


@router.delete("/labels/{label:path}")
async def drop_label(
    service: ServiceDep, owner: OwnerDep, label: Annotated[str, PathParam(description="the class")]
) -> r.LabelRemoved:
    """Remove a class that no object has."""
    return r.LabelRemoved(**await operations.drop_label(service, owner, label))


@router.patch("/session/{session_id}/object/{obj_id}")
async def change_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: b.ObjectBody
) -> r.ObjectReply:
    """Name, class or colour of an object; works during a propagation too."""
    if body.name is None and body.label is None and body.color is None:
        raise InvalidInput("Send a name, a label or a color.", "nothing_to_change")
    renamed = await operations.rename(service, owner, session_id, obj_id, body.name, body.label, body.color)
    return r.ObjectReply(**renamed)


@router.post("/session/{session_id}/object/{obj_id}/approve", response_model_exclude_unset=True)
async def approve_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: b.ApproveBody | None = None
) -> r.Approved:
    """Say that an object's masks on a span are right, or take it back: propagations leave approved ones untouched.

    Only frames on which the object is computed count. Can be undone.
    """
    body = body or b.ApproveBody()
    asked = (body.start, body.stop, body.approved)
    return r.Approved(**await operations.approve(service, owner, session_id, obj_id, *asked))


@router.post("/session/{session_id}/object/{obj_id}/split", response_model_exclude_unset=True)
async def split_object(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: b.SplitBody
) -> r.Split:
    """A part of an object becomes an object of its own: the pieces at points, or what a mask covers.

    On other frames of the span the parts are told apart by overlap, from `frame_index` outwards. Can be undone.
    """
    prompts = [p.model_dump() for p in body.prompts]
    asked = (body.frame_index, prompts, body.start, body.stop)
    return r.Split(**await operations.split(service, owner, session_id, obj_id, *asked))


@router.post("/session/{session_id}/object/{obj_id}/merge", response_model_exclude_unset=True)
async def merge_objects(
    service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId, body: b.MergeBody
) -> r.Merged:
    """Another object's masks go to this one: on all frames, or on a span, where the other is empty then.

    Can be undone.
    """
    asked = (body.obj_id, body.start, body.stop)
    return r.Merged(**await operations.merge(service, owner, session_id, obj_id, *asked))


@router.delete("/session/{session_id}/object/{obj_id}")
async def remove_object(service: ServiceDep, owner: OwnerDep, session_id: SessionId, obj_id: ObjId) -> r.Removed:
    return r.Removed(**await operations.remove(service, owner, session_id, obj_id))
