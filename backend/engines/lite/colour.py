"""Global colours: two histograms, of the object and of its surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BINS = 16
_SCALE = np.array([_BINS / 0.8, _BINS / 1.6, _BINS / 1.6], np.float32)
_SHIFT = np.array([0, _BINS / 2, _BINS / 2], np.float32)


def bins(lab: Floats) -> NDArray[np.intp]:
    """Histogram bins of Lab colours (..., 3) as `view.lab_of` scales them."""
    scaled = lab * _SCALE + _SHIFT
    parts = np.clip(scaled, 0, _BINS - 1).astype(np.intp)
    return np.asarray((parts[..., 0] * _BINS + parts[..., 1]) * _BINS + parts[..., 2])


def smoothed(histogram: Floats) -> Floats:
    """A histogram (BINS³,) blurred by about 0.7 bins."""
    cube = histogram.reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        padded = np.moveaxis(np.pad(cube, [(1, 1) if i == axis else (0, 0) for i in range(3)]), axis, 0)
        mixed = np.float32(0.58) * padded[1:-1] + np.float32(0.21) * (padded[:-2] + padded[2:])
        cube = np.moveaxis(mixed, 0, axis)
    return cube.reshape(-1)


class Colours:
    """How often each colour is the object's; follows slow changes."""

    def __init__(self, lab: Floats, soft: Floats) -> None:
        self._fore, self._back = _counts(lab, soft)
        self._table = _ratio(self._fore, self._back)

    @property
    def nbytes(self) -> int:
        return self._fore.nbytes + self._back.nbytes + self._table.nbytes

    def update(self, lab: Floats, soft: Floats, share: float = 0.1) -> None:
        """Take a new frame in, with that share."""
        fore, back = _counts(lab, soft)
        self._fore = (1 - share) * self._fore + share * fore
        self._back = (1 - share) * self._back + share * back
        self._table = _ratio(self._fore, self._back)

    def likely(self, lab: Floats) -> Floats:
        """The object's share of each colour, (h, w) in [0, 1]."""
        return np.asarray(self._table[bins(lab)], np.float32)


def _counts(lab: Floats, soft: Floats) -> tuple[Floats, Floats]:
    """Shares of the colours on (soft > .85) and off (soft < .15) the object."""
    where, flat = bins(lab).ravel(), soft.ravel()
    out = []
    for chosen in (flat > 0.85, flat < 0.15):
        count = np.bincount(where[chosen], minlength=_BINS**3).astype(np.float32)
        out.append(count / max(float(count.sum()), 1.0))
    return out[0], out[1]


def _ratio(fore: Floats, back: Floats) -> Floats:
    a, b = smoothed(fore), smoothed(back)
    tiny = np.float32(1e-5)
    return (a + tiny) / (a + b + 2 * tiny)
