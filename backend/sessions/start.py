"""The ways a session's video can be named, shared by every door."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from fractions import Fraction

from backend.domain import Video
from backend.errors import InvalidInput
from backend.sessions.image import decode_base64
from backend.sessions.service import Service
from backend.sessions.session import Session


def frame_rate(fps: float | None) -> Fraction | None:
    """A client's frames per second as a fraction: 29.97 is 30000/1001.

    Raises:
        InvalidInput: not a number between 0.01 and 1000.
    """
    if fps is None:
        return None
    # Less would round to nothing, and the video would be taken for one without a rate.
    if not 0.01 <= fps <= 1000:
        raise InvalidInput("fps is a number from 0.01 to 1000.", "invalid_fps")
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    return ntsc if abs(float(ntsc) - fps) < 0.005 and fps != round(fps) else Fraction(fps).limit_denominator(1000)


def _checked(gpu_ids: Sequence[int] | None) -> tuple[int, ...]:
    """The GPUs as asked for; whether they are there, the pool says."""
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in gpu_ids or ()):
        raise InvalidInput("gpu_ids lists the numbers of GPUs, such as [0].", "unknown_gpu")
    return tuple(dict.fromkeys(gpu_ids or ()))


async def start_session(
    service: Service,
    owner: str,
    video_id: str | None = None,
    video_path: str | None = None,
    video_base64: str | None = None,
    video_url: str | None = None,
    session_id: str | None = None,
    gpu_ids: Sequence[int] | None = None,
    fps: float | None = None,
    stored: Video | None = None,
) -> Session:
    """Start a session on exactly one video.

    Args:
        stored: a video that came with the call and was stored for this session only. It ends with
            the session, as one given by path or base64 does; an upload stays.

    Raises:
        InvalidInput: none or several videos, GPUs this server does not have; and whatever the
            library and the service raise.
    """
    video = stored
    try:
        service.require_video()
        if len([v for v in (video_id, video_path, video_base64, video_url, stored) if v]) != 1:
            raise InvalidInput(
                "Name one video: video_id of an upload, video_path, video_base64 or video_url.", "invalid_video"
            )
        wanted = _checked(gpu_ids)
        if video_id:
            upload = await asyncio.to_thread(service.library.get, video_id, owner)
            return await asyncio.to_thread(service.start_session, upload, owner, session_id, gpu_ids=wanted)
        rate = frame_rate(fps)
        if video_url:
            video = await asyncio.wrap_future(service.downloads.start(video_url, owner, rate))
        elif video_path:
            video = await asyncio.to_thread(service.library.add_path, video_path, owner, rate)
        elif video_base64:
            data = await asyncio.to_thread(decode_base64, video_base64, "video")
            video = await asyncio.to_thread(service.upload, io.BytesIO(data), "video", owner, rate, True)
        assert video is not None
        return await asyncio.to_thread(
            service.start_session, video, owner, session_id, keep_video=False, gpu_ids=wanted
        )
    except BaseException:
        if video is not None:
            await asyncio.to_thread(service.library.delete, video.id)
        raise
