"""What a search on a picture gives: boxes and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from backend.domain import BoolMask

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in frame pixels, ends exclusive."""


@dataclass(frozen=True, slots=True)
class Find:
    """A thing that was found: its box, and how sure that is, in [0, 1]."""

    box: PixelBox
    score: float


def box_iou(a: PixelBox, b: PixelBox) -> float:
    """The overlap of two boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    shared = w * h
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def box_of(mask: BoolMask) -> PixelBox:
    """The box around a mask (H, W); of no size where it is empty."""
    x, y, w, h = (int(v) for v in cv2.boundingRect(mask.view(np.uint8)))
    return x, y, x + w, y + h
