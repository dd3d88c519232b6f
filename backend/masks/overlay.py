"""Objects painted over a picture: fill, outline over a dark halo, and a chip with the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.errors import InvalidInput
from backend.masks.boxes import mask_box_xyxy_px
from backend.masks.chip import render_chip

PALETTE = ("#45B0FF", "#FFA21A", "#E07FC8", "#0FA77A", "#E8421A", "#FFEF78", "#4B5CF0", "#E6EAEE")
"""The objects' colours, apart from each other for the colour-blind too; after the eighth they repeat."""

FILL = 0.34
LINE_PX = 1.8
HALO_PX = 3.6
HALO = 0.60
TEXT_PX = 13.0
REFERENCE_PX = 720.0
"""The shorter side of the picture at which the sizes above hold; they scale with the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An object to paint: `mask` bool (H, W) at the picture's size, `color` `#rrggbb`.

    `text` is what its chip says, such as "1 Scooter"; empty: no chip.
    """

    mask: BoolMask
    color: str
    text: str = ""


def color_of(obj_id: int) -> str:
    """The palette's colour of an object as `#rrggbb`; ids start at 1."""
    return PALETTE[(obj_id - 1) % len(PALETTE)]


def rgb(color: str) -> tuple[int, int, int]:
    """The red, green and blue (0 to 255) of `#rrggbb`.

    Raises:
        InvalidInput: it is not written so.
    """
    digits = color.removeprefix("#")
    if len(color) != 7 or len(digits) != 6 or any(c not in "0123456789abcdefABCDEF" for c in digits):
        raise InvalidInput("A color is written #rrggbb, for example #45B0FF.", "invalid_color")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def draw(image: Image, layers: Sequence[Layer], *, labels: bool = True, fill: float = FILL) -> Image:
    """A copy of `image` (RGB, uint8, (H, W, 3)) with the objects painted over it.

    Later layers lie on top: where masks overlap, only the topmost one is painted. `fill`, 0 to 1,
    is the opacity of their colour; at 0 there is an outline only.

    Raises:
        InvalidInput: a mask is not of the picture's size, or a color is not `#rrggbb`.
    """
    out = np.ascontiguousarray(image).copy()
    height, width = out.shape[:2]
    scale = _scale(height, width)
    painted = [(layer, *part) for layer, part in zip(layers, _visible(layers, height, width), strict=True) if part]
    for layer, mask, box in painted:
        _paint(out, mask, box, rgb(layer.color), scale, fill)
    if labels:
        _label(out, [(layer, box) for layer, _, box in painted], scale)
    return out


def draw_labels(out: Image, layers: Sequence[Layer]) -> None:
    """Lay each object's chip over a picture (RGB, uint8, (H, W, 3)), in place.

    Raises:
        InvalidInput: a mask is not of the picture's size, or a color is not `#rrggbb`.
    """
    height, width = out.shape[:2]
    seen = zip(layers, _visible(layers, height, width), strict=True)
    _label(out, [(layer, part[1]) for layer, part in seen if part], _scale(height, width))


def check_sizes(layers: Sequence[Layer], height: int, width: int) -> None:
    """Refuse masks that are not of the picture's size.

    Raises:
        InvalidInput: one is not.
    """
    for layer in layers:
        if layer.mask.shape != (height, width):
            raise InvalidInput(
                f"A mask of {layer.mask.shape[1]} × {layer.mask.shape[0]} on a picture of {width} × {height}.",
                "invalid_mask",
            )


_Box = tuple[int, int, int, int]
_Region = NDArray[np.uint8]


def _scale(height: int, width: int) -> float:
    return max(min(height, width) / REFERENCE_PX, 0.6)


def _label(out: Image, objects: Sequence[tuple[Layer, _Box]], scale: float) -> None:
    taken: list[_Box] = []
    for layer, box in objects:
        if layer.text:
            chip = render_chip(layer.text, rgb(layer.color), max(round(TEXT_PX * scale), 8))
            _place(out, chip, box, scale, taken)


def _visible(layers: Sequence[Layer], height: int, width: int) -> list[tuple[_Region, _Box] | None]:
    """For each layer what no later one covers: a uint8 0/1 mask cut to its box, and that box."""
    check_sizes(layers, height, width)
    covered = np.zeros((height, width), np.uint8)
    out: list[tuple[_Region, _Box] | None] = []
    for layer in reversed(layers):
        box = mask_box_xyxy_px(layer.mask)
        if box is None:
            out.append(None)
            continue
        x0, y0, x1, y1 = box
        part = np.ascontiguousarray(layer.mask[y0:y1, x0:x1]).view(np.uint8)
        above = covered[y0:y1, x0:x1]
        seen = part & ~above
        above |= part
        out.append((seen, box) if seen.any() else None)
    return out[::-1]


def _paint(out: Image, mask: _Region, box: _Box, color: tuple[int, int, int], scale: float, fill: float) -> None:
    """Fill and outline one mask (its box's region), in place and touching only that region."""
    x0, y0, x1, y1 = box
    # A pixel more: softening the edges takes it away again.
    halo, line = round(HALO_PX * scale + 1), round(LINE_PX * scale + 1)
    pad = halo + 2
    top, left = min(pad, y0), min(pad, x0)
    roi = out[y0 - top : y1 + pad, x0 - left : x1 + pad]

    if fill:
        inside = roi[top : top + y1 - y0, left : left + x1 - x0]
        share = np.array([*color, 0]) * fill
        tinted = cv2.add(cv2.convertScaleAbs(inside, alpha=1 - fill), share)
        cv2.copyTo(tinted, mask, inside)

    padded = cv2.copyMakeBorder(
        mask * np.uint8(255), top, roi.shape[0] - top - (y1 - y0), left, roi.shape[1] - left - (x1 - x0), 0
    )
    edge = _band(padded, line)
    shade = cv2.convertScaleAbs(_band(padded, halo), alpha=HALO)
    keep = cv2.multiply(cv2.bitwise_not(shade), cv2.bitwise_not(edge), scale=1 / 255)
    ink = cv2.merge([cv2.convertScaleAbs(edge, alpha=channel / 255) for channel in color])
    roi[:] = cv2.add(cv2.multiply(roi, cv2.merge([keep] * 3), scale=1 / 255), ink)


def _band(mask: NDArray[Any], width: int) -> _Region:
    """A soft-edged band, 0 to 255, `width` pixels wide along the rim of a 0/255 mask (H, W).

    By morphology: strokes along the contour take five times as long.
    """
    outer = width // 2
    wide = cv2.dilate(mask, _disc(outer)) if outer else mask
    narrow = cv2.erode(mask, _disc(width - outer), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(cv2.blur(cv2.subtract(wide, narrow), (3, 3)), np.uint8)


def _disc(radius: int) -> _Region:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _place(out: Image, chip: NDArray[np.uint8], box: _Box, scale: float, taken: list[_Box]) -> None:
    """Lay a chip over the top left corner of its object's box, inside the picture and beside other chips."""
    height, width = out.shape[:2]
    ch, cw = min(chip.shape[0], height), min(chip.shape[1], width)
    gap = max(round(3 * scale), 1)
    x = min(box[0], width - cw)
    y = min(max(box[1] - ch - gap, 0), height - ch)
    for tx0, ty0, tx1, ty1 in sorted(taken, key=lambda t: t[1]):
        if x < tx1 and tx0 < x + cw and y < ty1 and ty0 < y + ch and ty1 + ch < height:
            y = ty1 + 1
    taken.append((x, y, x + cw, y + ch))
    spot = out[y : y + ch, x : x + cw]
    alpha = chip[:ch, :cw, 3:].astype(np.uint16)
    mixed = (chip[:ch, :cw, :3] * alpha + spot * (255 - alpha) + 127) // 255
    spot[:] = mixed.astype(np.uint8)
