"""Squares of photographs with one object to cut out, varied: scale, place, colour, blur, things put before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import Photograph, Picture, Target

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDE = 256
_LEAST, _MOST = 150, 0.92
"""Pixels of the object at least; share of the square at most."""
_COARSE = 0.25
"""What pixels count at an outline: the annotations are polygons."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`picture` RGB 0 to 1 (SIDE, SIDE, 3), `mask` (SIDE, SIDE), `weight` of each pixel."""

    picture: Floats
    mask: Mask
    weight: Floats


class Sampler:
    """Endless samples, the same for the same seed."""

    def __init__(self, photographs: list[Photograph], seed: int) -> None:
        self._all = photographs
        self._rng = np.random.default_rng(seed)

    def sample(self) -> Sample:
        while True:
            photograph, target = self._pick()
            made = self._square(photograph, target)
            if made is None:
                continue
            picture, mask = made
            if self._rng.random() < 0.4:
                picture, mask = self._put_before(picture, mask)
            if mask.sum() >= _LEAST and mask.mean() <= _MOST:
                return self._varied(picture, mask)

    def _pick(self) -> tuple[Photograph, Target]:
        photograph = self._all[self._rng.integers(len(self._all))]
        sizes = np.sqrt([t.area for t in photograph.targets])
        return photograph, photograph.targets[self._rng.choice(len(sizes), p=sizes / sizes.sum())]

    def _square(self, photograph: Photograph, target: Target) -> tuple[Picture, Mask] | None:
        """A square around the object: from close up to four times as wide, somewhat stretched and turned."""
        rng = self._rng
        x0, y0, x1, y1 = target.box
        height, width = photograph.labels.shape
        side = max(max(x1 - x0, y1 - y0) * np.exp(rng.uniform(np.log(1.05), np.log(4.0))), 64)
        stretch = np.exp(rng.uniform(-0.3, 0.3))
        wide, high = min(side * stretch, width), min(side / stretch, height)
        # The object lies in the square, or most of it does.
        left, top = self._start(x0, x1, wide, width), self._start(y0, y1, high, height)
        angle = rng.uniform(-0.35, 0.35) if rng.random() < 0.35 else 0.0
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([wide / SIDE, high / SIDE])
        middle = np.array([left + wide / 2, top + high / 2]) - 0.5
        matrix = np.column_stack([turn, middle - turn @ np.full(2, (SIDE - 1) / 2)]).astype(np.float32)
        picture = photograph.picture
        if max(wide, high) > 1.5 * SIDE:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.4 * max(wide, high) / SIDE), np.uint8)
        size = SIDE, SIDE
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        here = (photograph.labels == target.value).astype(np.float32)
        mask = cv2.warpAffine(here, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101) > 0.5
        return (np.asarray(out, np.uint8), np.asarray(mask)) if mask.sum() >= _LEAST else None

    def _start(self, a: int, b: int, span: float, limit: int) -> float:
        low, high = (b - span, float(a)) if span >= b - a else (float(a), b - span)
        slack = 0.1 * span
        return float(np.clip(self._rng.uniform(low - slack, high + slack), 0, limit - span))

    def _put_before(self, picture: Picture, mask: Mask) -> tuple[Picture, Mask]:
        """Another picture's object laid over it: in the way, or itself what is to be cut out."""
        rng = self._rng
        photograph, target = self._pick()
        x0, y0, x1, y1 = target.box
        scale = np.sqrt(rng.uniform(0.03, 0.3) * SIDE * SIDE / target.area)
        angle, mirror = rng.uniform(-0.5, 0.5), 1 if rng.random() < 0.5 else -1
        shear = rng.uniform(-0.25, 0.25)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[mirror, shear], [0, 1]])
        to = rng.uniform(0.05 * SIDE, 0.95 * SIDE, 2)
        matrix = np.column_stack([turn, to - turn @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])]).astype(np.float32)
        size = SIDE, SIDE
        layer = cv2.warpAffine(photograph.picture, matrix, size, flags=cv2.INTER_LINEAR)
        alone = (photograph.labels == target.value).astype(np.float32)
        cover = np.asarray(cv2.warpAffine(alone, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
        if rng.random() < 0.3:
            layer, cover = self._bent(np.asarray(layer, np.uint8), cover)
        hard = cover > 0.5
        left = mask & ~hard
        itself = hard.sum() >= _LEAST and (rng.random() < 0.65 or left.sum() < 0.6 * mask.sum())
        if not itself and left.sum() < 0.6 * mask.sum():
            return picture, mask
        if rng.random() < 0.7:
            cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.5, 1.2)), np.float32)
        share = cover[..., None]
        mixed = picture * (1 - share) + np.asarray(layer, np.float32) * rng.uniform(0.8, 1.2) * share
        return np.clip(mixed, 0, 255).astype(np.uint8), np.asarray(hard if itself else left)

    def _bent(self, layer: Picture, cover: Floats) -> tuple[Picture, Floats]:
        """Waves across a cut-out: outlines that no annotator drew."""
        rng = self._rng
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        moved = []
        for lines, other in ((columns, rows), (rows, columns)):
            wave = rng.uniform(2, 7) * np.sin(other * rng.uniform(0.02, 0.07) + rng.uniform(0, 6.3))
            moved.append((lines + wave).astype(np.float32))
        return (
            np.asarray(cv2.remap(layer, moved[0], moved[1], cv2.INTER_LINEAR), np.uint8),
            np.asarray(cv2.remap(cover, moved[0], moved[1], cv2.INTER_LINEAR), np.float32),
        )

    def _varied(self, picture: Picture, mask: Mask) -> Sample:
        rng = self._rng
        flat = mask.astype(np.uint8)
        edge = cv2.dilate(flat, np.ones((5, 5), np.uint8)) != cv2.erode(flat, np.ones((5, 5), np.uint8))
        weight = np.where(edge, np.float32(_COARSE), np.float32(1))
        out: NDArray[np.floating[Any]] = picture.astype(np.float32) / 255
        if rng.random() < 0.5:
            out, mask, weight = out[:, ::-1], mask[:, ::-1], weight[:, ::-1]
        if rng.random() < 0.05:
            out, mask, weight = out[::-1], mask[::-1], weight[::-1]
        if rng.random() < 0.8:
            out = out * rng.uniform(0.6, 1.4) + rng.uniform(-0.1, 0.1)
            grey = out.mean(-1, keepdims=True)
            out = grey + (out - grey) * rng.uniform(0.3, 1.6)
            out = out * rng.uniform(0.88, 1.12, 3)
            if rng.random() < 0.08:
                out = np.repeat(grey, 3, -1)
        if rng.random() < 0.2:
            out = np.asarray(cv2.GaussianBlur(np.ascontiguousarray(out, np.float32), (0, 0), rng.uniform(0.5, 1.8)))
        if rng.random() < 0.15:
            out = out + rng.normal(0, 0.03, (SIDE, SIDE, 1))
        return Sample(
            np.ascontiguousarray(np.clip(out, 0, 1), np.float32),
            np.ascontiguousarray(mask),
            np.ascontiguousarray(weight),
        )
