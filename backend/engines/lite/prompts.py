"""Answers a prompt request on a frame: which objects it makes or changes, and their masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backend.domain import BoolMask, Box, MaskPrompt, Points, PromptRequest, Rle, point_px
from backend.engines.base import Ask, Concept, plan
from backend.engines.lite.clicks import Cut, Still
from backend.engines.lite.finds import PixelBox, box_iou
from backend.engines.lite.rules import Clicks
from backend.engines.lite.words import Finder
from backend.errors import InvalidInput
from backend.masks import decode

_SAME = 0.5
"""Overlap (IoU) above which a find is an object that is there already."""


class Prompter:
    """Answers one request.

    Args:
        still: the frame.
        finder: knows words.
        request: what is asked.
    """

    def __init__(self, still: Still, finder: Finder, request: PromptRequest) -> None:
        self._still = still
        self._finder = finder
        self._request = request
        self._size = still.picture.shape[:2]
        self._others = {i: self._decoded(m) for i, m in request.others.items() if i != request.obj_id}
        self._answers: dict[int, Cut] = {}
        self._next = request.next_obj_id

    def answer(self) -> Mapping[int, Cut]:
        """The masks of all objects that the request wrote, in the order in which it names them.

        Raises:
            InvalidInput: a mask has another size than the frame, or prompts contradict each other.
        """
        wanted = plan(self._request)
        for concept in wanted.concepts:
            self._search(concept, wanted.obj_id)
        for ask in wanted.asks:
            start = None if ask.start is None else self._decoded(ask.start)
            self._keep(ask.obj_id, self._cut(ask, start))
        if wanted.refine is not None:
            self._refine(wanted.refine)
        return self._answers

    # --- words -------------------------------------------------------------------------------

    def _search(self, concept: Concept, obj_id: int | None) -> None:
        """Boxes around what the words name, cut out; positive exemplars are finds of their own."""
        height, width = self._size
        boxes = [(_box_px(b, width, height), 1.0) for b in concept.exemplars if b.label]
        barred = [_box_px(b, width, height) for b in concept.exemplars if not b.label]
        boxes += [(f.box, f.score) for f in self._finder.find(concept.text, self._still.picture)]
        for box, score in boxes:
            if any(box_iou(box, bar) > _SAME for bar in barred):
                continue
            cut = self._still.by_box(box, np.zeros(self._size, np.bool_))
            if not cut.mask.any() or any(_iou(cut.mask, a.mask) > _SAME for a in self._answers.values()):
                continue
            if obj_id is not None:
                self._answers[obj_id] = Cut(cut.mask, score)
                return
            known = next((i for i, m in self._others.items() if _iou(cut.mask, m) > _SAME), None)
            if known is not None:
                self._answers[known] = Cut(self._others[known], score)
            else:
                self._keep(None, Cut(cut.mask & ~self._taken(()), score))

    def _refine(self, ask: Ask) -> None:
        """Clicks and strokes beside words: on the find under the first positive click, or a new object."""
        height, width = self._size
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

    def _cut(self, ask: Ask, start: BoolMask | None) -> Cut:
        """The object's mask: its box first, then its clicks, then strokes in their order, exactly."""
        height, width = self._size
        replaced = any(isinstance(p, Points) and p.replace for p in self._request.prompts)
        mask = start if start is not None and not replaced else np.zeros(self._size, np.bool_)
        score = 1.0
        pixels = tuple(point_px(p, width, height) for p in ask.points)
        clicks = Clicks(pixels, ask.labels, ask.new_points)
        if ask.box is not None:
            box = _box_px(ask.box, width, height)
            cut = self._still.by_box(box, self._taken(()))
            if not cut.mask.any():
                # Drawn around what belongs to others: then they are what is meant.
                cut = self._still.by_box(box, np.zeros(self._size, np.bool_))
            mask, score = cut.mask, cut.score
        if ask.new_points:
            pressed = tuple(p for p, label in clicks.newest() if label)
            cut = self._still.by_clicks(clicks, mask, self._taken(pressed) & ~mask)
            mask, score = cut.mask, cut.score
        for stroke in ask.masks:
            mask = self._stroked(mask, stroke)
        return Cut(mask, score if mask.any() else 0.0)

    def _stroked(self, mask: BoolMask, stroke: MaskPrompt) -> BoolMask:
        drawn = self._decoded(stroke.rle)
        if stroke.mode == "replace":
            return drawn
        return mask | drawn if stroke.mode == "add" else mask & ~drawn

    def _keep(self, obj_id: int | None, cut: Cut) -> None:
        """Note an answer; a new object that has no pixel is none."""
        if obj_id is None:
            if not cut.mask.any():
                return
            obj_id, self._next = self._next, self._next + 1
        self._answers[obj_id] = cut

    def _taken(self, clicked: tuple[tuple[int, int], ...]) -> BoolMask:
        """The pixels of other objects, but for those that were clicked on."""
        out = np.zeros(self._size, np.bool_)
        for mask in self._others.values():
            if not any(mask[y, x] for x, y in clicked):
                out |= mask
        return out

    def _decoded(self, rle: Rle) -> BoolMask:
        mask = decode(rle)
        if mask.shape != self._size:
            raise InvalidInput(
                f"A mask is {mask.shape[1]} × {mask.shape[0]}, the frame {self._size[1]} × {self._size[0]}: "
                "masks have the video's size.",
                "invalid_mask",
            )
        return mask


def _box_px(box: Box, width: int, height: int) -> PixelBox:
    """The pixels that a normalised box touches, ends exclusive; at least one."""
    x, y, w, h = box.box
    x0, y0 = point_px((x, y), width, height)
    x1, y1 = min(round((x + w) * width), width), min(round((y + h) * height), height)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _iou(a: BoolMask, b: BoolMask) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
