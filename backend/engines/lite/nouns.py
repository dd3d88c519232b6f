"""Finds things by nouns, with the backbone's own ImageNet classifier.

The classifier answers for square parts of the picture at two scales; a noun is there where the
classes that it covers together are likely enough. Where it is comes from the same answers cell by
cell. One thing a picture, the most evident; which nouns are worth asking for was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Image
from backend.engines.lite.backbone import CLASSIFIER_SIZE, Classifier
from backend.engines.lite.finds import Find, PixelBox

Floats = NDArray[np.float32]

_LONG_SIDE = 512
"""Longer side of the picture that is searched; nouns name large things."""
_NARROW = 0.62
"""Side of the closer parts, over the picture's shorter side."""
_NEARLY_SQUARE = 1.15
_BLUR = 0.02
_HEART = 0.4
"""The object is around the cells that are at least so evident, against the most evident one."""
_BASE = 0.05
"""Least weight of a part's opinion on where the object is."""


@dataclass(frozen=True, slots=True)
class Noun:
    """ImageNet classes (numbers) that together mean a noun, and how likely they must be."""

    classes: tuple[range, ...]
    bar: float
    also: tuple[str, ...] = ()


NOUNS: Mapping[str, Noun] = {
    "dog": Noun((range(151, 269),), 0.65, ("puppy",)),
    "cat": Noun((range(281, 286),), 0.3, ("kitten",)),
    "bird": Noun((range(7, 25), range(80, 101), range(127, 147)), 0.5),
    "bear": Noun((range(294, 298),), 0.3),
    "elephant": Noun((range(101, 102), range(385, 387)), 0.3),
    "zebra": Noun((range(340, 341),), 0.3),
    "airplane": Noun((range(404, 405), range(895, 896)), 0.3, ("plane", "aeroplane", "aircraft")),
    "bus": Noun((range(654, 655), range(779, 780), range(874, 875)), 0.35),
    "train": Noun((range(466, 467), range(547, 548), range(705, 706), range(820, 821)), 0.3, ("locomotive",)),
}
"""Chosen on 126 photographs of COCO: none of them saw a noun where there was none above its bar."""


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


def find_noun(classifier: Classifier, noun: Noun, picture: Image) -> list[Find]:
    """The most evident thing of a noun on an RGB picture, or none."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    classes = np.concatenate([np.arange(r.start, r.stop) for r in noun.classes])
    heat = np.zeros((size[1], size[0]), np.float32)
    weights = np.full_like(heat, 1e-6)
    surest = 0.0
    for x0, y0, x1, y1 in _parts(size[1], size[0]):
        part = cv2.resize(small[y0:y1, x0:x1], (CLASSIFIER_SIZE, CLASSIFIER_SIZE), interpolation=cv2.INTER_AREA)
        logits = classifier.activations(np.asarray(part, np.uint8))
        likely = float(_shares(logits.mean((0, 1)))[classes].sum())
        cells = _shares(logits)[..., classes].sum(-1)
        surest = max(surest, likely)
        here = cv2.resize(cells, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        heat[y0:y1, x0:x1] += np.asarray(here, np.float32) * np.float32(likely + _BASE)
        weights[y0:y1, x0:x1] += np.float32(likely + _BASE)
    if surest < noun.bar:
        return []
    box = _heart(np.asarray(cv2.GaussianBlur(heat / weights, (0, 0), _BLUR * max(size)), np.float32))
    left, top = (int(v / scale) for v in box[:2])
    right, low = min(round(box[2] / scale), width), min(round(box[3] / scale), height)
    return [Find((left, top, max(right, left + 1), max(low, top + 1)), min(surest, 1.0))]


def _heart(heat: Floats) -> PixelBox:
    """The box of the connected cells around the hottest one."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((heat >= _HEART * heat.max()).astype(np.uint8))
    x, y, w, h = (int(v) for v in stats[labels[row, column], :4])
    return x, y, x + w, y + h
