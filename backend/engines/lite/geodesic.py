"""Geodesic distance: how far apart places are when crossing a colour edge costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask

Floats = NDArray[np.float32]

_FAR = np.float32(1e6)


def _cost(lab: Floats, down: int, right: int, step: float) -> Floats:
    """The cost of a step to the neighbour `down` rows below and `right` columns to the right."""
    height, width = lab.shape[:2]
    near = lab[: height - down, max(-right, 0) : width - max(right, 0)]
    far = lab[down:, max(right, 0) : width + min(right, 0)]
    length = np.float32(step * step * (down * down + right * right))
    return np.asarray(np.sqrt(np.square(near - far).sum(-1) + length), np.float32)


class _Sweep:
    """Relaxes distances row by row, down and up, over the three neighbours in the next row."""

    def __init__(self, lab: Floats, step: float) -> None:
        self._straight = _cost(lab, 1, 0, step)
        self._right = _cost(lab, 1, 1, step)
        self._left = _cost(lab, 1, -1, step)

    def run(self, distance: Floats) -> None:
        """In place; `distance` is (n, h, w), n maps at once."""
        height = distance.shape[1]
        for row in range(1, height):
            self._pass(distance[:, row - 1], distance[:, row], row - 1, downwards=True)
        for row in range(height - 2, -1, -1):
            self._pass(distance[:, row + 1], distance[:, row], row, downwards=False)

    def _pass(self, source: Floats, target: Floats, edge: int, downwards: bool) -> None:
        np.minimum(target, source + self._straight[edge], out=target)
        right, left = self._right[edge], self._left[edge]
        if not downwards:
            # Upwards the same diagonals are walked the other way.
            right, left = left, right
        np.minimum(target[:, 1:], source[:, :-1] + right, out=target[:, 1:])
        np.minimum(target[:, :-1], source[:, 1:] + left, out=target[:, :-1])


def distances(lab: Floats, seeds: tuple[BoolMask, ...], step: float, rounds: int) -> Floats:
    """The distance of every pixel to each of some seed sets: (len(seeds), h, w).

    Args:
        lab: colours, (h, w, 3).
        seeds: masks (h, w); an empty one is infinitely far away.
        step: the cost of a step of one pixel where the colour stays.
        rounds: sweeps in each of the four directions; more follow more winding paths.
    """
    out = np.stack([np.where(s, np.float32(0), _FAR) for s in seeds]).astype(np.float32)
    rows = _Sweep(lab, step)
    columns = _Sweep(np.ascontiguousarray(lab.transpose(1, 0, 2)), step)
    for _ in range(rounds):
        rows.run(out)
        turned = np.ascontiguousarray(out.transpose(0, 2, 1))
        columns.run(turned)
        out = np.ascontiguousarray(turned.transpose(0, 2, 1))
    return out
