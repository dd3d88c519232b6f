"""Masks taken apart: which part of one is meant, and where that part is on the next frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, point_px
from backend.masks.boxes import mask_box_xyxy_px

SHARE = 0.25
"""A piece that covers so much of both parts of the frame before holds both, and is cut between them."""


def pieces(mask: BoolMask) -> tuple[int, NDArray[np.int32]]:
    """How many connected pieces a mask (H, W) has, and for each pixel the number of its own, from 1; 0: none."""
    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count - 1, np.asarray(labels, np.int32)


def pieces_at(mask: BoolMask, points: Sequence[tuple[float, float]], labels: Sequence[int]) -> BoolMask:
    """The pieces (H, W) that lie nearest to the positive ones of some points, but for those of the negative ones.

    Args:
        mask: (H, W), not empty.
        points: normalised.
        labels: for each 1 (positive) or 0 (negative).
    """
    height, width = mask.shape
    _, numbers = pieces(mask)
    rows, columns = np.nonzero(mask)
    taken: dict[int, set[int]] = {0: set(), 1: set()}
    for point, label in zip(points, labels, strict=True):
        column, row = point_px(point, width, height)
        nearest = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
        taken[label].add(int(numbers[rows[nearest], columns[nearest]]))
    return np.isin(numbers, list(taken[1] - taken[0]))


def carried_on(mask: BoolMask, part: BoolMask, rest: BoolMask) -> BoolMask:
    """Where a part of an object is on a frame, told by where its two parts are on a neighbouring one.

    Each connected piece goes to the part that it overlaps more, or else lies nearer to. One that
    holds both parts is cut between them: each pixel goes to the nearer.

    Args:
        mask: (H, W), the whole object.
        part: (H, W), the part on the neighbouring frame.
        rest: (H, W), what else there was of the object.

    Returns:
        (H, W), within `mask`.
    """
    out = np.zeros_like(mask)
    if not part.any() or not mask.any():
        return out
    if not rest.any():
        return mask.copy()
    x0, y0, x1, y1 = mask_box_xyxy_px(mask | part | rest) or (0, 0, 0, 0)
    # An object is small on its picture; all that follows costs by the pixel.
    out[y0:y1, x0:x1] = _told_apart(mask[y0:y1, x0:x1], part[y0:y1, x0:x1], rest[y0:y1, x0:x1])
    return out


def _told_apart(mask: BoolMask, part: BoolMask, rest: BoolMask) -> BoolMask:
    """`carried_on`, where none of the three is empty."""
    out = np.zeros_like(mask)
    count, numbers = pieces(mask)
    of_part = np.bincount(numbers[part], minlength=count + 1)
    of_rest = np.bincount(numbers[rest], minlength=count + 1)
    least = SHARE * part.sum(), SHARE * rest.sum()
    nearer: BoolMask | None = None
    for number in range(1, count + 1):
        p, r = of_part[number], of_rest[number]
        piece = numbers == number
        if (p >= least[0] and r >= least[1]) or p == r:
            if nearer is None:
                nearer = _distance(part) < _distance(rest)
            inside = piece & nearer
            # Away from both it goes as a whole.
            out |= inside if p or r else piece & (2 * inside.sum() > piece.sum())
        elif p > r:
            out |= piece
    return out


def _distance(mask: BoolMask) -> NDArray[np.float32]:
    """How far each pixel lies from a mask."""
    outside = np.ascontiguousarray(~mask).view(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)
