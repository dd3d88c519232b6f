"""Matching: which remembered cell, of the object or of its surroundings, a cell looks most like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.backbone import SIZE
from backend.engines.lite.view import GRID, Crop, View

Floats = NDArray[np.float32]

CELLS = SIZE // 8
"""Cells across a crop for matching."""
_TEMPERATURE = np.float32(0.12)
_POSITION = np.float32(0.35)
"""Weight of a cell's place on the object against its looks (unit vectors)."""
_REACH = 2.0
LIMIT = 3.0
"""Cue logits end here."""


class Place(NamedTuple):
    """Where an object is and how large, in frame pixels: its centre and the root of its area."""

    x: float
    y: float
    size: float


def cells_of(region: tuple[slice, slice]) -> tuple[slice, slice]:
    """The rows and columns of cells that a region of the grid is read off, one more on each side."""
    rows, cols = (
        slice(max(part.start * CELLS // GRID - 1, 0), min(-(-part.stop * CELLS // GRID) + 1, CELLS)) for part in region
    )
    return rows, cols


def _unit(values: Floats) -> Floats:
    return np.asarray(values / (np.linalg.norm(values, axis=-1, keepdims=True) + np.float32(1e-3)), np.float32)


def describe(view: View) -> Floats:
    """How each cell looks: unit vectors, (CELLS², 152)."""
    if view.cells is None:
        coarse = np.asarray(cv2.resize(view.b5, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR), np.float32)
        both = np.concatenate([_unit(view.b3), _unit(coarse)], -1) * np.float32(0.5**0.5)
        view.cells = both.reshape(CELLS * CELLS, -1)
    return view.cells


def _positions(crop: Crop, place: Place) -> Floats:
    """Each cell's place relative to the object, in the object's sizes, weighted: (CELLS², 2)."""
    steps = (np.arange(CELLS, dtype=np.float32) + 0.5) * np.float32(crop.side / CELLS)
    grid = np.meshgrid((steps + crop.x - place.x) / place.size, (steps + crop.y - place.y) / place.size)
    flat = np.stack(grid, -1).reshape(-1, 2)
    return np.asarray(np.clip(flat, -_REACH, _REACH) * _POSITION, np.float32)


def queries(view: View, place: Place) -> Floats:
    """Looks and places of all cells of a view, (CELLS², 154)."""
    return np.concatenate([describe(view), _positions(view.crop, place)], 1)


@dataclass(frozen=True, slots=True)
class Bank:
    """Remembered cells of the object and of its surroundings, (n, 154) each."""

    fore: Floats
    back: Floats

    @property
    def nbytes(self) -> int:
        return self.fore.nbytes + self.back.nbytes

    def without_contradictions(self, newer: Bank) -> Bank:
        """What is left of this memory where a newer one doesn't see the opposite."""
        fore = self.fore[_margin(self.fore, [newer]) > -1]
        back = self.back[_margin(self.back, [newer]) < 1]
        return Bank(fore, back)


def remember(cells: Floats, cover: Floats, most: tuple[int, int], rng: np.random.Generator) -> Bank:
    """Choose cells to remember.

    Args:
        cells: `queries` of the view.
        cover: how much of each cell the object covers, (CELLS, CELLS).
        most: how many cells of the object and of the rest at most.
        rng: chooses where there are more; cells near the object are preferred for the rest.
    """
    flat = cover.ravel()
    fore, back = cells[flat > 0.6], cells[flat < 0.4]
    if not len(fore) and flat.max(initial=0) > 0:
        fore = cells[[int(flat.argmax())]]
    if len(fore) > most[0]:
        fore = fore[rng.choice(len(fore), most[0], replace=False)]
    if len(back) > most[1]:
        near = np.exp(np.square(back[:, -2:]).sum(1) / (-1.2 * _POSITION**2)) + 0.15
        back = back[rng.choice(len(back), most[1], replace=False, p=near / near.sum())]
    return Bank(fore, back)


def _best(cells: Floats, remembered: Sequence[Floats]) -> Floats:
    """The best likeness (cosine less half the squared distance of places) of each cell: (n,)."""
    known = np.concatenate(remembered) if len(remembered) > 1 else remembered[0]
    if not len(known):
        return np.full(len(cells), -1, np.float32)
    like = cells @ known.T
    like -= np.float32(0.5) * np.square(known[:, -2:]).sum(1)
    return np.asarray(like.max(1) - np.float32(0.5) * np.square(cells[:, -2:]).sum(1), np.float32)


def _margin(cells: Floats, banks: Sequence[Bank]) -> Floats:
    if not len(cells):
        return np.zeros(0, np.float32)
    return (_best(cells, [b.fore for b in banks]) - _best(cells, [b.back for b in banks])) / _TEMPERATURE


def compare(
    cells: Floats, references: Sequence[Bank], memory: Sequence[Bank], where: tuple[slice, slice] | None = None
) -> tuple[Floats, Floats]:
    """Logits (CELLS, CELLS) against the references alone, and against memory as well.

    Args:
        cells: `queries` of a view.
        where: rows and columns of cells to ask for; the others count as surroundings.
    """
    rows, cols = where or (slice(0, CELLS), slice(0, CELLS))
    part = cells.reshape(CELLS, CELLS, -1)[rows, cols]
    asked = np.ascontiguousarray(part).reshape(-1, cells.shape[1])
    fore, back = (_best(asked, [getattr(b, side) for b in references]) for side in ("fore", "back"))
    first = second = (fore - back) / _TEMPERATURE
    if memory:
        fore = np.maximum(fore, _best(asked, [b.fore for b in memory]))
        back = np.maximum(back, _best(asked, [b.back for b in memory]))
        second = (fore - back) / _TEMPERATURE
    out = np.full((2, CELLS, CELLS), -LIMIT, np.float32)
    for whole, found in zip(out, (first, second), strict=True):
        whole[rows, cols] = np.clip(found, -LIMIT, LIMIT).reshape(part.shape[:2])
    return out[0], out[1]


def resemblance(view: View, references: Sequence[Bank], rest: Floats) -> Floats:
    """Logits (CELLS, CELLS) by looks alone: the object's cells against its surroundings' and `rest` (n, 152)."""
    cells = describe(view)
    looks = cells.shape[1]
    fore = np.concatenate([b.fore[:, :looks] for b in references])
    back = np.concatenate([*(b.back[:, :looks] for b in references), rest])
    if not len(fore) or not len(back):
        return np.full((CELLS, CELLS), -LIMIT, np.float32)
    margin = ((cells @ fore.T).max(1) - (cells @ back.T).max(1)) / _TEMPERATURE
    return np.asarray(np.clip(margin, -LIMIT, LIMIT).reshape(CELLS, CELLS), np.float32)
