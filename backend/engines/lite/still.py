"""A frame made ready for prompts: the click network answers, and what needs no training has the second word."""

from __future__ import annotations

import numpy as np

from backend.domain import BoolMask, Image
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.clicknet import ClickNetwork
from backend.engines.lite.clicks import SeededCut
from backend.engines.lite.closeup import Asked, CloseUp
from backend.engines.lite.finds import PixelBox
from backend.engines.lite.rules import Clicks, obeyed, only_near, still_true
from backend.engines.prompter import Found

_FILLED = 0.1
"""Share of a box that its object fills at least; of less, the other opinion is asked for."""


class Still:
    """Serves all prompts that come to a frame.

    Args:
        picture: RGB (H, W, 3).
        backbone, network: shared by all frames.
    """

    def __init__(self, picture: Image, backbone: Backbone, network: ClickNetwork) -> None:
        self.picture = picture
        self._backbone = backbone
        self._close = CloseUp(picture, network)
        self._seeded: SeededCut | None = None

    @property
    def nbytes(self) -> int:
        seeded = 0 if self._seeded is None else self._seeded.nbytes
        return self.picture.nbytes + self._close.nbytes + seeded

    def by_clicks(self, clicks: Clicks, start: BoolMask | None, forbidden: BoolMask) -> Found:
        """The object that was clicked.

        Args:
            clicks: all that hold; where `start` contradicts an older one, a later edit undid it.
            start: the object's mask so far (H, W); it is changed only where a new click asks for it.
            forbidden: pixels (H, W) that belong to others.
        """
        if start is not None and not start.any():
            start = None
        if start is not None:
            clicks = still_true(clicks, start)
        if start is None and not clicks.of(1):
            return Found(np.zeros(self.picture.shape[:2], np.bool_), 0.0)
        cut = self._close.cut(Asked(clicks, None, start, forbidden))
        mask = cut.mask if start is None else only_near(cut.mask, start, clicks.newest())
        if not obeyed(mask, clicks.newest()):
            return self._second().by_clicks(clicks, start, forbidden)
        return Found(mask, cut.score)

    def by_box(self, box: PixelBox, forbidden: BoolMask, quick: bool = False) -> Found:
        """The object that fills a box; `forbidden` pixels (H, W) belong to others.

        `quick`: the network's answer stands, even if it leaves the box nearly empty.
        """
        cut = self._close.cut(Asked(None, box, None, forbidden))
        x0, y0, x1, y1 = box
        if not quick and cut.mask.sum() < _FILLED * (x1 - x0) * (y1 - y0):
            return self._second().by_box(box, forbidden)
        return Found(cut.mask, cut.score)

    def _second(self) -> SeededCut:
        if self._seeded is None:
            self._seeded = SeededCut(self.picture, self._backbone)
        return self._seeded
