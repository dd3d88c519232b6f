"""A square look at a part of a frame, at one fixed size whatever the frame's.

Three coordinate frames meet in the engine: *frame* pixels, the *flow* grid (the whole frame, long
side bounded) and the *crop* grid, `GRID` cells across a `Crop` (the backbone's picture of it is
finer: `SIZE`). Positions are pixel centres: cell `i` of a crop of side `s` lies at frame position
`origin + (i + .5) * s / GRID - .5`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite.backbone import SIZE, Backbone

Floats = NDArray[np.float32]

GRID = 256
"""Cells across a crop in which masks and cues live."""
FINE = 192
"""Cells across the picture of a crop that is kept."""
MARGIN = 1.8
"""A crop's side over the longer side of its object."""
SMALLEST = 64
"""Shortest side of a crop, in frame pixels."""
WIDEST = 1.3
"""Longest side of a crop, over the frame's longer side."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of a frame, in whole frame pixels; it may reach beyond the frame."""

    x: int
    y: int
    side: int

    @property
    def scale(self) -> float:
        """Cells a frame pixel."""
        return GRID / self.side

    def wider(self, factor: float, frame: tuple[int, int]) -> Crop:
        """The same centre, another side; `frame` is (height, width)."""
        return around(self.x + self.side / 2, self.y + self.side / 2, self.side * factor, frame)


def around(cx: float, cy: float, side: float, frame: tuple[int, int]) -> Crop:
    """The crop centred there with that side, within what makes sense on a frame (height, width)."""
    whole = round(min(max(side, SMALLEST), max(WIDEST * max(frame), SMALLEST)))
    return Crop(round(cx - whole / 2), round(cy - whole / 2), whole)


def crop_of(mask: BoolMask) -> Crop | None:
    """The crop that suits an object's mask (H, W); None where it is empty."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w:
        return None
    return around(x + w / 2, y + h / 2, MARGIN * max(w, h), mask.shape)


def _overlap(crop: Crop, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of a crop that lies on the frame: x0, y0, x1, y1 in frame pixels, not empty."""
    x0 = min(max(crop.x, 0), width - 1)
    y0 = min(max(crop.y, 0), height - 1)
    return x0, y0, max(min(crop.x + crop.side, width), x0 + 1), max(min(crop.y + crop.side, height), y0 + 1)


def cut(picture: Image, crop: Crop) -> Image:
    """The crop's picture, (SIZE, SIZE, 3), the frame's edge continued outwards."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = _overlap(crop, height, width)
    part = picture[y0:y1, x0:x1]
    # Shrinking before the edge is continued keeps the work small on large frames.
    shrink = crop.side > SIZE
    scale = SIZE / crop.side if shrink else 1.0
    if shrink:
        size = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    target = SIZE if shrink else crop.side
    left = min(max(round((x0 - crop.x) * scale), 0), target)
    top = min(max(round((y0 - crop.y) * scale), 0), target)
    part = part[: max(target - top, 1), : max(target - left, 1)]
    right, bottom = max(target - left - part.shape[1], 0), max(target - top - part.shape[0], 0)
    full = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)
    if full.shape[:2] != (SIZE, SIZE):
        full = cv2.resize(full, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.uint8)


def cut_mask(mask: BoolMask | Floats, crop: Crop, cells: int = GRID) -> Floats:
    """How much of each of a crop's cells a mask (H, W) covers, (cells, cells), 0 off the frame."""
    height, width = mask.shape
    x0, y0, x1, y1 = _overlap(crop, height, width)
    part = mask[y0:y1, x0:x1].astype(np.float32)
    scale = cells / crop.side
    if scale < 1:
        size = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)
    sx, sy = (x1 - x0) / part.shape[1], (y1 - y0) / part.shape[0]
    # From a cell's centre to the position in `part` that lies under it.
    matrix = np.array(
        [
            [1 / (scale * sx), 0, ((0.5 / scale) + crop.x - x0) / sx - 0.5],
            [0, 1 / (scale * sy), ((0.5 / scale) + crop.y - y0) / sy - 0.5],
        ],
        np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(part, matrix, (cells, cells), flags=flags, borderValue=0), np.float32)


def lab_of(picture: Image) -> Floats:
    """CIE Lab of an RGB picture, float32, scaled so that distances count lightness less than hue."""
    lab = cv2.cvtColor(picture.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return np.asarray(lab * np.array([0.008, 0.016, 0.016]), np.float32)


@dataclass(slots=True)
class View:
    """What is known of one crop of one frame; shared by the objects that look at the same crop.

    `fine` is its picture, RGB (FINE, FINE, 3), `lab` its colours (GRID, GRID, 3), `b2`, `b3`, `b5` the
    backbone's taps, (H, W, C) at strides 4, 8, 16.
    """

    crop: Crop
    fine: Image
    lab: Floats
    b2: Floats
    b3: Floats
    b5: Floats
    cells: Floats | None = field(default=None)
    """Match descriptors, made by `match.describe` on first use."""

    @property
    def nbytes(self) -> int:
        arrays = (self.fine, self.lab, self.b2, self.b3, self.b5, self.cells)
        return sum(a.nbytes for a in arrays if a is not None)


def look(backbone: Backbone, picture: Image, crop: Crop) -> View:
    """See a crop of a frame."""
    part = cut(picture, crop)
    b2, b3, b5 = backbone.features(part)
    small = np.asarray(cv2.resize(part, (GRID, GRID), interpolation=cv2.INTER_AREA), np.uint8)
    fine = np.asarray(cv2.resize(part, (FINE, FINE), interpolation=cv2.INTER_AREA), np.uint8)
    return View(crop, fine, lab_of(small), b2, b3, b5)
