"""Answers prompts: words by the finder, clicks and boxes by cutting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.domain import BoolMask, Box, PromptRequest, point_px
from backend.engines.base import Ask, Concept
from backend.engines.lite.finds import PixelBox, box_iou, box_of
from backend.engines.lite.rules import Clicks
from backend.engines.lite.still import Still
from backend.engines.lite.words import Finder
from backend.engines.prompter import SAME, Found, Prompter


class LitePrompter(Prompter):
    """Answers one request on a frame.

    Args:
        still: the frame.
        finder: knows words.
        request: what is asked.
    """

    def __init__(self, still: Still, finder: Finder, request: PromptRequest) -> None:
        height, width = still.picture.shape[:2]
        super().__init__((height, width), request)
        self._still = still
        self._finder = finder

    def find(self, concept: Concept) -> Iterator[Found]:
        """What the words name; positive exemplars, cut out, are finds of their own."""
        height, width = self.size
        nobodys = np.zeros(self.size, np.bool_)
        shown = [_box_px(b, width, height) for b in concept.exemplars if b.label]
        barred = [_box_px(b, width, height) for b in concept.exemplars if not b.label]
        finds = [Found(self._still.by_box(box, nobodys).mask, 1.0) for box in shown]
        finds += self._finder.find(concept.text, self._still)
        for found in finds:
            if not any(box_iou(box_of(found.mask), bar) > SAME for bar in barred):
                yield found

    def fresh(self, found: Found) -> Found:
        """On a frame a pixel belongs to one object here, so a find leaves the others theirs."""
        return Found(found.mask & ~self.taken(), found.score)

    def cut(self, ask: Ask, start: BoolMask | None) -> Found:
        """The box first, then the clicks."""
        height, width = self.size
        found = Found(start if start is not None else np.zeros(self.size, np.bool_), 1.0)
        if ask.box is not None:
            box = _box_px(ask.box, width, height)
            found = self._still.by_box(box, self.taken())
            if not found.mask.any():
                # Drawn around what belongs to others: then they are what is meant.
                found = self._still.by_box(box, np.zeros(self.size, np.bool_))
        if ask.new_points:
            pixels = tuple(point_px(p, width, height) for p in ask.points)
            clicks = Clicks(pixels, ask.labels, ask.new_points)
            pressed = tuple(p for p, label in clicks.newest() if label)
            found = self._still.by_clicks(clicks, found.mask, self.taken(pressed) & ~found.mask)
        return found


def _box_px(box: Box, width: int, height: int) -> PixelBox:
    """The pixels that a normalised box touches, ends exclusive; at least one."""
    x, y, w, h = box.box
    x0, y0 = point_px((x, y), width, height)
    x1, y1 = min(round((x + w) * width), width), min(round((y + h) * height), height)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
