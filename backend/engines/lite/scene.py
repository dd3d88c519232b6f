"""One frame as the tracker meets it: everything that several objects can share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Image
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.flow import Flow
from backend.engines.lite.solve import squared_length
from backend.engines.lite.view import Crop, View, look

Floats = NDArray[np.float32]

_SHIFT = 0.04
"""How far, in sides, a crop may be from one already seen to be taken for it."""
_STRETCH = 1.06
"""How much larger or smaller it may be."""
_TOLERANCE = 1.5
"""Disagreement of the two flows, in flow pixels, that counts as noise."""


class Scene:
    """A frame, its motion since the last one, and the views taken of it.

    Args:
        picture: RGB (H, W, 3).
        flow: the motion since the frame before in the run; None on the run's first frame.
    """

    def __init__(self, backbone: Backbone, picture: Image, flow: Flow | None) -> None:
        self.picture = picture
        self.flow = flow
        self.size: tuple[int, int] = (picture.shape[0], picture.shape[1])
        self._backbone = backbone
        self._views: list[View] = []
        self._trust: Floats | None = None

    def view(self, crop: Crop) -> View:
        """A view of about that crop: objects that look at nearly the same one share it."""
        for seen in self._views:
            if _alike(seen.crop, crop):
                return seen
        seen = look(self._backbone, self.picture, crop)
        self._views.append(seen)
        return seen

    def trust(self) -> Floats:
        """How well the flows there and back agree, on the flow grid, (h, w) in [0, 1]."""
        if self._trust is None:
            if self.flow is None:
                raise ValueError("the first frame of a run has no motion")
            self._trust = _agreement(self.flow)
        return self._trust

    @property
    def nbytes(self) -> int:
        flow = 0 if self.flow is None else self.flow.back.nbytes + self.flow.ahead.nbytes
        return self.picture.nbytes + flow + sum(v.nbytes for v in self._views)


def _alike(a: Crop, b: Crop) -> bool:
    near = abs(a.x + a.side / 2 - b.x - b.side / 2), abs(a.y + a.side / 2 - b.y - b.side / 2)
    return max(near) <= _SHIFT * b.side and max(a.side, b.side) <= _STRETCH * min(a.side, b.side)


def _agreement(flow: Flow) -> Floats:
    height, width = flow.back.shape[:2]
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    x, y = cols + flow.back[..., 0], rows + flow.back[..., 1]
    returned = cv2.remap(flow.ahead, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = squared_length(flow.back + returned)
    moved = squared_length(flow.back)
    return np.asarray(np.exp(-error / (_TOLERANCE**2 + np.float32(0.02) * moved)), np.float32)
