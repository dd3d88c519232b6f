"""Looks for a lost object over the whole frame, by how it looks alone; where it was counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask
from backend.engines.lite import match
from backend.engines.lite.match import Bank
from backend.engines.lite.scene import Scene
from backend.engines.lite.view import MARGIN, Crop, around, cut_mask

Floats = NDArray[np.float32]

_FINEST = 12.0
"""Sides of a tile over the object's length at most; in a wider one it would be a cell or two."""
_OVERLAP = 0.75
"""Distance of two tiles, in sides."""
_WINDOW = 0.7
"""Side of the window that has to look like the object, over the object's length."""
_BAR = -0.3
"""Mean logit in that window from which on it is worth a closer look."""
_BACKDROP = 600
"""Cells of the rest of a frame that are remembered, at most."""


def tiles(size: tuple[int, int], length: float) -> list[Crop]:
    """Squares that cover a frame (height, width), in which an object of that length (pixels) is seen well enough."""
    height, width = size
    side = min(float(max(size)), max(_FINEST * length, 64.0))
    rows, cols = (max(1, int(np.ceil((n - side) / (_OVERLAP * side))) + 1) if n > side else 1 for n in size)
    ys = np.linspace(side / 2, height - side / 2, rows) if rows > 1 else [height / 2]
    xs = np.linspace(side / 2, width - side / 2, cols) if cols > 1 else [width / 2]
    return [around(float(x), float(y), side, size) for y in ys for x in xs]


def backdrop(scene: Scene, mask: BoolMask, rng: np.random.Generator) -> Floats:
    """How the rest of a frame looks on which the object's mask (H, W) is known: cells (n, 152)."""
    crop = tiles(scene.size, float(max(*cv2.boundingRect(mask.view(np.uint8))[2:], 1)))[0]
    near = cv2.dilate(cut_mask(mask, crop, match.CELLS), np.ones((3, 3), np.float32)).ravel() > 0
    cells = match.describe(scene.view(crop))[~near]
    if len(cells) > _BACKDROP:
        cells = cells[rng.choice(len(cells), _BACKDROP, replace=False)]
    return cells


def candidate(scene: Scene, references: Sequence[Bank], rest: Floats, length: float, turn: int) -> Crop | None:
    """Where the object may be: the crop around it, or None.

    Args:
        scene: the frame.
        references: cells of the object and of its surroundings.
        rest: cells of what is elsewhere on the frames that are known.
        length: of the object, in frame pixels.
        turn: one tile is searched at a time; this says which.
    """
    choices = tiles(scene.size, length)
    crop = choices[turn % len(choices)]
    likely = match.resemblance(scene.view(crop), references, rest)
    window = max(1, round(_WINDOW * length / crop.side * match.CELLS))
    level = cv2.blur(likely, (window, window), borderType=cv2.BORDER_REPLICATE)
    row, column = np.unravel_index(int(level.argmax()), level.shape)
    if level[row, column] < _BAR:
        return None
    step = crop.side / match.CELLS
    return around(crop.x + (column + 0.5) * step, crop.y + (row + 0.5) * step, MARGIN * length, scene.size)
