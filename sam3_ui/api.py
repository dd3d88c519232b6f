"""Gradio's own API: the service's operations as named, typed endpoints, and as MCP tools.

The same names, arguments and result shapes as REST. `/propagate` is a generator: one item a frame,
with the overlay picture beside it where it is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder

from backend.api.auth import Access
from backend.errors import NotFound, ServiceError, Unauthenticated
from backend.masks.looks import Look, LookName
from backend.sessions import operations, wire
from backend.sessions.image import segment_image as segment_still
from backend.sessions.pictures import Still
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import follow
from backend.sessions.service import Service
from backend.sessions.session import Session
from backend.sessions.start import frame_rate
from backend.sessions.start import start_session as begin_session
from sam3_ui.owners import Claims

Operation = Callable[..., Awaitable[dict[str, Any]]]
T = TypeVar("T")
Direction = Literal["forward", "backward", "both"]


def expose(app: FastAPI, claims: Claims | None) -> None:
    """Add the endpoints to the Blocks in whose context this is called.

    Args:
        app: the application, with its service and its rules.
        claims: who may see which file of Gradio's; None where there is one owner only.
    """
    endpoints = Endpoints(app.state.service, app.state.rules.access, claims)
    for endpoint in (
        endpoints.start_session,
        endpoints.add_prompt,
        endpoints.propagate,
        endpoints.cancel,
        endpoints.undo,
        endpoints.redo,
        endpoints.remove_object,
        endpoints.approve,
        endpoints.split_object,
        endpoints.merge_objects,
        endpoints.reset_session,
        endpoints.close_session,
        endpoints.session_status,
        endpoints.list_sessions,
        endpoints.export,
        endpoints.segment_image,
    ):
        # Nobody's propagation may keep another one's from beginning: the service is what queues.
        gr.api(  # type: ignore[attr-defined]
            endpoint,
            api_name=endpoint.__name__,
            concurrency_limit=None,
        )


def _sentence(error: ServiceError) -> gr.Error:
    return gr.Error(f"{error.sentence} [{error.code}]", print_exception=False)


class Endpoints:
    """One method for each endpoint; its docstring is what the API page and MCP clients show."""

    def __init__(self, service: Service, access: Access, claims: Claims | None) -> None:
        self._service = service
        self._access = access
        self._claims = claims

    def _owner(self, request: gr.Request) -> str:
        if request.request is None:
            raise Unauthenticated("It can't be told who asks.")
        return self._access.owner(request.request)

    async def _session(self, session_id: str, request: gr.Request) -> Session:
        return await self._service.opened(session_id, self._owner(request))

    async def _op(self, operation: Operation, request: gr.Request, *values: Any) -> dict[str, Any]:
        """One of the service's operations, in the name of whoever asks."""
        return await operation(self._service, self._owner(request), *values)

    async def start_session(
        self,
        video: gr.FileData | None = None,
        video_id: str | None = None,
        video_path: str | None = None,
        video_base64: str | None = None,
        session_id: str | None = None,
        fps: float | None = None,
        gpu_ids: list[int] | None = None,
        video_url: str | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Begin a session on a video or image.

        Args:
            video: a file uploaded with the call (gradio_client's handle_file).
            video_id: instead, the id of an earlier upload.
            video_path: instead, a file under the server's VIDEO_ROOTS, such as "sample.mp4".
            video_base64: instead, the file itself.
            session_id: an id of your own; else one is made.
            fps: frames per second, for zips of frames.
            gpu_ids: the GPUs to work on, of those the server has.
            video_url: instead, an address to fetch it from, where the server allows that.

        Returns:
            session_id, video_info, status.
        """
        named = {
            "video_id": video_id,
            "video_path": video_path,
            "video_base64": video_base64,
            "video_url": video_url,
        }
        return await _answer(self._start(video, fps, request, session_id=session_id, gpu_ids=gpu_ids, **named))

    async def _start(
        self, video: gr.FileData | None, fps: float | None, request: gr.Request, **named: Any
    ) -> dict[str, Any]:
        owner = self._owner(request)
        stored = None
        if video:
            path = uploaded_path(video)
            if self._claims is not None and not self._claims.has("file", str(path), owner):
                raise NotFound("There is no such upload.", "video_not_found")
            stored = await asyncio.to_thread(self._service.upload, path, path.name, owner, frame_rate(fps), True)
        session = await begin_session(self._service, owner, fps=fps, stored=stored, **named)
        return wire.started_out(session)

    async def add_prompt(
        self,
        session_id: str,
        frame_index: int,
        prompts: list[dict[str, Any]],
        obj_id: int | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Prompt on one frame; any mix of text, points, boxes and masks.

        Args:
            session_id: the session.
            frame_index: the frame, from 0.
            prompts: such as [{"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}].
            obj_id: the object to refine; none: a new one.

        Returns:
            frame_index, obj_id, obj_ids, masks (COCO RLE counts), boxes, scores, size, status.
        """

        return await _answer(self._op(operations.prompt, request, session_id, frame_index, prompts, obj_id))

    async def propagate(
        self,
        session_id: str,
        direction: Direction = "both",
        start_frame_index: int | None = None,
        max_frames: int | None = None,
        end_frame_index: int | None = None,
        obj_ids: list[int] | None = None,
        overlay: bool = False,
        resume: bool = False,
        look: LookName = "fill",
        opacity: float | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> AsyncIterator[tuple[dict[str, Any], str | None]]:
        """Track the objects through the video; one item a frame, as it is computed.

        Args:
            session_id: the session.
            direction: forward, backward or both.
            start_frame_index: default: the first prompted frame.
            max_frames: frames in each direction, the start included.
            end_frame_index: the far end, instead of max_frames.
            obj_ids: only these objects.
            overlay: send the frame with the objects painted as a JPEG data URL too.
            resume: go on with the last propagation, which was cancelled, failed or interrupted.
            look: of the overlay: fill, outline, cutout, spotlight, blur_object, blur_background, pixelate_object
                or pixelate_background. Where it is not known of each object where it is, the two that hide
                objects are black.
            opacity: 0 to 1, of fill's colour or of the dark around a spotlight.

        Returns:
            For each frame {type, run_id, seq, frame_index, size, objects: [{id, mask, box, score}]} and the
            overlay picture or null; at last {type: complete | cancelled, total_frames, processing_time_ms}.
        """
        try:
            still = Still(Look(look, opacity))
            session = await self._session(session_id, request)
            asked = PropagateRequest(
                direction,
                start_frame_index,
                max_frames,
                end_frame_index,
                tuple(obj_ids) if obj_ids is not None else None,
                bool(resume),
            )
            run = await operations.propagate(session, asked)
            size = wire.size_of(session.video)
            async for seq, frame in follow(session, run, run.first_place):
                item = {"type": "frame", "run_id": run.id, "seq": seq, "size": size, **wire.frame_out(frame)}
                picture = None
                if overlay:
                    jpeg = await asyncio.to_thread(self._service.overlay, session, frame.frame_index, still)
                    picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
                yield item, picture
        except ServiceError as error:
            raise _sentence(error) from error
        if run.state in ("error", "interrupted"):
            raise gr.Error(f"{run.error} [{run.code}]", print_exception=False)
        kind = "cancelled" if run.state == "cancelled" else "complete"
        milliseconds = round(run.milliseconds, 1)
        yield {"type": kind, "run_id": run.id, "total_frames": run.done, "processing_time_ms": milliseconds}, None

    async def cancel(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """Stop the session's propagation; what it computed stays.

        Args:
            session_id: the session.

        Returns:
            session_id, status.
        """

        return await _answer(self._op(operations.cancel, request, session_id))

    async def undo(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """Undo the session's last edit.

        Args:
            session_id: the session.

        Returns:
            session_id, status, obj_ids, undone.
        """

        return await _answer(self._op(operations.undo, request, session_id))

    async def redo(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """Bring back the edit that was undone last.

        Args:
            session_id: the session.

        Returns:
            session_id, status, obj_ids, redone.
        """

        return await _answer(self._op(operations.redo, request, session_id))

    async def remove_object(
        self,
        session_id: str,
        obj_id: int,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Remove an object; can be undone.

        Args:
            session_id: the session.
            obj_id: the object.

        Returns:
            session_id, obj_id, status.
        """

        return await _answer(self._op(operations.remove, request, session_id, obj_id))

    async def approve(
        self,
        session_id: str,
        obj_id: int,
        start: int | None = None,
        stop: int | None = None,
        approved: bool = True,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Say that an object's masks on a span are right: propagations leave them untouched. Can be undone.

        Args:
            session_id: the session.
            obj_id: the object.
            start: the first frame; none: the video's.
            stop: the last frame; none: the video's.
            approved: false takes it back.

        Returns:
            session_id, obj_id, approved ([[from, to], ...], all of the object), status, obj_ids.
        """

        return await _answer(self._op(operations.approve, request, session_id, obj_id, start, stop, approved))

    async def split_object(
        self,
        session_id: str,
        obj_id: int,
        frame_index: int,
        prompts: list[dict[str, Any]],
        start: int | None = None,
        stop: int | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Make a part of an object an object of its own. Can be undone.

        Args:
            session_id: the session.
            obj_id: the object.
            frame_index: the frame that the prompts are about, from 0.
            prompts: points or masks; the pieces at positive points, or what a mask covers, is the part.
            start: the first frame to split on too; none, without a stop either: frame_index alone.
            stop: the last of them.

        Returns:
            session_id, obj_id, new_obj_id, frames ([[from, to], ...]), objects, status, obj_ids.
        """

        asked = (session_id, obj_id, frame_index, prompts, start, stop)
        return await _answer(self._op(operations.split, request, *asked))

    async def merge_objects(
        self,
        session_id: str,
        obj_id: int,
        other_obj_id: int,
        start: int | None = None,
        stop: int | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Give an object another one's masks too. Can be undone.

        Args:
            session_id: the session.
            obj_id: the object that stays.
            other_obj_id: the other; without start and stop it is gone afterwards, else empty on that span.
            start: the first frame.
            stop: the last frame.

        Returns:
            session_id, obj_id, removed, frames ([[from, to], ...]), objects, status, obj_ids.
        """

        return await _answer(self._op(operations.merge, request, session_id, obj_id, other_obj_id, start, stop))

    async def reset_session(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """Clear all objects; the video stays. Can be undone.

        Args:
            session_id: the session.

        Returns:
            session_id, status, objects_cleared.
        """

        return await _answer(self._op(operations.reset, request, session_id))

    async def close_session(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """End the session and free its memory.

        Args:
            session_id: the session.

        Returns:
            session_id, status, memory_freed_mb.
        """

        return await _answer(self._op(operations.close, request, session_id))

    async def session_status(self, session_id: str, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """How a session stands: its objects, its run, what can be undone.

        Args:
            session_id: the session.

        Returns:
            status, objects, frames_processed, total_frames, run and more, as GET …/status.
        """

        return await _answer(self._op(operations.status, request, session_id))

    async def list_sessions(self, request: gr.Request = None) -> dict[str, Any]:  # type: ignore[assignment]
        """The caller's sessions.

        Returns:
            sessions, total_sessions.
        """

        return await _answer(self._op(operations.sessions, request))

    async def export(
        self,
        session_id: str,
        format: str = "coco_rle_json",
        options: dict[str, Any] | None = None,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> gr.FileData:
        """Write the session's results to a file.

        Args:
            session_id: the session.
            format: coco_rle_json or overlay_mp4.
            options: the format's own options, such as {"look": "blur_object", "objects": "1,3"} for overlay_mp4.

        Returns:
            The file.
        """

        async def work() -> gr.FileData:
            texts = {str(k): str(v) for k, v in (options or {}).items()}
            owner = self._owner(request)
            path, _ = await asyncio.to_thread(self._service.export, session_id, owner, format, texts)
            # Gradio serves what lies in its own folder as it is; in a folder that can't be guessed.
            home = Path(get_upload_folder()) / f"export-{secrets.token_urlsafe(16)}"
            home.mkdir(parents=True)
            target = Path(await asyncio.to_thread(shutil.move, path, home / path.name))
            path.parent.rmdir()
            self._service.exporting.discard_later(target)
            if self._claims is not None:
                self._claims.add("file", [target], owner)
            return gr.FileData(path=str(target), orig_name=target.name)

        return await _answer(work())

    async def segment_image(
        self,
        image: str,
        prompts: list[dict[str, Any]],
        confidence_threshold: float | None = None,
        return_visualization: bool = False,
        request: gr.Request = None,  # type: ignore[assignment]
    ) -> dict[str, Any]:
        """Segment one still image.

        Args:
            image: base64, with or without a data-URL head.
            prompts: as for add_prompt.
            confidence_threshold: finds below it are dropped; default 0.5.
            return_visualization: also return the painted picture as a data URL.

        Returns:
            masks, boxes, scores, num_masks, size, image_size, visualization_url, inference_time_ms.
        """

        async def work() -> dict[str, Any]:
            self._owner(request)
            return await segment_still(self._service, image, prompts, confidence_threshold, return_visualization)

        return await _answer(work())


def uploaded_path(file: Any) -> Path:
    """Where Gradio put a file that came with a call.

    The value is the client's own JSON: only what lies in Gradio's upload folder is taken.

    Raises:
        NotFound: it names anything else.
    """
    text = file.get("path") if isinstance(file, dict) else getattr(file, "path", None)
    path = Path(str(text or "")).resolve()
    if "\0" in str(text) or not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise NotFound("There is no such upload.", "video_not_found")
    return path


async def _answer(work: Awaitable[T]) -> T:
    """Turn the service's errors into what Gradio's clients show."""
    try:
        return await work
    except ServiceError as error:
        raise _sentence(error) from error
