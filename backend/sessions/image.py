"""Still images: the same way as a video, as a session of one frame that ends with the answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from backend.domain import Box, Prompt, Text
from backend.errors import InvalidInput, InvalidMedia, ServiceError
from backend.owners import IMAGE_OWNER
from backend.sessions import wire
from backend.sessions.service import Service
from backend.sessions.session import PromptOutcome, Session

SLICE = 1 << 20
"""Characters of base64 that are decoded at once."""


def decode_base64(text: str, what: str) -> bytes:
    """The bytes of base64 text, with or without a data-URL head.

    A slice at a time: decoded at once, a long text would keep every other thread from running.

    Raises:
        InvalidMedia: it is not base64.
    """
    head = text.find(",") + 1 if text.startswith("data:") else 0
    parts: list[bytes] = []
    rest, padded = "", False
    try:
        for place in range(head, len(text), SLICE):
            piece = rest + "".join(text[place : place + SLICE].split())
            if piece and padded:
                raise ValueError("It goes on after its padding.")
            whole = len(piece) - len(piece) % 4
            padded, rest = piece[:whole].endswith("="), piece[whole:]
            parts.append(base64.b64decode(piece[:whole], validate=True))
        parts.append(base64.b64decode(rest, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidMedia(f"The {what} is not valid base64.", "invalid_base64") from error
    data = b"".join(parts)
    if not data or (text.startswith("data:") and not head):
        raise InvalidMedia(f"The {what} is empty.", "invalid_base64")
    return data


@asynccontextmanager
async def _still(service: Service, image: str) -> AsyncIterator[Session]:
    """A session of one picture, for as long as the block takes.

    Calls with the same picture go to the same worker, where its features may be kept.

    Raises:
        InvalidMedia: not an image.
    """
    data = await asyncio.to_thread(decode_base64, image, "image")
    likeness = zlib.crc32(data)
    video = await asyncio.to_thread(service.upload, io.BytesIO(data), "image", IMAGE_OWNER, None, True)
    session = None
    try:
        if video.kind != "image":
            raise InvalidMedia("This is not a still image. Use the video routes for it.", "not_an_image")
        session = await asyncio.to_thread(
            service.start_session, video, IMAGE_OWNER, gpu_ids=service.image_gpus, likeness=likeness, passing=True
        )
        yield session
    finally:
        if session is not None:
            await asyncio.to_thread(service.close, session.id, IMAGE_OWNER)
        await asyncio.to_thread(service.library.delete, video.id)


def _threshold(service: Service, asked: float | None) -> float:
    """Raises: InvalidInput."""
    threshold = service.settings.image_model_confidence_threshold if asked is None else asked
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise InvalidInput("confidence_threshold lies between 0 and 1.", "invalid_threshold")
    return threshold


def _found(outcome: PromptOutcome, asked: Sequence[Prompt], threshold: float) -> wire.Json:
    """The masks of an answer. The threshold drops finds of texts and exemplars only."""
    searched = any(_is_search(p) for p in asked)
    found = [o for o in outcome.frame.objects if not searched or o.score >= threshold]
    return {
        "masks": [o.rle.counts for o in found],
        "boxes": [list(o.box) if o.box else None for o in found],
        "scores": [o.score for o in found],
        "num_masks": len(found),
    }


def _sizes(session: Session) -> wire.Json:
    video = session.video
    return {"size": wire.size_of(video), "image_size": {"width": video.width, "height": video.height}}


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
    threshold = _threshold(service, confidence_threshold)
    began = time.monotonic()
    async with _still(service, image) as session:
        asked = wire.prompts_in(prompts, session.video)
        outcome = await asyncio.wrap_future(await asyncio.to_thread(session.prompt, 0, asked, None))
        picture = None
        if return_visualization:
            jpeg = await asyncio.to_thread(service.overlay, session, 0)
            picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        return {
            **_found(outcome, asked, threshold),
            **_sizes(session),
            "visualization_url": picture,
            "inference_time_ms": round((time.monotonic() - began) * 1000, 1),
        }


async def segment_batch(
    service: Service,
    images: Sequence[Mapping[str, Any]],
    confidence_threshold: float | None = None,
    max_concurrent: int = 4,
) -> wire.Json:
    """Segment several still images, each with its own prompts; one that fails doesn't stop the others.

    Args:
        service: the service.
        images: `{id, image, prompts}` each.
        confidence_threshold: as of `segment_image`.
        max_concurrent: how many are worked on at once; never more than there are places for sessions.

    Raises:
        InvalidInput: a bad threshold or max_concurrent.
    """
    _threshold(service, confidence_threshold)
    if max_concurrent < 1:
        raise InvalidInput("max_concurrent is at least 1.", "invalid_max_concurrent")
    places = asyncio.Semaphore(min(max_concurrent, service.settings.max_concurrent_sessions))

    async def one(item: Mapping[str, Any]) -> wire.Json:
        async with places:
            try:
                found = await segment_image(service, item["image"], item["prompts"], confidence_threshold)
            except ServiceError as error:
                return {"id": item["id"], "error": error.sentence, "code": error.code}
        return {"id": item["id"], **{k: v for k, v in found.items() if k != "visualization_url"}}

    results = await asyncio.gather(*(one(item) for item in images))
    failed = sum("error" in result for result in results)
    return {"results": results, "total_images": len(results), "successful": len(results) - failed, "failed": failed}


async def segment_texts(
    service: Service, image: str, text_prompts: Sequence[str], confidence_threshold: float | None = None
) -> wire.Json:
    """Look for several texts on one still image, each for itself, with one pass of the vision encoder.

    `cache` says what `cache_hit` can mean here: "on"; "off" by the settings; "none" where the engine
    has no encoder whose work could be kept.

    Raises:
        InvalidMedia: not an image.
        InvalidInput: no texts, empty ones, a bad threshold; and what `Session.prompt` raises.
    """
    threshold = _threshold(service, confidence_threshold)
    texts = [Text(text) for text in text_prompts]
    if not texts:
        raise InvalidInput("Send at least one text.", "no_prompts")
    began = time.monotonic()
    results: list[wire.Json] = []
    hit = False
    async with _still(service, image) as session:
        for prompt, text in zip(text_prompts, texts, strict=True):
            outcome = await asyncio.wrap_future(await asyncio.to_thread(session.prompt, 0, (text,), None))
            hit = hit or (not results and bool(outcome.cache_hit))
            results.append({"prompt": prompt, **_found(outcome, [text], threshold)})
            # Each text for itself: what one found must not count as known to the next.
            await asyncio.wrap_future(await asyncio.to_thread(session.reset))
        keeps = any(slot.info and slot.info.capabilities.features for slot in service.engines())
        return {
            "results": results,
            "cache_hit": hit,
            "cache": "none" if not keeps else "on" if service.settings.enable_feature_cache else "off",
            **_sizes(session),
            "inference_time_ms": round((time.monotonic() - began) * 1000, 1),
        }


def _is_search(prompt: Prompt) -> bool:
    return isinstance(prompt, Text) or (isinstance(prompt, Box) and (prompt.exemplar or not prompt.label))
