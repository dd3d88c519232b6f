"""Looks: the ways a picture with its objects is shown, from a fill to a background that is blurred.

What blurs and pixelates here is meant to hide. Both reduce a region to a few cells, each the mean of
its pixels, and draw only those: as squares, or with smooth steps between them. So what is finer than
a cell is not in the picture any more and no filter brings it back, as one can with a plain blur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.errors import InvalidInput
from backend.masks.boxes import mask_box_xyxy_px
from backend.masks.overlay import FILL, Layer, check_sizes, draw, draw_labels

LookName = Literal[
    "fill",
    "outline",
    "cutout",
    "spotlight",
    "blur_object",
    "blur_background",
    "pixelate_object",
    "pixelate_background",
]
LOOKS: tuple[LookName, ...] = get_args(LookName)

DIM = 0.72
"""How dark the background of a spotlight is by default: 0 as it is, 1 black."""
OBJECT_CELLS = 6
"""Cells along the longer side of a hidden object's box."""
OBJECT_CELL_SHARE = 1 / 160
"""The smallest cell of a hidden object, as a share of the picture's longer side."""
BACKGROUND_CELLS = 32
"""Cells along the longer side of a picture whose background is hidden."""

_WITH_OPACITY = ("fill", "spotlight")
_HIDING = ("blur_object", "pixelate_object")
_FULL = np.uint8(255)
_EMPTY = 1e-3
_Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """A look and how strong it is.

    `opacity`, 0 to 1: of `fill`'s colour (None: 0.34), or of the dark around a `spotlight` (None:
    0.72). The other looks have none.

    Raises:
        InvalidInput: no such look, no such opacity, or one where there is none.
    """

    name: LookName = "fill"
    opacity: float | None = None

    def __post_init__(self) -> None:
        if self.name not in LOOKS:
            raise InvalidInput(f"A look is one of: {', '.join(LOOKS)}.", "invalid_look")
        if self.opacity is None:
            return
        if self.name not in _WITH_OPACITY:
            raise InvalidInput(
                f"The look “{self.name}” has no opacity; those with one are: {', '.join(_WITH_OPACITY)}.",
                "invalid_look",
            )
        if not 0 <= self.opacity <= 1:
            raise InvalidInput("An opacity is a number from 0 to 1.", "invalid_look")

    @property
    def hides_objects(self) -> bool:
        """Whether it is there to make objects unrecognisable, which it can only where it is known where they are."""
        return self.name in _HIDING

    @property
    def names_objects(self) -> bool:
        """Whether it has chips with names by default."""
        return self.name in ("fill", "outline")


def paint(image: Image, layers: Sequence[Layer], look: Look, *, labels: bool | None = None) -> Image:
    """A copy of `image` (RGB, uint8, (H, W, 3)) in a look; what a look leaves alone is equal to the byte.

    Where masks overlap, later layers lie on top. With no objects, all of it is background.

    Args:
        image: the picture.
        layers: the objects; masks bool (H, W).
        look: how they are shown.
        labels: a chip with its name beside each object; None: as the look has it.

    Raises:
        InvalidInput: a mask is not of the picture's size, or a color is not `#rrggbb`.
    """
    named = look.names_objects if labels is None else labels
    match look.name:
        case "fill":
            return draw(image, layers, labels=named, fill=FILL if look.opacity is None else look.opacity)
        case "outline":
            return draw(image, layers, labels=named, fill=0)
        case "cutout":
            out = cv2.copyTo(image, union(layers, image.shape[:2]))
        case "spotlight":
            out = cv2.convertScaleAbs(image, alpha=1 - (DIM if look.opacity is None else look.opacity))
            cv2.copyTo(image, union(layers, image.shape[:2]), out)
        case "blur_background" | "pixelate_background":
            out = _hide_background(image, union(layers, image.shape[:2]), look.name == "blur_background")
        case "blur_object" | "pixelate_object":
            out = _hide_objects(image, layers, look.name == "blur_object")
    result = np.asarray(out, np.uint8)
    if named:
        draw_labels(result, layers)
    return result


def cut_out(image: Image, layers: Sequence[Layer]) -> NDArray[np.uint8]:
    """The objects alone as RGBA (H, W, 4): what is none of them is transparent, and black beneath.

    Raises:
        InvalidInput: a mask is not of the picture's size.
    """
    mask = union(layers, image.shape[:2])
    return np.dstack([cv2.copyTo(image, mask), mask * _FULL])


def union(layers: Sequence[Layer], shape: tuple[int, ...]) -> _Mask:
    """Where any of the objects is: uint8 0 or 1, of shape (H, W).

    Raises:
        InvalidInput: a mask has another shape.
    """
    height, width = shape
    check_sizes(layers, height, width)
    out = np.zeros((height, width), np.uint8)
    for layer in layers:
        cv2.bitwise_or(out, _bytes(layer.mask), out)
    return out


def _hide_objects(image: Image, layers: Sequence[Layer], smooth: bool) -> Any:
    height, width = image.shape[:2]
    check_sizes(layers, height, width)
    out = image.copy()
    for layer in layers:
        box = mask_box_xyxy_px(layer.mask)
        if box is None:
            continue
        x0, y0, x1, y1 = box
        # By the object's own size: a face is as hard to know when the camera is near it. Anchored at
        # its box, so that the cells keep their places on it while it moves.
        cell = max(max(x1 - x0, y1 - y0) / OBJECT_CELLS, max(height, width) * OBJECT_CELL_SHARE)
        mask = np.ascontiguousarray(_bytes(layer.mask)[y0:y1, x0:x1])
        cv2.copyTo(_cells(image[y0:y1, x0:x1], mask, cell, smooth), mask, out[y0:y1, x0:x1])
    return out


def _hide_background(image: Image, objects: _Mask, smooth: bool) -> Any:
    cell = max(image.shape[:2]) / BACKGROUND_CELLS
    out = _cells(image, objects ^ np.uint8(1), cell, smooth)
    return cv2.copyTo(image, objects, out)


def _cells(image: Image, mask: _Mask, cell: float, smooth: bool) -> Any:
    """A picture (h, w, 3) of the means of cells at least `cell` pixels wide and high.

    Only pixels in `mask` (h, w), 0 or 1, count, so that nothing bleeds in from beside it; a cell
    without any takes on its neighbours'. `smooth`: with even steps from the middle of a cell to the
    next one's, instead of squares.
    """
    height, width = mask.shape
    # OpenCV is quick at halves, and at little else: so down by two of them and up again, and whatever
    # is lacking to a multiple of four counts for nothing.
    quarters = cell >= 16
    pad = ((-height) % 4, (-width) % 4) if quarters else (0, 0)
    border = (0, pad[0], 0, pad[1], cv2.BORDER_CONSTANT)
    colours, shares = cv2.copyMakeBorder(cv2.copyTo(image, mask), *border), cv2.copyMakeBorder(mask * _FULL, *border)
    full = (width + pad[1], height + pad[0])
    size = full
    for _ in range(2 if quarters else 0):
        size = (size[0] // 2, size[1] // 2)
        colours, shares = _mean(colours, size), _mean(shares, size)
    grid = (max(1, int(full[0] / cell)), max(1, int(full[1] / cell)))
    sums, weights = _mean(colours.astype(np.float32), grid), _mean(shares.astype(np.float32), grid)[..., None] / 255
    spread = np.dstack([sums, weights])
    while (empty := weights < _EMPTY).any() and not empty.all():
        spread = cv2.boxFilter(spread, -1, (3, 3), borderType=cv2.BORDER_REPLICATE)
        sums, weights = np.where(empty, spread[..., :3], sums), np.where(empty, spread[..., 3:], weights)
    means = cv2.convertScaleAbs(sums / np.maximum(weights, _EMPTY))
    if smooth:
        steps = cv2.resize(means, size, interpolation=cv2.INTER_CUBIC)
        out = cv2.resize(steps, full, interpolation=cv2.INTER_LINEAR) if quarters else steps
    else:
        out = cv2.resize(means, full, interpolation=cv2.INTER_NEAREST)
    return out[:height, :width]


def _mean(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _bytes(mask: BoolMask) -> _Mask:
    return np.ascontiguousarray(mask).view(np.uint8)
