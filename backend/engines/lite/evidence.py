"""Where a noun is on a picture, by the backbone's own ImageNet classifier.

The classifier answers for square parts of the picture at two scales, and cell by cell in each: that
is a map of heat. Around its hottest place the classifier looks again, closer. The evidence for a
thing is how likely both looks say the noun is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite.backbone import CLASSIFIER_SIZE, Classifier
from backend.engines.lite.finds import PixelBox
from backend.engines.lite.rules import Pixel

Floats = NDArray[np.float32]

_LONG_SIDE = 512
"""Longer side of the picture that is searched; nouns name large things."""
_NARROW = 0.62
"""Side of the closer parts, over the picture's shorter side."""
_NEARLY_SQUARE = 1.15
_BLUR, _CLOSE_BLUR = 0.02, 0.03
_WIDE, _TIGHT = 0.4, 0.55
"""The object is around the cells that are at least so evident, against the most evident one."""
_BASE = 0.05
"""Least weight of a part's opinion on where the object is."""
_ROOM = 1.3
"""Side of the closer look over the longer side of the cells around the heart."""
_SMALLEST = 48


@dataclass(frozen=True, slots=True)
class Sight:
    """A thing that may be the noun, in the frame's pixels.

    Args:
        heart: where the first look is surest.
        close_heart: where the closer look is.
        box: around the most evident cells.
        evidence: how likely it is the noun, in [0, 1]; not a chance yet, see `words.chance`.
    """

    heart: Pixel
    close_heart: Pixel
    box: PixelBox
    evidence: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Likelihoods of all classes on a part of a picture, as a whole (1000,) and by cell (h, w, 1000)."""

    whole: Floats
    cells: Floats

    def of(self, classes: NDArray[np.intp], size: tuple[int, int]) -> tuple[float, Floats]:
        """How likely some classes together are, and that by pixel of the part's (width, height)."""
        cells = np.asarray(self.cells[..., classes].sum(-1), np.float32)
        return float(self.whole[classes].sum()), np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR))


class Survey:
    """A picture (H, W, 3), RGB, as the classifier sees it part by part: serves all nouns asked on it."""

    def __init__(self, classifier: Classifier, picture: Image) -> None:
        self._classifier = classifier
        self.size = picture.shape[1], picture.shape[0]
        self.scale = min(1.0, _LONG_SIDE / max(self.size))
        searched = max(round(self.size[0] * self.scale), 1), max(round(self.size[1] * self.scale), 1)
        self.small = np.asarray(cv2.resize(picture, searched, interpolation=cv2.INTER_AREA), np.uint8)
        self.parts = [(part, self.look(part)) for part in _parts(searched[1], searched[0])]

    def look(self, part: PixelBox) -> Seen:
        """What is seen on a part of the small picture."""
        x0, y0, x1, y1 = part
        side = CLASSIFIER_SIZE
        square = cv2.resize(self.small[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_AREA)
        logits = self._classifier.activations(np.asarray(square, np.uint8))
        return Seen(_shares(logits.mean((0, 1))), _shares(logits))


class Evidence:
    """What a survey says of a noun, by the numbers of its classes."""

    def __init__(self, survey: Survey, classes: NDArray[np.intp]) -> None:
        self._survey = survey
        self._classes = classes
        self.surest = 0.0
        """How likely the noun is on the part of the picture where it is likeliest."""
        height, width = survey.small.shape[:2]
        heat = np.zeros((height, width), np.float32)
        weights = np.full_like(heat, 1e-6)
        for (x0, y0, x1, y1), seen in survey.parts:
            likely, cells = seen.of(classes, (x1 - x0, y1 - y0))
            self.surest = max(self.surest, likely)
            heat[y0:y1, x0:x1] += cells * np.float32(likely + _BASE)
            weights[y0:y1, x0:x1] += np.float32(likely + _BASE)
        blur = _BLUR * max(height, width)
        self._heat = np.asarray(cv2.GaussianBlur(heat / weights, (0, 0), blur), np.float32)
        self._peak = max(float(self._heat.max()), 1e-6)

    def sight(self, taken: BoolMask) -> Sight:
        """The most evident thing outside the pixels (H, W) that are taken already."""
        height, width = self._heat.shape
        heat = self._heat
        if taken.any():
            off = cv2.resize(taken.view(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
            reach = max(int(2 * _BLUR * max(width, height)), 1) * 2 + 1
            heat = np.where(cv2.dilate(off, np.ones((reach, reach), np.uint8)) > 0, np.float32(0), heat)
        heart = _hottest(heat)
        part = self._part_around(_around(heat, _WIDE))
        likely, cells = self._survey.look(part).of(self._classes, (part[2] - part[0], part[3] - part[1]))
        close = cv2.GaussianBlur(cells, (0, 0), _CLOSE_BLUR * max(cells.shape))
        x, y = _hottest(np.asarray(close, np.float32))
        wide = self.surest * float(heat[heart[1], heart[0]]) / self._peak
        return Sight(
            self._pixel(heart),
            self._pixel((x + part[0], y + part[1])),
            self._box(_around(heat, _TIGHT)),
            min((wide + likely) / 2, 1.0),
        )

    def _part_around(self, box: PixelBox) -> PixelBox:
        """A square with some room around a box, as far as the picture goes."""
        height, width = self._heat.shape
        x0, y0, x1, y1 = box
        side = max(min(max(x1 - x0, y1 - y0) * _ROOM, max(height, width)), _SMALLEST)
        left = int(np.clip((x0 + x1 - side) / 2, 0, max(width - side, 0)))
        top = int(np.clip((y0 + y1 - side) / 2, 0, max(height - side, 0)))
        return left, top, max(min(int(left + side), width), left + 1), max(min(int(top + side), height), top + 1)

    def _pixel(self, at: Pixel) -> Pixel:
        """The frame's pixel in the middle of a searched one."""
        x, y = (min(int((v + 0.5) / self._survey.scale), n - 1) for v, n in zip(at, self._survey.size, strict=True))
        return x, y

    def _box(self, box: PixelBox) -> PixelBox:
        left, top = (int(v / self._survey.scale) for v in box[:2])
        right, low = (
            min(round(box[2] / self._survey.scale), self._survey.size[0]),
            min(round(box[3] / self._survey.scale), self._survey.size[1]),
        )
        return left, top, max(right, left + 1), max(low, top + 1)


def _parts(height: int, width: int) -> Iterator[PixelBox]:
    """Squares that cover a picture, and closer ones that overlap by a third."""
    short, long = min(height, width), max(height, width)
    if long < _NEARLY_SQUARE * short:
        yield 0, 0, width, height
    else:
        for start in np.linspace(0, long - short, 3).astype(int).tolist():
            x, y = (start, 0) if width > height else (0, start)
            yield x, y, x + short, y + short
    side = max(int(_NARROW * short), 1)
    columns, rows = (3, 2) if width >= height else (2, 3)
    for y in np.linspace(0, height - side, rows).astype(int).tolist():
        for x in np.linspace(0, width - side, columns).astype(int).tolist():
            yield x, y, x + side, y + side


def _shares(logits: Floats) -> Floats:
    """Softmax over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True), np.float32)


def _hottest(heat: Floats) -> Pixel:
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(column), int(row)


def _around(heat: Floats, share: float) -> PixelBox:
    """The box of the connected cells around the hottest one that are hot by a share of it."""
    column, row = _hottest(heat)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((heat >= share * heat.max()).astype(np.uint8))
    x, y, w, h = (int(v) for v in stats[labels[row, column], :4])
    return x, y, x + w, y + h
