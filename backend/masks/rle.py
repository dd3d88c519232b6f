"""COCO compressed run-length codes, as pycocotools writes them (column-major)."""

from __future__ import annotations

import cv2
import numpy as np
from pycocotools import mask as coco

from backend.domain import BoolMask, Rle
from backend.errors import InvalidInput


def encode(mask: BoolMask) -> Rle:
    """Encode a bool mask (H, W).

    The transpose by OpenCV is what makes this quick: pycocotools wants Fortran order, and numpy's
    own copy to it takes twice as long.
    """
    height, width = mask.shape
    flipped = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8))
    code = coco.encode(flipped.T)
    return Rle(code["counts"].decode("ascii"), height, width)


def decode(rle: Rle) -> BoolMask:
    """Decode to a bool mask (H, W) in C order."""
    flipped = coco.decode({"size": rle.size, "counts": rle.counts.encode("ascii")})
    out = cv2.transpose(np.ascontiguousarray(flipped.T))
    # OpenCV drops the second axis of a matrix with one column or row only in some builds.
    return out.reshape(rle.height, rle.width).view(np.bool_)


def empty(height: int, width: int) -> Rle:
    """The code of a mask with nothing in it."""
    return encode(np.zeros((height, width), np.bool_))


def area(rle: Rle) -> int:
    """How many pixels the mask covers."""
    return int(coco.area({"size": rle.size, "counts": rle.counts.encode("ascii")}))


def runs(counts: str) -> list[int]:
    """The run lengths of a compressed `counts` string, background first.

    Written out from the format (COCO API, `rleFrString`) since pycocotools reads hostile strings
    without checking where they end.

    Raises:
        InvalidInput: the string is no COCO RLE.
    """
    out: list[int] = []
    value = shift = 0
    for char in counts:
        bits = ord(char) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise InvalidInput("The mask is not a COCO compressed RLE string.", "invalid_mask")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(out) > 2:
            value += out[-2]
        if value < 0:
            raise InvalidInput("The mask is not a COCO compressed RLE string.", "invalid_mask")
        out.append(value)
        value = shift = 0
    if shift:
        raise InvalidInput("The mask's RLE string is cut off.", "invalid_mask")
    return out


def parse(counts: str, height: int, width: int) -> Rle:
    """An `Rle` from a client's string, checked to be exactly one mask of that size.

    Raises:
        InvalidInput: it is not a COCO RLE, or covers another number of pixels than H × W.
    """
    total = sum(runs(counts))
    if total != height * width:
        raise InvalidInput(
            f"The mask covers {total} pixels, the frame has {height * width} ({width} × {height}): "
            "masks are COCO RLE at the video's size.",
            "invalid_mask",
        )
    return Rle(counts, height, width)
