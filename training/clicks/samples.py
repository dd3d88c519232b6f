"""Squares of photographs with one object to cut out, varied: scale, place, colour, blur, things put before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.clicks import shapes
from training.data import Photograph, Picture, Target

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parts = NDArray[np.uint8]

SIDE = 256
_LEAST, _MOST = 150, 0.92
"""Pixels of the object at least; share of the square at most."""
_COARSE = 0.25
"""What pixels count at an outline: the annotations are polygons."""
_TOGETHER = 0.2
"""How often what touches an object is wanted with it: a rider and the horse, a hand and the phone."""
_TOUCHING = 5
"""Pixels between outlines of things that touch."""
_DRAWN = 0.3
"""How often what is laid over a picture is a drawn shape."""
_FIRST, _OTHER = 1, 2
"""Values in `Parts`: the object, and what is wanted together with it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`picture` RGB 0 to 1 (side, side, 3), `mask` (side, side), `weight` of each pixel.

    `first` is the part of the mask that one click means; all of it, unless several things are wanted together.
    """

    picture: Floats
    mask: Mask
    first: Mask
    weight: Floats


class Sampler:
    """Endless samples, the same for the same seed, `side` pixels square."""

    def __init__(self, photographs: list[Photograph], seed: int, side: int = SIDE) -> None:
        self._all = photographs
        self._rng = np.random.default_rng(seed)
        self.side = side

    def sample(self) -> Sample:
        while True:
            photograph, target = self._pick()
            made = self._square(photograph, target)
            if made is None:
                continue
            (picture, parts), exact = made, False
            if self._rng.random() < 0.4:
                picture, parts, exact = self._put_before(picture, parts)
            mask = parts > 0
            if mask.sum() >= self._least and mask.mean() <= _MOST:
                return self._varied(picture, parts, exact)

    @property
    def _least(self) -> float:
        return _LEAST * (self.side / SIDE) ** 2

    def _pick(self) -> tuple[Photograph, Target]:
        photograph = self._all[self._rng.integers(len(self._all))]
        sizes = np.sqrt([t.area for t in photograph.targets])
        return photograph, photograph.targets[self._rng.choice(len(sizes), p=sizes / sizes.sum())]

    def _wanted(self, photograph: Photograph, target: Target) -> tuple[Parts, tuple[int, int, int, int]]:
        """What is to be cut out of a photograph, (H, W), and its box; now and then with what touches it."""
        parts = np.where(photograph.labels == target.value, np.uint8(_FIRST), np.uint8(0))
        if self._rng.random() >= _TOGETHER:
            return parts, target.box
        reach = cv2.dilate(parts, np.ones((_TOUCHING, _TOUCHING), np.uint8)) > 0
        for other in photograph.targets:
            there = photograph.labels == other.value
            if other.value != target.value and (there & reach).any():
                parts[there] = _OTHER
        x, y, w, h = cv2.boundingRect(parts)
        return parts, (x, y, x + w, y + h)

    def _square(self, photograph: Photograph, target: Target) -> tuple[Picture, Parts] | None:
        """A square around the object: from close up to four times as wide, somewhat stretched and turned."""
        rng = self._rng
        wanted, (x0, y0, x1, y1) = self._wanted(photograph, target)
        height, width = wanted.shape
        side = max(max(x1 - x0, y1 - y0) * np.exp(rng.uniform(np.log(1.05), np.log(4.0))), 64)
        stretch = np.exp(rng.uniform(-0.3, 0.3))
        wide, high = min(side * stretch, width), min(side / stretch, height)
        # The object lies in the square, or most of it does.
        left, top = self._start(x0, x1, wide, width), self._start(y0, y1, high, height)
        angle = rng.uniform(-0.35, 0.35) if rng.random() < 0.35 else 0.0
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([wide / self.side, high / self.side])
        middle = np.array([left + wide / 2, top + high / 2]) - 0.5
        matrix = np.column_stack([turn, middle - turn @ np.full(2, (self.side - 1) / 2)]).astype(np.float32)
        picture = photograph.picture
        if max(wide, high) > 1.5 * self.side:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.4 * max(wide, high) / self.side), np.uint8)
        out = self._warped(picture, matrix, cv2.INTER_LINEAR)
        covers = [self._warped((wanted == k).astype(np.float32), matrix, cv2.INTER_LINEAR) for k in (_FIRST, _OTHER)]
        inside = covers[0] + covers[1] > 0.5
        parts = np.where(inside, np.where(covers[1] > covers[0], _OTHER, _FIRST), 0).astype(np.uint8)
        return (np.asarray(out, np.uint8), parts) if inside.sum() >= self._least else None

    def _warped(self, source: NDArray[Any], matrix: Floats, how: int) -> NDArray[Any]:
        size = self.side, self.side
        out = cv2.warpAffine(source, matrix, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(out)

    def _start(self, a: int, b: int, span: float, limit: int) -> float:
        low, high = (b - span, float(a)) if span >= b - a else (float(a), b - span)
        slack = 0.1 * span
        return float(np.clip(self._rng.uniform(low - slack, high + slack), 0, limit - span))

    def _put_before(self, picture: Picture, parts: Parts) -> tuple[Picture, Parts, bool]:
        """Something laid over it: in the way, or itself what is to be cut out; and whether its outline is exact."""
        rng = self._rng
        drawn = rng.random() < _DRAWN
        if drawn:
            layer, cover = self._texture(), shapes.draw(rng, self.side)
        else:
            layer, cover = self._cut_out()
        hard = cover > 0.5
        left = np.where(hard, np.uint8(0), parts)
        covered = (left > 0).sum() < 0.6 * (parts > 0).sum()
        itself = hard.sum() >= self._least and (rng.random() < 0.65 or covered)
        if not itself and covered:
            return picture, parts, False
        if rng.random() < 0.7:
            cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.5, 1.2)), np.float32)
        share = cover[..., None]
        mixed = picture * (1 - share) + np.asarray(layer, np.float32) * rng.uniform(0.8, 1.2) * share
        wanted = np.where(hard, np.uint8(_FIRST), np.uint8(0)) if itself else left
        return np.clip(mixed, 0, 255).astype(np.uint8), wanted, drawn and itself

    def _cut_out(self) -> tuple[Picture, Floats]:
        """Another picture's object somewhere in the square, turned, sheared, bent, and how much it covers."""
        rng = self._rng
        photograph, target = self._pick()
        x0, y0, x1, y1 = target.box
        scale = np.sqrt(rng.uniform(0.03, 0.3) * self.side**2 / target.area)
        angle, mirror = rng.uniform(-0.5, 0.5), 1 if rng.random() < 0.5 else -1
        shear = rng.uniform(-0.25, 0.25)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[mirror, shear], [0, 1]])
        to = rng.uniform(0.05 * self.side, 0.95 * self.side, 2)
        matrix = np.column_stack([turn, to - turn @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])]).astype(np.float32)
        size = self.side, self.side
        layer = np.asarray(cv2.warpAffine(photograph.picture, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
        alone = (photograph.labels == target.value).astype(np.float32)
        cover = np.asarray(cv2.warpAffine(alone, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
        return self._bent(layer, cover) if rng.random() < 0.3 else (layer, cover)

    def _texture(self) -> Picture:
        """A piece of another picture, in other colours; half the time blurred until little but colour is left."""
        rng = self._rng
        source = self._all[rng.integers(len(self._all))].picture
        span = int(min(source.shape[:2]) * rng.uniform(0.2, 0.9))
        top, left = (int(rng.integers(n - span + 1)) for n in source.shape[:2])
        piece = cv2.resize(source[top : top + span, left : left + span], (self.side, self.side))
        if rng.random() < 0.5:
            piece = cv2.GaussianBlur(piece, (0, 0), rng.uniform(4, 24) * self.side / SIDE)
        mixed = piece.astype(np.float32) * rng.uniform(0.5, 1.5, 3) + rng.uniform(-40, 40)
        return np.clip(mixed, 0, 255).astype(np.uint8)

    def _bent(self, layer: Picture, cover: Floats) -> tuple[Picture, Floats]:
        """Waves across a cut-out: outlines that no annotator drew."""
        rng = self._rng
        rows, columns = np.mgrid[: self.side, : self.side].astype(np.float32)
        moved = []
        for lines, other in ((columns, rows), (rows, columns)):
            wave = rng.uniform(2, 7) * np.sin(other * rng.uniform(0.02, 0.07) + rng.uniform(0, 6.3))
            moved.append((lines + wave).astype(np.float32))
        return (
            np.asarray(cv2.remap(layer, moved[0], moved[1], cv2.INTER_LINEAR), np.uint8),
            np.asarray(cv2.remap(cover, moved[0], moved[1], cv2.INTER_LINEAR), np.float32),
        )

    def _varied(self, picture: Picture, parts: Parts, exact: bool) -> Sample:
        rng = self._rng
        flat = np.minimum(parts, 1)
        edge = cv2.dilate(flat, np.ones((5, 5), np.uint8)) != cv2.erode(flat, np.ones((5, 5), np.uint8))
        weight = np.where(edge & (not exact), np.float32(_COARSE), np.float32(1))
        out: NDArray[np.floating[Any]] = picture.astype(np.float32) / 255
        if rng.random() < 0.5:
            out, parts, weight = out[:, ::-1], parts[:, ::-1], weight[:, ::-1]
        if rng.random() < 0.05:
            out, parts, weight = out[::-1], parts[::-1], weight[::-1]
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
            out = out + rng.normal(0, 0.03, (self.side, self.side, 1))
        return Sample(
            np.ascontiguousarray(np.clip(out, 0, 1), np.float32),
            np.ascontiguousarray(parts > 0),
            # What covers the first part may leave none of it: then the rest is what one click means.
            np.ascontiguousarray(parts == _FIRST) if (parts == _FIRST).any() else np.ascontiguousarray(parts > 0),
            np.ascontiguousarray(weight),
        )
