"""What the refiner learns from: the tracker's own runs over rendered clips, with its own mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.backbone import Backbone
from backend.engines.lite.flow import Motion, to_grey
from backend.engines.lite.refiner import Evidence, inputs
from backend.engines.lite.scene import Scene
from backend.engines.lite.tracker import Track
from backend.engines.lite.view import FINE, View, cut_mask
from training.tracker.render import Clip, Mask

Floats = NDArray[np.float32]

_LOST = 0.45
"""IoU below which the track is put back on the object: what follows would teach nothing."""


@dataclass(slots=True)
class Examples:
    """Rows of the network's inputs by name, half precision, and the truth (n, FINE, FINE), uint8 0 to 255."""

    rows: dict[str, list[NDArray[np.float16]]] = field(default_factory=dict)
    truth: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(self, given: dict[str, Floats], truth: Floats) -> None:
        for name, value in given.items():
            self.rows.setdefault(name, []).append(value[0].astype(np.float16))
        self.truth.append((truth * 255).astype(np.uint8))


class _Recorder:
    """Keeps what the network would have been asked; a `Refine` that corrects nothing."""

    def __init__(self) -> None:
        self.last: tuple[View, dict[str, Floats]] | None = None

    def __call__(self, view: View, evidence: Evidence) -> None:
        self.last = view, dict(inputs(view, evidence))


def walk(backbone: Backbone, clip: Clip, track: Track) -> Iterator[tuple[Scene, Mask]]:
    """Put a track on a clip's object and step along; each frame and the object's true mask on it."""
    track.seed(Scene(backbone, clip.frames[0], None), clip.masks[0], sure=True)
    motion, grey = Motion(), to_grey(clip.frames[0])
    for picture, mask in zip(clip.frames[1:], clip.masks[1:], strict=True):
        now = to_grey(picture)
        scene = Scene(backbone, picture, motion.between(grey, now, (picture.shape[0], picture.shape[1])))
        grey = now
        track.step(scene)
        yield scene, mask


def roll_out(backbone: Backbone, clip: Clip, rng: np.random.Generator, out: Examples) -> float:
    """Track a clip's object and keep an example a frame; the mean IoU (coarse, on the crop's grid)."""
    recorder = _Recorder()
    track = Track(1, rng, recorder)
    overlaps = []
    for scene, mask in walk(backbone, clip, track):
        past = track.shape
        if recorder.last is None or past is None:
            break
        view, given = recorder.last
        out.add(given, cut_mask(mask, view.crop, FINE))
        truth = cut_mask(mask, past.crop) > 0.5
        found = past.soft > 0.5
        overlap = float((truth & found).sum() / max((truth | found).sum(), 1))
        overlaps.append(overlap)
        if mask.sum() < 60:
            break
        if overlap < _LOST:
            track.seed(scene, mask, sure=False)
        elif rng.random() < 0.15:
            _smudge(past.soft, rng)
    return float(np.mean(overlaps)) if overlaps else 1.0


def _smudge(soft: Floats, rng: np.random.Generator) -> None:
    """A hole in the mask, or a blot beside it: mistakes to recover from."""
    rows, cols = np.nonzero(soft > 0.5)
    if len(rows) < 30:
        return
    pick = rng.integers(len(rows))
    size = np.sqrt(len(rows))
    value = float(rng.random() < 0.5)
    off = value * 0.35 * size * rng.normal(0, 1, 2)
    centre = int(cols[pick] + off[0]), int(rows[pick] + off[1])
    cv2.circle(soft, centre, int(rng.uniform(0.1, 0.35) * size) + 1, value, -1)
