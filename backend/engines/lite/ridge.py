"""A linear classifier of an object's cells, refitted as the video goes on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.backbone import SIZE
from backend.engines.lite.view import View

Floats = NDArray[np.float32]

CELLS = SIZE // 4
"""Cells across a crop for the classifier."""
_DECAY = np.float32(0.03)
"""Weight decay; the samples' weights sum to 1."""
_EVERY = 5
"""Steps between the cells that are learnt from where nobody marked; no divisor of a row's length, or they line up."""
LIMIT = 3.0


def describe(view: View) -> Floats:
    """How each cell looks at all three taps, and a constant: (CELLS², 177)."""
    size = CELLS, CELLS
    out = np.ones((CELLS, CELLS, 177), np.float32)
    out[..., :24] = view.b2
    out[..., 24:64] = cv2.resize(view.b3, size, interpolation=cv2.INTER_LINEAR)
    out[..., 64:176] = cv2.resize(view.b5, size, interpolation=cv2.INTER_LINEAR)
    return out.reshape(CELLS * CELLS, -1)


@dataclass(frozen=True, slots=True)
class Normal:
    """The sums of a least-squares fit; they add and average where fits can't."""

    gram: Floats
    target: Floats

    @property
    def nbytes(self) -> int:
        return self.gram.nbytes + self.target.nbytes

    def mixed(self, other: Normal, share: float) -> Normal:
        """A weighted mean: `share` of the other."""
        a, b = np.float32(1 - share), np.float32(share)
        return Normal(a * self.gram + b * other.gram, a * self.target + b * other.target)

    def solve(self) -> Floats:
        """The classifier's weights, (177,)."""
        eye = np.eye(len(self.target), dtype=np.float32)
        return np.linalg.solve(self.gram + _DECAY * eye, self.target).astype(np.float32)


def thinned(cells: Floats, cover: Floats) -> tuple[Floats, Floats]:
    """Some of `cells` and of `cover`, spread evenly over the view, as `observe` takes them."""
    return cells[::_EVERY], cover.ravel()[::_EVERY]


def observe(cells: Floats, cover: Floats) -> Normal:
    """The sums for one view: +1 on the object, -1 off it, both sides weighing the same.

    Args:
        cells: `describe` of the view.
        cover: how much of each cell the object covers, (CELLS, CELLS).
    """
    covered = cover.ravel()
    wanted = 2 * covered - 1
    inside = covered > 0.5
    share = min(max(float(inside.mean()), 0.01), 0.99)
    weight = np.where(inside, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)
    weight /= weight.sum()
    weighted: Floats = cells * weight[:, None]
    return Normal(np.asarray(weighted.T @ cells), np.asarray(weighted.T @ wanted))


def classify(view: View, weights: Floats) -> Floats:
    """Logits (CELLS, CELLS) of a view's cells.

    Of coarse taps the answers are enlarged, which comes to the same as enlarging the taps, and is less.
    """
    out = view.b2 @ weights[:24] + weights[176]
    for tap, own in ((view.b3, weights[24:64]), (view.b5, weights[64:176])):
        out += cv2.resize(tap @ own, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(2 * out, -LIMIT, LIMIT), np.float32)
