"""Answers a prompt request on a frame: which objects it makes or changes. The same for every engine.

What differs from engine to engine, how words are found and how clicks become a mask, is left to
the methods that subclasses write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from backend.domain import BoolMask, MaskPrompt, Points, PromptRequest, Rle, point_px
from backend.engines.base import Ask, Concept, plan
from backend.errors import InvalidInput
from backend.masks import decode

SAME = 0.5
"""Overlap (IoU) above which a find is an object that is there already."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A mask that an engine gave, bool (H, W), and its score in [0, 1]. Empty: not on this picture."""

    mask: BoolMask
    score: float


class Prompter(ABC):
    """Answers one request.

    Args:
        size: the frame's (height, width).
        request: what is asked.
    """

    def __init__(self, size: tuple[int, int], request: PromptRequest) -> None:
        self.size = size
        self.born: dict[int, str] = {}
        """The words that found each new object."""
        self._request = request
        self._others = {i: self._decoded(m) for i, m in request.others.items() if i != request.obj_id}
        self._answers: dict[int, Found] = {}
        self._next = request.next_obj_id

    def answer(self) -> Mapping[int, Found]:
        """The masks of all objects that the request wrote, in the order in which it names them.

        Raises:
            InvalidInput: a mask has another size than the frame, or prompts contradict each other.
        """
        wanted = plan(self._request)
        for concept in wanted.concepts:
            self._search(concept, wanted.obj_id)
        for ask in wanted.asks:
            self._keep(ask.obj_id, self._cut(ask, None if ask.start is None else self._decoded(ask.start)))
        if wanted.refine is not None:
            self._refine(wanted.refine)
        return self._answers

    # --- for subclasses ------------------------------------------------------------------------

    @abstractmethod
    def find(self, concept: Concept) -> Iterator[Found]:
        """What a concept names on the frame, best first."""

    @abstractmethod
    def cut(self, ask: Ask, start: BoolMask | None) -> Found:
        """One object by its box and clicks (there is at least one of them), from its mask before."""

    def fresh(self, found: Found) -> Found:
        """What a new object that words found starts as."""
        return found

    def taken(self, clicked: tuple[tuple[int, int], ...] = ()) -> BoolMask:
        """The pixels of other objects, but for those of objects clicked on, at (column, row)."""
        out = np.zeros(self.size, np.bool_)
        for mask in self._others.values():
            if not any(mask[y, x] for x, y in clicked):
                out |= mask
        return out

    # --- words -------------------------------------------------------------------------------

    def _search(self, concept: Concept, obj_id: int | None) -> None:
        for found in self.find(concept):
            if not found.mask.any() or any(iou(found.mask, a.mask) > SAME for a in self._answers.values()):
                continue
            if obj_id is not None:
                self._answers[obj_id] = found
                return
            known = next((i for i, m in self._others.items() if iou(found.mask, m) > SAME), None)
            if known is not None:
                self._answers[known] = Found(self._others[known], found.score)
            else:
                self._keep(None, self.fresh(found), concept.text)

    def _refine(self, ask: Ask) -> None:
        """Clicks and strokes beside words: on the find under the first positive click, or a new object."""
        height, width = self.size
        first = next((p for p, label in zip(ask.points, ask.labels, strict=True) if label), None)
        target = ask.obj_id
        if first is not None:
            x, y = point_px(first, width, height)
            target = next((i for i, a in self._answers.items() if a.mask[y, x]), target)
        elif target is None and not ask.points:
            target = next(iter(self._answers), None)
        if target is not None and target in self._answers:
            start: BoolMask | None = self._answers[target].mask
        else:
            start = None if ask.start is None else self._decoded(ask.start)
        self._keep(target, self._cut(ask, start))

    # --- one object --------------------------------------------------------------------------

    def _cut(self, ask: Ask, start: BoolMask | None) -> Found:
        """The object's mask: its box and clicks first, then strokes in their order, exactly."""
        replaced = any(isinstance(p, Points) and p.replace for p in self._request.prompts)
        before = None if replaced else start
        found = Found(before if before is not None else np.zeros(self.size, np.bool_), 1.0)
        if ask.box is not None or ask.new_points:
            found = self.cut(ask, before)
        mask = found.mask
        for stroke in ask.masks:
            mask = self._stroked(mask, stroke)
        return Found(mask, found.score if mask.any() else 0.0)

    def _stroked(self, mask: BoolMask, stroke: MaskPrompt) -> BoolMask:
        drawn = self._decoded(stroke.rle)
        if stroke.mode == "replace":
            return drawn
        return mask | drawn if stroke.mode == "add" else mask & ~drawn

    def _keep(self, obj_id: int | None, found: Found, words: str = "") -> None:
        """Note an answer; a new object that has no pixel is none."""
        if obj_id is None:
            if not found.mask.any():
                return
            obj_id, self._next = self._next, self._next + 1
            if words:
                self.born[obj_id] = words
        self._answers[obj_id] = found

    def _decoded(self, rle: Rle) -> BoolMask:
        mask = decode(rle)
        if mask.shape != self.size:
            raise InvalidInput(
                f"A mask is {mask.shape[1]} × {mask.shape[0]}, the frame {self.size[1]} × {self.size[0]}: "
                "masks have the video's size.",
                "invalid_mask",
            )
        return mask


def iou(a: BoolMask, b: BoolMask) -> float:
    """Intersection over union of two masks (H, W); 0 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
