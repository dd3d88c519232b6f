"""Finds frontal faces, with OpenCV's own detectors."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Image
from backend.engines.lite.finds import Find, PixelBox, box_iou

_CASCADES = Path(cv2.__file__).parent / "data"
_LONG_SIDE = 640
"""Longer side of the picture that faces are looked for in."""
_SMALLEST_FACE = 24
_SAME_FACE = 0.4
"""Overlap (IoU) at which two detectors mean the same face."""
_BAR, _CERTAIN = 2.0, 8.0
"""Margins of the second detector: what a face needs, and what is as good as certain."""
_LEAST, _MOST = 0.8, 0.97
"""Scores of those. All 56 finds on two sets of photographs were faces, so even the least is likely one."""


class Faces:
    """What two detectors agree on, since each alone sees faces in leaves."""

    def __init__(self) -> None:
        self._faces, self._checks = (
            cv2.CascadeClassifier(str(_CASCADES / f"haarcascade_frontalface_{name}.xml")) for name in ("alt", "default")
        )

    def find(self, picture: Image) -> list[Find]:
        """The faces on an RGB picture, the surest first."""
        height, width = picture.shape[:2]
        scale = _LONG_SIDE / max(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        if min(size) < _SMALLEST_FACE:
            return []
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        found = []
        checks = _detect(self._checks, grey, 4)
        for box, _ in _detect(self._faces, grey, 3):
            margin = max((m for other, m in checks if box_iou(box, other) > _SAME_FACE), default=0.0)
            if margin > _BAR:
                x0, y0, x1, y1 = (v / scale for v in box)
                left, top = min(int(x0), width - 1), min(int(y0), height - 1)
                right, low = max(min(round(x1), width), left + 1), max(min(round(y1), height), top + 1)
                share = (min(margin, _CERTAIN) - _BAR) / (_CERTAIN - _BAR)
                found.append(Find((left, top, right, low), _LEAST + (_MOST - _LEAST) * share))
        return sorted(found, key=lambda f: (-f.score, f.box))


def _detect(detector: cv2.CascadeClassifier, grey: NDArray[np.uint8], neighbours: int) -> list[tuple[PixelBox, float]]:
    """A cascade's boxes (x0, y0, x1, y1) and their margins over its last stage's bar."""
    boxes, _, margins = detector.detectMultiScale3(
        grey,
        scaleFactor=1.1,
        minNeighbors=neighbours,
        minSize=(_SMALLEST_FACE, _SMALLEST_FACE),
        outputRejectLevels=True,
    )
    return [
        ((int(x), int(y), int(x + w), int(y + h)), float(margin))
        for (x, y, w, h), margin in zip(boxes, np.ravel(np.asarray(margins)), strict=True)
    ]
