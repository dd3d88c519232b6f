"""COCO compressed run-length codes, as pycocotools writes them (column-major)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from backend.domain import BoolMask, NormBox, Rle
from backend.errors import InvalidInput

_DIGITS = 6
"""Characters of a number: 30 bits, more than any frame has pixels."""
_LONGEST = 1 << 30
_NO_RLE = "The mask is not a COCO compressed RLE string."


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


@lru_cache(maxsize=64)
def empty(height: int, width: int) -> Rle:
    """The code of a mask with nothing in it."""
    return encode(np.zeros((height, width), np.bool_))


def area(rle: Rle) -> int:
    """How many pixels the mask covers."""
    return int(coco.area({"size": rle.size, "counts": rle.counts.encode("ascii")}))


def areas(rles: Sequence[Rle]) -> NDArray[np.float64]:
    """How many pixels each of the masks covers, (N,)."""
    codes = [{"size": r.size, "counts": r.counts.encode("ascii")} for r in rles]
    # The package counts what it is given in one byte.
    some = [coco.area(codes[at : at + 255]) for at in range(0, len(codes), 255)]
    return np.concatenate([np.zeros(0), *some])


def united(rles: Sequence[Rle]) -> Rle:
    """What any of the masks covers; they are of one size."""
    code = coco.merge([{"size": r.size, "counts": r.counts.encode("ascii")} for r in rles])
    return Rle(code["counts"].decode("ascii"), rles[0].height, rles[0].width)


def rle_box(rle: Rle) -> NormBox | None:
    """`mask_box` of a mask that is not decoded for it."""
    code = {"size": rle.size, "counts": rle.counts.encode("ascii")}
    if not coco.area(code):
        return None
    x, y, w, h = (float(v) for v in coco.toBbox(code))
    return x / rle.width, y / rle.height, w / rle.width, h / rle.height


def runs(counts: str) -> list[int]:
    """The run lengths of a compressed `counts` string, background first.

    Raises:
        InvalidInput: the string is no COCO RLE.
    """
    lengths: list[int] = _lengths(counts).tolist()
    return lengths


def parse(counts: str, height: int, width: int) -> Rle:
    """An `Rle` from a client's string, checked to be exactly one mask of that size.

    Raises:
        InvalidInput: it is not a COCO RLE, or covers another number of pixels than H × W.
    """
    # Runs of single pixels take one character each, longer ones far fewer a pixel.
    if len(counts) > 2 * height * width + 16:
        raise InvalidInput("The mask's RLE string is too long for a mask of the frame's size.", "invalid_mask")
    total = int(_lengths(counts).sum())
    if total != height * width:
        raise InvalidInput(
            f"The mask covers {total} pixels, the frame has {height * width} ({width} × {height}): "
            "masks are COCO RLE at the video's size.",
            "invalid_mask",
        )
    return Rle(counts, height, width)


def _lengths(counts: str) -> NDArray[np.int64]:
    """The run lengths (N,) of a string, by the format's definition (COCO API, `rleFrString`).

    Each number is a group of characters that hold 5 bits each, lowest first, and say whether more
    follow; from the fourth on it is the difference to the run before the last. pycocotools reads
    hostile strings without checking where they end, and numbers of more than six characters
    differently from one build to the next.

    Raises:
        InvalidInput: the string is no COCO RLE.
    """
    try:
        bits = np.frombuffer(counts.encode("ascii"), np.uint8) - np.uint8(48)
    except UnicodeEncodeError as error:
        raise InvalidInput(_NO_RLE, "invalid_mask") from error
    if not len(bits):
        return np.zeros(0, np.int64)
    # Characters below the first one wrap around to the top.
    if bits.max() > 63:
        raise InvalidInput(_NO_RLE, "invalid_mask")
    ends = np.flatnonzero(bits < 32)
    if not len(ends) or ends[-1] != len(bits) - 1:
        raise InvalidInput("The mask's RLE string is cut off.", "invalid_mask")
    digits = np.diff(ends, prepend=-1)
    most = int(digits.max())
    if most > _DIGITS:
        raise InvalidInput(_NO_RLE, "invalid_mask")
    values = np.zeros(len(ends), np.int64)
    low = bits & np.uint8(31)
    for place in range(most):
        # The characters at this place of those numbers that have so many.
        long = np.flatnonzero(digits > place)
        values[long] |= low[ends[long] - digits[long] + 1 + place].astype(np.int64) << (5 * place)
    negative = np.flatnonzero(bits[ends] & 16)
    values[negative] -= np.int64(1) << (5 * digits[negative])
    # Each run adds to the last but one; the first three stand for themselves.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0 or values.max() >= _LONGEST:
        raise InvalidInput(_NO_RLE, "invalid_mask")
    return values
