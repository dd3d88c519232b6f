"""Cuts a foreground out of evidence: total variation, weighted by the picture's edges."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_STEP = np.float32(0.35)
"""Primal and dual step; their product times 8 stays below 1, which convergence needs."""

_SPECK = 0.04
"""Parts of a mask smaller than this share of its largest one are specks."""


def squared_length(steps: Floats) -> Floats:
    """Of the vectors of (h, w, n), (h, w); by channel, since numpy is slow to sum over a short last axis."""
    out = np.square(steps[..., 0])
    for channel in range(1, steps.shape[-1]):
        out += np.square(steps[..., channel])
    return out


def edge_weights(lab: Floats, floor: float, sharpness: float = 1.0) -> tuple[Floats, Floats]:
    """What a border between neighbours costs: (h, w-1) across, (h-1, w) down, low at colour edges."""
    across, down = squared_length(lab[:, 1:] - lab[:, :-1]), squared_length(lab[1:] - lab[:-1])
    spread = (float(across.mean()) if across.size else 0.0) + (float(down.mean()) if down.size else 0.0)
    rate = np.float32(-sharpness / (spread + 1e-6))
    return np.exp(across * rate) + np.float32(floor), np.exp(down * rate) + np.float32(floor)


def cut_out(evidence: Floats, across: Floats, down: Floats, strength: float, rounds: int) -> Floats:
    """The smooth foreground, (h, w) in [0, 1], that minimises border cost minus evidence.

    Chambolle and Pock's algorithm for  min over u of  sum g|grad u| - strength * evidence * u.

    Args:
        evidence: logits, (h, w); positive speaks for the foreground.
        across, down: border costs from `edge_weights`.
        strength: weight of the evidence against the borders.
        rounds: iterations.
    """
    pull = evidence * np.float32(strength * _STEP)
    now = 1 / (1 + np.exp(-evidence))
    # The dual is kept divided by its step, so that a round needs no multiplication for it.
    limit_x, limit_y = across / _STEP, down / _STEP
    least_x, least_y = -limit_x, -limit_y
    dual_x, dual_y = np.zeros_like(limit_x), np.zeros_like(limit_y)
    step_x, step_y = np.empty_like(limit_x), np.empty_like(limit_y)
    ahead, new = now.copy(), np.empty_like(now)
    square = _STEP * _STEP
    for _ in range(rounds):
        np.subtract(ahead[:, 1:], ahead[:, :-1], out=step_x)
        dual_x += step_x
        np.minimum(dual_x, limit_x, out=dual_x)
        np.maximum(dual_x, least_x, out=dual_x)
        np.subtract(ahead[1:], ahead[:-1], out=step_y)
        dual_y += step_y
        np.minimum(dual_y, limit_y, out=dual_y)
        np.maximum(dual_y, least_y, out=dual_y)
        new[:, :-1] = dual_x
        new[:, -1] = 0
        new[:, 1:] -= dual_x
        new[:-1] += dual_y
        new[1:] -= dual_y
        new *= square
        new += pull
        new += now
        np.minimum(new, 1, out=new)
        np.maximum(new, 0, out=new)
        np.multiply(new, 2, out=ahead)
        ahead -= now
        now, new = new, now
    return np.asarray(now, np.float32)


def drop_specks(soft: Floats, keep: Sequence[tuple[int, int]] = ()) -> None:
    """Empty a soft mask's (h, w) small parts in place, but those that hold one of the (column, row) to keep."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((soft > 0.5).astype(np.uint8), connectivity=8)
    if count <= 2:
        return
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < _SPECK * areas[1:].max()
    small[[int(labels[y, x]) for x, y in keep]] = False
    small[0] = False
    soft[small[labels]] = 0
