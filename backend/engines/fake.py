"""A stand-in engine: quick, deterministic, and able to fail on request.

Discs for clicks, ellipses for boxes, and a propagation that moves every mask two pixels right and
one down a frame. It exists so that tests of everything around an engine take milliseconds, and so
that faults can be ordered: see `faults`. `#claim-N` says that the session holds N MB.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from backend.domain import (
    BoolMask,
    Capabilities,
    DenseResult,
    EngineInfo,
    PromptRequest,
    Snapshot,
    Span,
    Video,
    point_px,
)
from backend.engines import faults
from backend.engines.base import Ask, FrameSource, plan, require
from backend.masks import decode

STEP = (2, 1)
"""How far every mask moves a frame forward: columns, rows."""
WORDS = ("thing", "things", "late thing")
LATE = 3
"""How many frames into a leg a "late thing" comes into the picture."""


@dataclass(slots=True)
class _Handle:
    video: Video
    frames: FrameSource
    masks: dict[int, BoolMask] = field(default_factory=dict)
    order: faults.Order | None = None
    """The fault that the next propagation has."""
    claimed_mb: str = ""
    """What it says that it holds, in place of what it does."""


class FakeEngine:
    """The stand-in. `step_seconds`: how long each frame of a propagation takes."""

    def __init__(self, step_seconds: float = 0.0) -> None:
        self.step_seconds = step_seconds
        self.info = EngineInfo(
            name="fake",
            title="Stand-in",
            device="CPU",
            checkpoint="none",
            capabilities=Capabilities(text=True, exemplar=False, words=WORDS),
            note="A stand-in for tests: it draws discs and moves them.",
            bytes_per_pixel=1.0,
        )

    def open(self, video: Video, frames: FrameSource, snapshot: Snapshot) -> _Handle:
        return _Handle(video, frames)

    def apply(self, handle: _Handle, request: PromptRequest) -> DenseResult:
        require(self.info.capabilities, request, self.info.title)
        sorted_out = plan(request)
        # A real engine looks at the frame, so a frame that can't be read must fail here too.
        height, width = handle.frames.read(request.frame_index).shape[:2]
        next_id = request.next_obj_id
        out: dict[int, BoolMask] = {}
        born: dict[int, str] = {}
        fault = ""
        for concept in sorted_out.concepts:
            fault = self._take_order(handle, concept.text) or fault
            if concept.text.lower() not in WORDS[:2]:
                continue
            for x in (0.25, 0.75):
                out[next_id] = _disc(height, width, (x, 0.5))
                born[next_id] = concept.text
                next_id += 1
                if concept.text == "thing":
                    break
        for ask in sorted_out.asks:
            obj_id = ask.obj_id
            if obj_id is None:
                obj_id, next_id = next_id, next_id + 1
            out[obj_id] = _draw(ask, height, width)
        if sorted_out.refine:
            hit = _hit(out, sorted_out.refine, height, width)
            if hit is None:
                hit = next_id
            out[hit] = _draw(sorted_out.refine, height, width, out.get(hit))
        if request.obj_id is not None and sorted_out.concepts and out:
            out, born = {request.obj_id: next(iter(out.values()))}, {}
        handle.masks.update(out)
        texts = [concept.text for concept in sorted_out.concepts]
        kept = any(text.lower() == WORDS[2] or text.startswith(faults.ALWAYS) for text in texts)
        result = replace(_dense(request.frame_index, out, height, width), concept_kept=kept, born=born)
        return faults.spoiled(fault, result)[0]

    def propagate(self, handle: _Handle, span: Span) -> Iterator[DenseResult]:
        order, handle.order = handle.order, None
        for follow in span.follows:
            if follow.text.startswith(faults.ALWAYS):
                order = faults.ordered(follow.text)
        last = None
        for dense in self._along(handle, span):
            last = dense
            if self.step_seconds:
                time.sleep(self.step_seconds)
            if order is None or not order.due(dense.frame_index):
                yield dense
                continue
            faults.act(order.fault)
            if order.fault == "few":
                return
            yield from faults.spoiled(order.fault, dense)
            if order.fault not in ("leak", "many") and not any(f.text.startswith(faults.ALWAYS) for f in span.follows):
                order = None
        if order is not None and order.fault == "many" and last is not None:
            yield last

    def _along(self, handle: _Handle, span: Span) -> Iterator[DenseResult]:
        height, width = handle.video.height, handle.video.width
        for leg in span.legs:
            tracked: dict[int, BoolMask] = {}
            wanted = set(span.obj_ids)
            seeds = {(s.frame_index, s.obj_id): s for s in span.seeds if s.obj_id in wanted}
            frames = list(leg.frames)
            late = next((f.text for f in span.follows if f.find_new and f.text.lower() == WORDS[2]), "")
            for index in [leg.anchor, *frames] if leg.anchor is not None else frames:
                for obj_id in tracked:
                    tracked[obj_id] = _shift(tracked[obj_id], leg.frames.step)
                for obj_id in span.obj_ids:
                    seed = seeds.get((index, obj_id))
                    if seed and (seed.prompted or obj_id not in tracked):
                        tracked[obj_id] = decode(seed.rle)
                if index == leg.anchor:
                    continue
                handle.frames.read(index)
                born: dict[int, str] = {}
                if late and leg.anchor is None and index == leg.frames[0] + LATE * leg.frames.step:
                    disc = _disc(height, width, (0.5, 0.25))
                    if not any((disc & decode(s.rle)).any() for s in span.removed if s.frame_index == index):
                        tracked[span.next_obj_id] = disc
                        born[span.next_obj_id] = late
                yield replace(_dense(index, tracked, height, width), born=born)

    def remove(self, handle: _Handle, obj_id: int) -> None:
        handle.masks.pop(obj_id, None)

    def reset(self, handle: _Handle) -> None:
        handle.masks.clear()

    def close(self, handle: _Handle) -> None:
        handle.masks.clear()

    def memory_bytes(self, handle: _Handle) -> int:
        if handle.claimed_mb:
            # What is no number of bytes is one of the faults.
            with contextlib.suppress(ValueError):
                return int(handle.claimed_mb) * 1_000_000
            return handle.claimed_mb  # type: ignore[return-value]
        return sum(mask.nbytes for mask in handle.masks.values())

    @staticmethod
    def _take_order(handle: _Handle, text: str) -> str:
        """Do what a text orders, or remember it for the propagation; returns a fault that spoils this answer."""
        if not text.startswith("#"):
            return ""
        if text.startswith("#claim-"):
            handle.claimed_mb = text.removeprefix("#claim-")
            return ""
        order = faults.ordered(text)
        if order is not None:
            handle.order = order
            return ""
        faults.act(text[1:])
        return text[1:]


def _disc(height: int, width: int, point: tuple[float, float], scale: float = 1.0) -> BoolMask:
    mask = np.zeros((height, width), np.uint8)
    radius = max(1, int(0.08 * min(height, width) * scale))
    cv2.circle(mask, point_px(point, width, height), radius, 1, -1)
    return mask.view(np.bool_)


def _draw(ask: Ask, height: int, width: int, start: BoolMask | None = None) -> BoolMask:
    if start is None:
        start = decode(ask.start) if ask.start else np.zeros((height, width), np.bool_)
    mask = start.copy()
    if ask.box:
        x, y, w, h = ask.box.box
        oval = np.zeros((height, width), np.uint8)
        centre = (int((x + w / 2) * width), int((y + h / 2) * height))
        cv2.ellipse(oval, centre, (max(1, int(w * width / 2)), max(1, int(h * height / 2))), 0, 0, 360, 1, -1)
        mask = oval.view(np.bool_)
    for point, label in zip(ask.points, ask.labels, strict=True):
        disc = _disc(height, width, point, 1.0 if label else 0.5)
        mask = mask | disc if label else mask & ~disc
    for prompt in ask.masks:
        drawn = decode(prompt.rle)
        if prompt.mode == "add":
            drawn = mask | drawn
        elif prompt.mode == "subtract":
            drawn = mask & ~drawn
        mask = drawn
    return mask


def _hit(found: dict[int, BoolMask], ask: Ask, height: int, width: int) -> int | None:
    """The found object under the first positive click."""
    for point, label in zip(ask.points, ask.labels, strict=True):
        if label:
            x, y = point_px(point, width, height)
            return next((obj_id for obj_id, mask in found.items() if mask[y, x]), None)
    return None


def _shift(mask: BoolMask, step: int) -> BoolMask:
    dx, dy = STEP[0] * step, STEP[1] * step
    height, width = mask.shape
    moved = np.zeros_like(mask)
    moved[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] = mask[
        max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)
    ]
    return moved


def _dense(index: int, masks: dict[int, BoolMask], height: int, width: int) -> DenseResult:
    stack = np.stack(list(masks.values())) if masks else np.zeros((0, height, width), np.bool_)
    scores = tuple(0.9 if mask.any() else 0.0 for mask in masks.values())
    return DenseResult(index, tuple(masks), scores, stack)
