"""Carries a soft mask from a coarse grid to the frame's pixels, along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Image

Floats = NDArray[np.float32]

RADIUS = 6
SMOOTH = 1e-3
WORK = 640
"""Longest side at which the filter is fitted; beyond it only its result is enlarged."""


def _mean(values: Floats) -> Floats:
    side = 2 * RADIUS + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _fit(guide: Floats, soft: Floats) -> Floats:
    """The local linear model soft = a·colour + b: (h, w, 4), averaged over each window."""
    mean, target = _mean(guide), _mean(soft)
    r, g, b = (guide[..., i] for i in range(3))
    mr, mg, mb = (mean[..., i] for i in range(3))
    squares = _mean(np.dstack([r * r, r * g, r * b]))
    rest = _mean(np.dstack([g * g, g * b, b * b]))
    cross = _mean(guide * soft[..., None]) - mean * target[..., None]
    rr, rg, rb = squares[..., 0] - mr * mr + SMOOTH, squares[..., 1] - mr * mg, squares[..., 2] - mr * mb
    gg, gb, bb = rest[..., 0] - mg * mg + SMOOTH, rest[..., 1] - mg * mb, rest[..., 2] - mb * mb + SMOOTH
    # The inverse of the symmetric 3 × 3 covariance, by cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c00 + rg * c01 + rb * c02)
    x, y, z = cross[..., 0], cross[..., 1], cross[..., 2]
    a0 = (c00 * x + c01 * y + c02 * z) * scale
    a1 = (c01 * x + c11 * y + c12 * z) * scale
    a2 = (c02 * x + c12 * y + c22 * z) * scale
    return _mean(np.dstack([a0, a1, a2, target - a0 * mr - a1 * mg - a2 * mb]))


def work_size(height: int, width: int) -> tuple[int, int]:
    """The (height, width) at which the filter is fitted to a picture of that size."""
    scale = min(1.0, WORK / max(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def refine(picture: Image, soft: Floats) -> Floats:
    """Fit a soft mask to the edges of the RGB picture (h, w, 3) it lies on: (h, w).

    `soft` comes at `work_size(h, w)`.
    """
    height, width = picture.shape[:2]
    if soft.shape == (height, width):
        guide = picture.astype(np.float32) / np.float32(255)
        model = _fit(guide, soft)
    else:
        small = cv2.resize(picture, soft.shape[::-1], interpolation=cv2.INTER_AREA)
        model = _fit(small.astype(np.float32) / np.float32(255), soft)
        model = np.asarray(cv2.resize(model, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        guide = picture.astype(np.float32) / np.float32(255)
    out = model[..., 3].copy()
    for channel in range(3):
        out += model[..., channel] * guide[..., channel]
    return np.asarray(out, np.float32)
