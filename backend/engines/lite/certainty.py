"""How good a followed mask probably is: its IoU with the truth, guessed from signs that the step leaves.

A logistic regression, fitted by `training.scores` on rendered clips, so that scores of different
videos and objects mean the same and a frame that went wrong can be told.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.refiner import Evidence
from backend.engines.lite.view import GRID

Floats = NDArray[np.float32]

_UNSURE = 1.5
"""Logits closer to 0 than that are no answer."""


class Signs(NamedTuple):
    """What a step tells of its mask; each in about [0, 1] or [-1, 1]."""

    firm: float
    """Mean certainty of the evidence on the mask."""
    unsure: float
    """Cells without an answer, over the mask's."""
    stayed: float
    """IoU with the mask carried along the flow."""
    trust: float
    """How far the flow on the carried mask is to be trusted."""
    alike: float
    """Likeness to the references on the mask."""
    unlike: float
    """The same beside it; a look-alike is high."""
    linear: float
    """The linear classifier's answer on the mask."""
    resized: float
    """How far its area is from the usual one, as a logarithm."""
    corrected: float
    """IoU with what the evidence alone would have cut out."""
    age: float
    """How long ago it was last known for sure, as a logarithm."""
    thin: float
    """Share of the mask that lies on its outline, where any outline is a little wrong; small things count as thin."""


class _Weights(NamedTuple):
    bias: float
    signs: Signs


WEIGHTS = _Weights(
    -1.10,
    Signs(
        firm=0.77, unsure=-1.23, stayed=1.08, trust=-0.55, alike=2.04,
        unlike=-0.46, linear=0.72, resized=-0.57, corrected=0.93, age=-0.49, thin=-1.45,
    ),
)  # fmt: skip


def _mean(values: Floats, where: NDArray[np.bool_], default: float) -> float:
    return float(values[where].mean()) if where.any() else default


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def _fitted(soft: Floats, cells: int) -> Floats:
    return np.asarray(cv2.resize(soft, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)


def signs(soft: Floats, logits: Floats, evidence: Evidence, growth: float, age: int, scale: float) -> Signs:
    """Read the signs of a step.

    Args:
        soft: the mask that was found, (GRID, GRID).
        logits: what it was cut from, on the evidence's region.
        evidence: what the cues said.
        growth: the mask's area over the usual one.
        age: steps since a person or another run gave the mask.
        scale: cells a frame pixel.
    """
    roi = evidence.roi
    inside = soft > 0.5
    here = inside[roi]
    count = max(int(inside.sum()), 1)
    carried = evidence.carried > 0.5
    alone = np.zeros((GRID, GRID), np.bool_)
    alone[roi] = evidence.fused > 0
    coarse = _fitted(soft, evidence.first.shape[0])
    beside = cv2.dilate((coarse > 0.2).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    fine = _fitted(soft, evidence.linear.shape[0])
    edge = int((inside & (cv2.erode(inside.view(np.uint8), np.ones((3, 3), np.uint8)) == 0)).sum())
    share = 1 / (1 + np.exp(-np.abs(logits)))
    return Signs(
        firm=_mean(np.asarray(share, np.float32), here, 0.5),
        unsure=min(float((np.abs(logits) < _UNSURE).sum()) / count, 2.0),
        stayed=_overlap(inside, carried),
        trust=_mean(evidence.sure, carried, 0.0),
        alike=_mean(evidence.first, coarse > 0.5, 0.0) / 3,
        unlike=_mean(evidence.first, beside & (coarse < 0.2), -3.0) / 3,
        linear=_mean(evidence.linear, fine > 0.5, 0.0) / 3,
        resized=min(abs(float(np.log(max(growth, 1e-3)))), 2.0),
        corrected=_overlap(inside, alone),
        age=float(np.log1p(age)) / 5,
        # An outline is right to about a pixel, or a cell where that is more.
        thin=min(edge / count * max(scale, 1.0), 1.0),
    )


def likely_iou(read: Signs) -> float:
    """The IoU with the truth that such signs came with, in [0, 1]."""
    total = WEIGHTS.bias + sum(w * s for w, s in zip(WEIGHTS.signs, read, strict=True))
    return float(1 / (1 + np.exp(-total)))
