"""Carries a soft mask from a coarse grid to the frame's pixels, along the picture's edges."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Image

Floats = NDArray[np.float32]

RADIUS = 6
"""Of the windows at most, in pixels of the picture."""
_DEPTH = 0.3
"""Windows over the depth of the thing: one wider than it is finds no edge between it and its surroundings."""
SMOOTH = 1e-3
"""How much two colours in a window may differ, as a variance, and still count as one."""
FINE = 160
"""Longest side of what the filter is fitted to pixel by pixel; else it is to every second one (He and Sun 2015)."""
WORK = 640
"""Longest side at which the filter is fitted; beyond it only its result is enlarged."""


def _fit(guide: Sequence[Floats], soft: Floats, radius: int) -> tuple[Floats, ...]:
    """The local linear model soft = a·colour + b of planes (h, w): three of a, and b, averaged over each window.

    Planes, since numpy is slow on every third number.
    """
    r, g, b = guide

    side = 2 * radius + 1

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    mr, mg, mb, target = mean(r), mean(g), mean(b), mean(soft)
    rr, rg, rb = mean(r * r) - mr * mr + SMOOTH, mean(r * g) - mr * mg, mean(r * b) - mr * mb
    gg, gb, bb = mean(g * g) - mg * mg + SMOOTH, mean(g * b) - mg * mb, mean(b * b) - mb * mb + SMOOTH
    x, y, z = (mean(plane * soft) - middle * target for plane, middle in ((r, mr), (g, mg), (b, mb)))
    # The inverse of the symmetric 3 × 3 covariance, by cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c00 + rg * c01 + rb * c02)
    a0 = (c00 * x + c01 * y + c02 * z) * scale
    a1 = (c01 * x + c11 * y + c12 * z) * scale
    a2 = (c02 * x + c12 * y + c22 * z) * scale
    return tuple(mean(plane) for plane in (a0, a1, a2, target - a0 * mr - a1 * mg - a2 * mb))


def _planes(picture: Image) -> list[Floats]:
    """Red, green and blue, (h, w) each in [0, 1]."""
    return [np.asarray(plane, np.float32) * np.float32(1 / 255) for plane in cv2.split(picture)]


def window(off: float) -> int:
    """The radius, in pixels, of the window for an outline that may be so many pixels off."""
    return min(max(round(off), 1), RADIUS)


def window_of(soft: Floats, cell: float) -> int:
    """The same for a soft mask (h, w) of cells of so many pixels each, by how deep the thing is."""
    deepest = float(cv2.distanceTransform((soft > 0.5).astype(np.uint8), cv2.DIST_L2, 3).max(initial=0))
    return window(_DEPTH * deepest * cell)


def work_size(height: int, width: int, fine: int = FINE) -> tuple[int, int]:
    """The (height, width) at which the filter is fitted to a picture of that size; up to `fine` that is its own."""
    longest = max(height, width)
    scale = 1.0 if longest <= fine else min(0.5, WORK / longest)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def refine(picture: Image, soft: Floats, radius: int = RADIUS) -> Floats:
    """Fit a soft mask to the edges of the RGB picture (h, w, 3) it lies on: (h, w).

    Args:
        soft: the mask at `work_size(h, w)`.
        radius: how far, in pixels of the picture, its outline may be off; see `window`.
    """
    height, width = picture.shape[:2]
    guide = _planes(picture)
    if soft.shape == (height, width):
        model = _fit(guide, soft, radius)
    else:
        small = np.asarray(cv2.resize(picture, soft.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        fitted = _fit(_planes(small), soft, max(radius // 2, 1))
        model = tuple(
            np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
            for plane in fitted
        )
    *slopes, out = model
    for slope, plane in zip(slopes, guide, strict=True):
        out += slope * plane
    return out
