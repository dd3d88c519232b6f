"""What an engine yields is held against what it was asked, before anybody else sees it.

A model's package is not ours: whatever it returns, its session gets a sentence and everybody else
notices nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from backend.domain import (
    MAX_TEXT,
    Box,
    DenseResult,
    FrameResult,
    ObjectResult,
    PromptRequest,
    Span,
    Text,
    Video,
)
from backend.errors import EngineError
from backend.masks import encode, mask_box

MAX_OBJECTS = 10_000
"""More objects than that on one frame are no answer to anything."""


class Expected:
    """What may come in answer to a prompt or of a propagation, frame by frame.

    Args:
        frames: the frames that must come, in their order.
        known: the objects that may be on them.
        new_from: new objects have this id or a later one; None: there must be none.
    """

    def __init__(self, frames: Iterator[int], known: frozenset[int], new_from: int | None) -> None:
        self._frames = frames
        self._known = known
        self._new_from = new_from

    @classmethod
    def of_prompt(cls, request: PromptRequest) -> Expected:
        """The one frame, with the object asked for and new ones; what words find may be any that is there."""
        asked = {request.obj_id} if request.obj_id is not None else set()
        boxes = [p for p in request.prompts if isinstance(p, Box)]
        search = any(p.exemplar or not p.label for p in boxes) or any(isinstance(p, Text) for p in request.prompts)
        known = asked | set(request.others) if search else asked
        return cls(iter([request.frame_index]), frozenset(known), request.next_obj_id)

    @classmethod
    def of_span(cls, span: Span) -> Expected:
        new = span.next_obj_id if any(follow.find_new for follow in span.follows) else None
        return cls(chain.from_iterable(leg.frames for leg in span.legs), frozenset(span.obj_ids), new)

    def take(self, dense: DenseResult, video: Video) -> FrameResult:
        """Encode the next result.

        Raises:
            EngineError: it is not the frame that comes next, holds objects that nobody asked for, or
                is no result at all (`engine_rubbish`).
        """
        due = next(self._frames, None)
        if due is None:
            raise rubbish("went on after the last frame")
        try:
            if _whole(dense.frame_index) != due:
                raise rubbish(f"left out frame {due}")
            ids = [_whole(obj_id) for obj_id in dense.obj_ids]
            self._check_ids(ids)
            return encoded(due, ids, dense, video)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise rubbish("returned something that is no result") from error

    def end(self) -> None:
        """Say that nothing more comes.

        Raises:
            EngineError: frames are missing (`engine_rubbish`).
        """
        due = next(self._frames, None)
        if due is not None:
            raise rubbish(f"stopped before frame {due}")

    def _check_ids(self, ids: list[int]) -> None:
        if len(ids) > MAX_OBJECTS or len(set(ids)) != len(ids):
            raise rubbish("returned the same object twice" if len(ids) <= MAX_OBJECTS else "returned too many objects")
        for obj_id in ids:
            new = self._new_from is not None and self._new_from <= obj_id < self._new_from + MAX_OBJECTS
            if not new and obj_id not in self._known:
                raise rubbish("returned an object that nobody asked for")


def encoded(frame_index: int, ids: list[int], dense: DenseResult, video: Video) -> FrameResult:
    """The result as run-length codes.

    Raises:
        EngineError: shapes, types or scores that no client could use.
        TypeError, ValueError, AttributeError: things that are not even arrays.
    """
    if dense.masks.shape != (len(ids), video.height, video.width) or dense.masks.dtype != np.bool_:
        raise rubbish("returned something that is no mask of this video")
    scores = [float(score) for score in dense.scores]
    if len(scores) != len(ids) or not all(map(math.isfinite, scores)):
        raise rubbish("returned scores that are no numbers")
    words = dict(dense.born)
    if not words.keys() <= set(ids) or not all(isinstance(w, str) and len(w) <= MAX_TEXT for w in words.values()):
        raise rubbish("returned words for objects that are not there")
    objects = tuple(
        ObjectResult(obj_id, round(min(max(score, 0.0), 1.0), 4), mask_box(mask), encode(mask))
        for obj_id, score, mask in zip(ids, scores, dense.masks, strict=True)
    )
    return FrameResult(frame_index, objects)


def memory_of(value: Any) -> int:
    """An engine's word on how many bytes it holds.

    Raises:
        EngineError: it is no number of bytes (`engine_rubbish`).
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise rubbish("returned a size of its memory that is none")
    return int(value)


def rubbish(what: str) -> EngineError:
    return EngineError(f"The model {what}. Try again, or another prompt.", "engine_rubbish")


def _whole(value: Any) -> int:
    """Raises: TypeError."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError("not a whole number")
    return int(value)
