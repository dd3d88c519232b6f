"""The tracker's trained part: a small network that corrects the fused evidence. Trained by `training.tracker`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.backbone import SIZE, open_session
from backend.engines.lite.bilateral import Roi
from backend.engines.lite.view import FINE, GRID, View

Floats = NDArray[np.float32]

HEAD = Path(__file__).parent / "heads" / "tracker.onnx"
CELLS = SIZE // 4
"""Cells across a crop of the maps that go in; the answer has `FINE`."""
_NOTHING = np.float32(-4)
"""Fused evidence where nobody looked, and half of it for the local colours."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a track's cues say of a crop.

    `carried` and `sure` (GRID, GRID): the mask carried along the flow, and how far to trust it.
    `fused` and `local`, logits on the region `roi` of the grid: all cues together, and the colours
    close by. `first`, `second` (48, 48), `linear` (96, 96): logits of matching against references,
    against memory too, and of the linear classifier.
    """

    roi: Roi
    carried: Floats
    sure: Floats
    fused: Floats
    local: Floats
    first: Floats
    second: Floats
    linear: Floats


Refine = Callable[[View, Evidence], Floats | None]
"""Corrected logits (GRID, GRID) for a view; None where there is nothing to correct."""


def _whole(values: Floats, roi: Roi, outside: np.float32) -> Floats:
    out = np.full((GRID, GRID), outside, np.float32)
    out[roi] = values
    return out


def _resized(values: NDArray[np.generic], cells: int, way: int) -> Floats:
    return np.asarray(cv2.resize(np.asarray(values, np.float32), (cells, cells), interpolation=way), np.float32)


def inputs(view: View, evidence: Evidence) -> Mapping[str, Floats]:
    """What the network takes, by name; a batch of one."""
    area, line = cv2.INTER_AREA, cv2.INTER_LINEAR
    picture = view.fine.astype(np.float32) / np.float32(127.5) - 1
    maps = [
        _resized(evidence.carried, CELLS, area) * 2 - 1,
        _resized(evidence.sure, CELLS, area),
        _resized(_whole(evidence.fused, evidence.roi, _NOTHING), CELLS, area) / 3,
        _resized(_whole(evidence.local, evidence.roi, _NOTHING / 2), CELLS, area) / 2,
        _resized(evidence.first, CELLS, line) / 2,
        _resized(evidence.second, CELLS, line) / 2,
        _resized(evidence.linear, CELLS, line) / 2,
        *_resized(picture, CELLS, area).transpose(2, 0, 1),
    ]
    named = {"cues": np.stack(maps), "picture": picture.transpose(2, 0, 1)}
    named.update((name, tap.transpose(2, 0, 1)) for name, tap in (("b2", view.b2), ("b3", view.b3), ("b5", view.b5)))
    return {name: np.ascontiguousarray(value[None], np.float32) for name, value in named.items()}


class Refiner:
    """Runs the network; a `Refine`."""

    def __init__(self) -> None:
        self._session = open_session(HEAD)

    def __call__(self, view: View, evidence: Evidence) -> Floats:
        (logits,) = self._session.run(["logits"], dict(inputs(view, evidence)))
        assert logits.shape[-1] == FINE
        return _resized(logits[0, 0], GRID, cv2.INTER_LINEAR)
