"""From the tracks' soft masks to the frame's: every pixel belongs to at most one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite import guided
from backend.engines.lite.view import GRID, Crop

Floats = NDArray[np.float32]

_HELD = 0.5
"""Share of a part that an object has to hold against others; of less, the rest is a rim of theirs."""

_PAD = 3
"""Cells around a soft mask that the filter may still reach."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A frame's masks (H, W) by object, and what the followed objects wanted and did not get."""

    masks: Mapping[int, BoolMask]
    lost: Mapping[int, BoolMask]


def paint(picture: Image, crop: Crop, soft: Floats) -> tuple[slice, slice, Floats] | None:
    """A crop's soft mask (GRID, GRID) in a part of the frame: its rows and columns, and the mask there.

    None where nothing of it lies on the frame.
    """
    height, width = picture.shape[:2]
    x, y, w, h = cv2.boundingRect((soft > 0.05).astype(np.uint8))
    if not w:
        return None
    cell = crop.side / GRID
    pad = max(_PAD * cell, 2.0 * guided.RADIUS)
    x0 = max(int(crop.x + x * cell - pad), 0)
    y0 = max(int(crop.y + y * cell - pad), 0)
    x1 = min(int(np.ceil(crop.x + (x + w) * cell + pad)), width)
    y1 = min(int(np.ceil(crop.y + (y + h) * cell + pad)), height)
    if x0 >= x1 or y0 >= y1:
        return None
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    rows, cols = guided.work_size(y1 - y0, x1 - x0)
    step_x, step_y = (x1 - x0) / cols, (y1 - y0) / rows
    # From a pixel of the filter's grid to the crop's cell under it.
    matrix = np.array(
        [
            [step_x / cell, 0, (x0 + step_x / 2 - crop.x) / cell - 0.5],
            [0, step_y / cell, (y0 + step_y / 2 - crop.y) / cell - 0.5],
        ],
        np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    level = cv2.warpAffine(soft, matrix, (cols, rows), flags=flags, borderValue=0)
    return (
        slice(y0, y1),
        slice(x0, x1),
        guided.refine(part, np.asarray(level, np.float32), guided.window_of(soft, cell)),
    )


def compose(picture: Image, tracked: Mapping[int, tuple[Crop, Floats]], given: Mapping[int, BoolMask]) -> Painted:
    """The masks (H, W) of a frame's objects.

    Args:
        tracked: crop and soft mask of the objects that were followed; the strongest one takes a
            pixel, of equals the one with the lower id.
        given: masks that people made; they stand as they are, and followed objects give way.
    """
    size = picture.shape[:2]
    painted = {i: p for i in sorted(tracked) if (p := paint(picture, *tracked[i])) is not None}
    alone = len(painted) + len(given) < 2
    taken = np.zeros(size, np.bool_)
    for mask in given.values():
        taken |= mask
    best = np.full((1, 1) if alone else size, 0.5, np.float32)
    if not alone:
        for rows, cols, soft in painted.values():
            np.maximum(best[rows, cols], soft, out=best[rows, cols])
    masks = dict(given)
    lost: dict[int, BoolMask] = {}
    for obj_id in sorted(tracked):
        masks[obj_id] = np.zeros(size, np.bool_)
        if obj_id not in painted:
            continue
        rows, cols, soft = painted[obj_id]
        mine = soft > 0.5
        if not alone:
            wanted = mine
            mine = _without_rims(wanted, wanted & (soft >= best[rows, cols]) & ~taken[rows, cols])
            taken[rows, cols] |= mine
            if (mine != wanted).any():
                lost[obj_id] = np.zeros(size, np.bool_)
                lost[obj_id][rows, cols] = wanted & ~mine
        masks[obj_id][rows, cols] = mine
    return Painted(masks, lost)


def _without_rims(wanted: BoolMask, held: BoolMask) -> BoolMask:
    """What an object holds, less the parts it lost most of: a leak into another object leaves a rim.

    The part of which it holds the most always stays: that may be the object half behind another.
    """
    count, labels = cv2.connectedComponents(wanted.astype(np.uint8), connectivity=8)
    before = np.bincount(labels.ravel(), minlength=count)
    after = np.bincount(labels[held], minlength=count)
    keep = after >= _HELD * before
    keep[1 + int(after[1:].argmax()) if count > 1 else 0] = True
    return np.asarray(held & keep[labels], np.bool_)
