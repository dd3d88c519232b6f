"""Cues: what speaks for each cell being the object, as logits, and how they are weighed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.bilateral import Roi, local_colour
from backend.engines.lite.scene import Scene
from backend.engines.lite.solve import squared_length
from backend.engines.lite.view import GRID, Crop, View

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """The fusion, by logistic regression on runs of this tracker's prototype.

    Fitted anew on runs of this one over DAVIS train they were worse on sequences held back (J .766
    against .786): what a run gets right by itself looks too certain to a fit.
    """

    bias: float = -1.0
    carried: float = 0.1
    """The mask carried along the flow, where the flow is sure."""
    doubtful: float = -0.1
    """The same where it is not."""
    local: float = 0.36
    colour: float = 0.42
    distance: float = 0.15
    reference: float = 0.8
    memory: float = 0.4
    linear: float = 0.87


FUSION = Weights()
LIMIT = 6.0
"""Fused logits end here."""
_JUMP = 1.5
"""Times its area by which an object hardly grows or shrinks from one frame to the next."""


def logit(share: Floats, least: float = 0.02) -> Floats:
    """log(p / (1 - p)), p kept that far from 0 and 1."""
    kept = np.clip(share, least, 1 - least)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


def sigmoid(values: Floats) -> Floats:
    return (1 / (1 + np.exp(-values))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Past:
    """An object on the frame before: its crop, the crop's colours, its soft mask there."""

    crop: Crop
    lab: Floats
    soft: Floats


def _positions(crop: Crop, cells: int) -> tuple[Floats, Floats]:
    """Frame positions of a crop's cell centres, (cells, cells) each."""
    step = np.float32(crop.side / cells)
    line = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5)
    x, y = np.meshgrid(line + np.float32(crop.x), line + np.float32(crop.y))
    return x, y


def _into(crop: Crop, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Frame positions in a crop's cells."""
    scale, half = np.float32(crop.scale), np.float32(0.5)
    return (x + np.float32(0.5 - crop.x)) * scale - half, (y + np.float32(0.5 - crop.y)) * scale - half


def origins(scene: Scene, past: Past, crop: Crop, cells: int = GRID) -> tuple[Floats, Floats]:
    """Where a crop's cells were: positions in the past's crop cells, (cells, cells) each."""
    assert scene.flow is not None
    x, y = _positions(crop, cells)
    back = scene.flow.sample(scene.flow.back, crop, cells)
    return _into(past.crop, x + back[..., 0], y + back[..., 1])


def carry(past: Past, where: tuple[Floats, Floats]) -> Floats:
    """The past's soft mask, moved along the flow."""
    out = cv2.remap(past.soft, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(out, np.float32)


def certainty(scene: Scene, past: Past, view: View, where: tuple[Floats, Floats]) -> Floats:
    """How far to trust the carried mask: both flows agree and the colour stayed. (GRID, GRID)."""
    assert scene.flow is not None
    trust = scene.flow.spread(scene.trust(), view.crop)
    was = cv2.remap(past.lab, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = squared_length(was - view.lab)
    return np.asarray(trust * np.exp(change * np.float32(-50)), np.float32)


def moved_colours(scene: Scene, past: Past, view: View, roi: Roi) -> tuple[Floats, Floats]:
    """`local_colour` of a region, from the past's cells moved along the flow."""
    assert scene.flow is not None
    x, y = _positions(past.crop, GRID)
    ahead = scene.flow.sample(scene.flow.ahead, past.crop)
    cx, cy = _into(view.crop, x + ahead[..., 0], y + ahead[..., 1])
    rows, cols = roi
    old = (cx.ravel() - cols.start, cy.ravel() - rows.start, past.lab.reshape(-1, 3), past.soft.ravel())
    return local_colour(old, view.lab[roi], (rows.stop - rows.start, cols.stop - cols.start))


def jumped(carried: Floats, soft: Floats) -> bool:
    """Whether a mask is suddenly another size than the one that the flow carried there, if it carried any."""
    was, now = int((carried > 0.5).sum()), int((soft > 0.5).sum())
    return was > 0 and max(was, now) > _JUMP * min(was, now)


def signed_distance(carried: Floats, scale: float) -> Floats:
    """How deep inside (positive) or outside a soft mask each cell lies, in `scale` cells, within ±3."""
    inside = (carried > 0.5).astype(np.uint8)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    return np.asarray(np.clip((deep - away) / scale, -3, 3), np.float32)


def enlarge(cue: Floats) -> Floats:
    """A coarse cue map over the crop, on its grid."""
    return np.asarray(cv2.resize(cue, (GRID, GRID), interpolation=cv2.INTER_LINEAR), np.float32)
