"""Colours of a still picture: histograms over seeds, and the likeness to the nearest seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask

Floats = NDArray[np.float32]

_BINS = 24
_SCALE = np.array([20, 12, 12], np.float32)
_SHIFT = np.array([0, 10, 10], np.float32)
_KNOWN = 160
"""Seed colours to compare with, at most."""


class Palette:
    """A picture's colours (h, w, 3), in bins of a histogram."""

    def __init__(self, lab: Floats) -> None:
        scaled = lab * _SCALE + _SHIFT
        parts = np.clip(scaled, 0, _BINS - 1).astype(np.intp)
        self._bins: NDArray[np.intp] = (parts[..., 0] * _BINS + parts[..., 1]) * _BINS + parts[..., 2]

    @property
    def nbytes(self) -> int:
        return self._bins.nbytes

    def contrast(self, fore: NDArray[np.intp], back: NDArray[np.intp]) -> Floats:
        """How much likelier each pixel's colour is under one count than the other: (h, w), ±1."""
        a, b = (_smooth(count)[self._bins] for count in (fore, back))
        tiny = np.float32(2e-5)
        return np.asarray(np.clip(np.log((a + tiny) / (b + tiny)), -3, 3) / 3, np.float32)

    def count(self, *masks: BoolMask) -> NDArray[np.intp]:
        """How often each bin occurs in some masks (h, w) together."""
        total = np.zeros(_BINS**3, np.intp)
        for mask in masks:
            total += np.bincount(self._bins[mask], minlength=_BINS**3)
        return total


def _smooth(count: NDArray[np.intp]) -> Floats:
    """Shares, blurred by one bin."""
    cube = count.astype(np.float32).reshape(_BINS, _BINS, _BINS) / max(int(count.sum()), 1)
    taps = np.exp(-0.5 * np.arange(-3, 4, dtype=np.float32) ** 2)
    taps /= taps.sum()
    for axis in range(3):
        width = [(3, 3) if i == axis else (0, 0) for i in range(3)]
        padded = np.moveaxis(np.pad(cube, width, mode="symmetric"), axis, 0)
        mixed = np.zeros((_BINS, _BINS, _BINS), np.float32)
        for i, tap in enumerate(taps):
            mixed += tap * padded[i : i + _BINS]
        cube = np.ascontiguousarray(np.moveaxis(mixed, 0, axis))
    return np.asarray(cube.reshape(-1), np.float32)


def nearest(lab: Floats, seeds: BoolMask) -> Floats:
    """The distance of each colour (h, w, 3) to the nearest colour under `seeds` (h, w)."""
    known = lab[seeds]
    if not len(known):
        return np.full(lab.shape[:2], 10, np.float32)
    if len(known) > _KNOWN:
        known = known[np.random.default_rng(0).choice(len(known), _KNOWN, replace=False)]
    flat = lab.reshape(-1, 3)
    square = flat @ (np.float32(-2) * known.T)
    square += np.square(known).sum(1)
    least = square.min(1) + np.square(flat).sum(1)
    return np.asarray(np.sqrt(np.maximum(least, 0)), np.float32).reshape(lab.shape[:2])
