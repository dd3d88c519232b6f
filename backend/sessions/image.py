"""Still images: the same way as a video, as a session of one frame that ends with the answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

from backend.domain import Box, Prompt, Text
from backend.errors import InvalidInput, InvalidMedia
from backend.sessions import wire
from backend.sessions.service import Service

IMAGE_OWNER = "image-call"
"""Sessions of single calls belong to nobody, so nobody lists or opens them."""


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of base64 text, with or without a data-URL head.

    Raises:
        InvalidMedia: it is not base64.
    """
    _, comma, tail = text.partition(",") if text.startswith("data:") else ("", "", text)
    try:
        data = base64.b64decode("".join(tail.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidMedia(f"The {what} is not valid base64.", "invalid_base64") from error
    if not data or (text.startswith("data:") and not comma):
        raise InvalidMedia(f"The {what} is empty.", "invalid_base64")
    return data


async def segment_image(
    service: Service,
    image: str,
    prompts: Sequence[Mapping[str, Any]],
    confidence_threshold: float | None = None,
    return_visualization: bool = False,
) -> wire.Json:
    """Segment a still image.

    The threshold drops finds of texts and exemplars; what was asked for by click, box or mask is
    always in the answer.

    Raises:
        InvalidMedia: not an image.
        InvalidInput: bad prompts or threshold; and what `Session.prompt` raises.
    """
    threshold = (
        service.settings.image_model_confidence_threshold if confidence_threshold is None else confidence_threshold
    )
    if not 0 <= threshold <= 1:
        raise InvalidInput("confidence_threshold lies between 0 and 1.", "invalid_threshold")
    data = decode_base64(image, "image")
    began = time.monotonic()
    video = await asyncio.to_thread(service.upload, io.BytesIO(data), "image", IMAGE_OWNER)
    session = None
    try:
        if video.kind != "image":
            raise InvalidMedia("This is not a still image. Use the video routes for it.", "not_an_image")
        asked = wire.prompts_in(prompts, video)
        session = service.start_session(video, IMAGE_OWNER)
        outcome = await asyncio.wrap_future(session.prompt(0, asked, None))
        searched = any(_is_search(p) for p in asked)
        found = [o for o in outcome.frame.objects if not searched or o.score >= threshold]
        picture = None
        if return_visualization:
            jpeg = await asyncio.to_thread(service.overlay, session, 0)
            picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
    finally:
        if session is not None:
            service.close(session.id, IMAGE_OWNER)
        await asyncio.to_thread(service.library.delete, video.id)
    return {
        "masks": [o.rle.counts for o in found],
        "boxes": [list(o.box) if o.box else None for o in found],
        "scores": [o.score for o in found],
        "num_masks": len(found),
        "size": wire.size_of(video),
        "image_size": {"width": video.width, "height": video.height},
        "visualization_url": picture,
        "inference_time_ms": round((time.monotonic() - began) * 1000, 1),
    }


def _is_search(prompt: Prompt) -> bool:
    return isinstance(prompt, Text) or (isinstance(prompt, Box) and (prompt.exemplar or not prompt.label))
