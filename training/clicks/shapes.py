"""Drawn things with exact outlines: blobs, rings, polygons, wires and wheels, thin ones more than annotators draw."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Points = NDArray[np.float64]
_FINER = 4
"""Bits behind the point in OpenCV's drawing."""
_KINDS = ("blob", "polygon", "wires", "wheel")
_WEIGHTS = (0.35, 0.15, 0.3, 0.2)


def draw(rng: np.random.Generator, side: int) -> Floats:
    """How much of each pixel of a (side, side) square a shape somewhere in it covers, in [0, 1]."""
    cover = np.zeros((side, side), np.uint8)
    middle = rng.uniform(0.1 * side, 0.9 * side, 2)
    radius = side * np.exp(rng.uniform(np.log(0.06), np.log(0.4)))
    kind = rng.choice(_KINDS, p=_WEIGHTS)
    if kind == "wires":
        _wires(rng, cover, middle, radius)
    elif kind == "wheel":
        _wheel(rng, cover, middle, radius)
    else:
        _fill(cover, _outline(rng, middle, radius, smooth=kind == "blob"))
        if rng.random() < 0.25:
            hole = middle + rng.uniform(-0.2, 0.2, 2) * radius
            _fill(cover, _outline(rng, hole, radius * rng.uniform(0.25, 0.6), smooth=True), 0)
    return np.asarray(cover.astype(np.float32) / 255, np.float32)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << _FINER)).astype(np.int32)


def _fill(cover: NDArray[np.uint8], points: Points, value: int = 255) -> None:
    cv2.fillPoly(cover, [_fixed(points)], value, cv2.LINE_AA, _FINER)


def _line(cover: NDArray[np.uint8], points: Points, width: int, closed: bool = False) -> None:
    cv2.polylines(cover, [_fixed(points)], closed, 255, width, cv2.LINE_AA, _FINER)


def _outline(rng: np.random.Generator, middle: Points, radius: float, smooth: bool) -> Points:
    """Points around a place, (n, 2): waves of a few lengths, or few corners."""
    if not smooth:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        corners = np.column_stack([np.cos(turns), np.sin(turns)]) * rng.uniform(0.5, 1.2, (len(turns), 1))
        return np.asarray(middle + radius * corners)
    turns = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    away = np.ones(96)
    for waves in range(1, 7):
        away += rng.normal(0, 0.3 / waves) * np.cos(waves * turns + rng.uniform(0, 6.3))
    around = np.column_stack([np.cos(turns), np.sin(turns)]) * np.maximum(away, 0.15)[:, None]
    return np.asarray(middle + radius * around * np.exp(rng.uniform(-0.5, 0.5, 2)))


def _wires(rng: np.random.Generator, cover: NDArray[np.uint8], middle: Points, radius: float) -> None:
    """Bent lines that hang together."""
    start = middle
    for _ in range(rng.integers(2, 7)):
        ends = np.stack([start, *(middle + radius * rng.normal(0, 0.8, (2, 2)))])
        at = np.linspace(0, 1, 24)[:, None]
        bent = (1 - at) ** 2 * ends[0] + 2 * at * (1 - at) * ends[1] + at**2 * ends[2]
        _line(cover, bent, int(rng.integers(2, 9)))
        start = bent[rng.integers(24)]


def _wheel(rng: np.random.Generator, cover: NDArray[np.uint8], middle: Points, radius: float) -> None:
    """A rim with spokes, seen aslant."""
    turns = np.linspace(0, 2 * np.pi, 64, endpoint=False) + rng.uniform(0, 6.3)
    flat = np.column_stack([np.cos(turns), np.sin(turns) * rng.uniform(0.3, 1.0)])
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rim = middle + radius * flat @ turn.T
    _line(cover, rim, int(rng.integers(3, 10)), closed=True)
    width = int(rng.integers(2, 5))
    for spoke in rim[:: int(rng.choice([8, 11, 16, 22]))]:
        _line(cover, np.stack([middle, spoke]), width)
