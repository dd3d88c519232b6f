"""The click network: answers clicks and boxes on an encoded picture. Trained by `training.clicks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite.backbone import CLICK_TAPS, Taps, open_session
from backend.engines.lite.finds import PixelBox
from backend.engines.lite.rules import Clicks, Pixel

Floats = NDArray[np.float32]

HEAD = Path(__file__).parent / "heads" / "clicks.onnx"
_STRIDE = 32
_DISC = 4
"""Radius of a click's disc in the encoded picture's pixels, as in training."""
_POINTS = 12
"""Clicks of each kind that one call takes: the newest ones."""


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the frame: x0, y0, x1, y1 in frame pixels, ends exclusive, not empty."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def of(self, picture: Image | BoolMask | Floats) -> NDArray[np.generic]:
        """What lies there of something with the frame's size."""
        return picture[self.y0 : self.y1, self.x0 : self.x1]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A part of a frame, made ready: the picture (1, 3, h, w) in [0, 1] and the backbone's taps of it."""

    part: Part
    picture: Floats
    taps: Sequence[Floats]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.picture.shape[2], self.picture.shape[3]

    @property
    def nbytes(self) -> int:
        return self.picture.nbytes + sum(tap.nbytes for tap in self.taps)

    def place(self, point: Pixel) -> tuple[float, float]:
        """A frame pixel's middle in the encoded picture, (x, y)."""
        height, width = self.size
        part = self.part
        return (point[0] + 0.5 - part.x0) * width / part.width, (point[1] + 0.5 - part.y0) * height / part.height


class ClickNetwork:
    """Encodes parts of frames and answers prompts on them.

    Args:
        cache_dir: where the backbone's ONNX file is kept; made when missing.

    Raises:
        EngineError: the backbone's weights can't be read.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._taps = Taps(cache_dir)
        self._session = open_session(HEAD)

    def encode(self, picture: Image, part: Part, long_side: int) -> Encoded:
        """Look at a part of an RGB picture (H, W, 3), its longer side brought to about `long_side`."""
        scale = long_side / max(part.width, part.height)
        width, height = (max(round(n * scale / _STRIDE), 1) * _STRIDE for n in (part.width, part.height))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = np.asarray(
            cv2.resize(np.asarray(part.of(picture), np.uint8), (width, height), interpolation=way), np.uint8
        )
        planar = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        return Encoded(part, planar, self._taps.of(small))

    def answer(self, encoded: Encoded, clicks: Clicks | None, box: PixelBox | None, so_far: Floats | None) -> Floats:
        """Logits (h, w) of the object in the encoded picture.

        Args:
            clicks: in frame pixels; those outside of the part are left out.
            box: in frame pixels.
            so_far: the object's mask (h, w) in [0, 1]; None where there is none.
        """
        height, width = encoded.size
        maps = np.zeros((1, 5, height, width), np.float32)
        points = np.zeros((2, 1, _POINTS, 3), np.float32)
        for kind, label in enumerate((1, 0)):
            placed = [encoded.place(p) for p in (clicks.of(label) if clicks is not None else ())]
            inside = [(x, y) for x, y in placed if 0 <= x < width and 0 <= y < height][-_POINTS:]
            for number, (x, y) in enumerate(inside):
                cv2.circle(maps[0, kind], (int(x), int(y)), _DISC, 1.0, -1)
                points[kind, 0, number] = x, y, 1
        if so_far is not None:
            maps[0, 2] = so_far
        if box is not None:
            (x0, y0), (x1, y1) = encoded.place((box[0], box[1])), encoded.place((box[2] - 1, box[3] - 1))
            maps[0, 3, max(int(y0), 0) : max(int(y1) + 1, 0), max(int(x0), 0) : max(int(x1) + 1, 0)] = 1
            maps[0, 4] = 1
        inputs = {"picture": encoded.picture, "maps": maps, "on": points[0], "off": points[1]}
        inputs.update(zip(CLICK_TAPS, encoded.taps, strict=True))
        (logits,) = self._session.run(["logits"], inputs)
        return np.asarray(logits[0, 0], np.float32)
