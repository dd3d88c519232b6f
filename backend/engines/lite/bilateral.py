"""Local colours: what was the object a moment ago, at about this place and in about this colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Roi = tuple[slice, slice]

_CELL = 16.0
"""Side of a bin in crop cells."""
_COLOURS = (10, 14, 14)
_EDGE = 12.0
"""How far beyond the region positions still count, in crop cells."""


def _bins(x: Floats, y: Floats, lab: Floats, shape: tuple[int, ...]) -> list[NDArray[np.intp]]:
    """Bin numbers, by axis, of positions (relative to the region) and Lab colours (..., 3)."""
    lightness, a, b = (lab[..., i] for i in range(3))
    # Places last: there are more of them than of any colour, and the last axis is the fastest.
    parts = (
        lightness * np.float32(_COLOURS[0] / 0.8),
        (a * np.float32(1 / 1.6) + np.float32(0.6)) * np.float32(_COLOURS[1] / 1.2),
        (b * np.float32(1 / 1.6) + np.float32(0.6)) * np.float32(_COLOURS[2] / 1.2),
        (y + _EDGE) / _CELL,
        (x + _EDGE) / _CELL,
    )
    return [np.clip(np.rint(p), 0, size - 1).astype(np.intp) for p, size in zip(parts, shape, strict=True)]


def _flat(bins: Sequence[NDArray[np.intp]], shape: Sequence[int]) -> NDArray[np.intp]:
    flat = np.zeros(bins[0].shape, np.intp)
    for part, size in zip(bins, shape, strict=True):
        flat *= size
        flat += part
    return flat


def _smooth(grid: Floats) -> Floats:
    """Blurred by (1 2 1) / 4 along each axis but the first; the last layer of the last axis comes empty.

    With that layer between rows, the last axis is blurred as one long row: numpy is slow on short ones.
    """
    flat = grid.reshape(-1)
    out, quarter = flat * np.float32(0.5), flat * np.float32(0.25)
    out[1:] += quarter[:-1]
    out[:-1] += quarter[1:]
    grid = out.reshape(grid.shape)
    for axis in range(1, grid.ndim - 1):
        out, quarter = grid * np.float32(0.5), grid * np.float32(0.25)
        low = tuple(slice(None, -1) if i == axis else slice(None) for i in range(grid.ndim))
        high = tuple(slice(1, None) if i == axis else slice(None) for i in range(grid.ndim))
        out[high] += quarter[low]
        out[low] += quarter[high]
        grid = out
    return grid


def local_colour(
    old: tuple[Floats, Floats, Floats, Floats], lab: Floats, size: tuple[int, int]
) -> tuple[Floats, Floats]:
    """How likely each cell of a region is the object, and how sure that is: (h, w) each in [0, 1].

    Args:
        old: x, y, Lab colours and soft mask of the last frame's cells, moved along the flow, in the
            region's coordinates: (n,), (n,), (n, 3), (n,).
        lab: the region's colours now, (h, w, 3).
        size: the region's (h, w).
    """
    height, width = size
    shape = (*_COLOURS, int((height + 2 * _EDGE) / _CELL) + 2, int((width + 2 * _EDGE) / _CELL) + 2)
    x, y, colours, soft = old
    near = (x > -_EDGE) & (x < width + _EDGE) & (y > -_EDGE) & (y < height + _EDGE)
    source, here = _bins(x[near], y[near], colours[near], shape), _bins(*_grid(height, width), lab, shape)
    # Most colours are not in the picture: of the grid, only what the region's bins can hear of is made.
    first = [max(int(part.min()) - 1, 0) for part in here]
    sides = [int(part.max()) + 2 - low for part, low in zip(here, first, strict=True)]
    source = [part - low for part, low in zip(source, first, strict=True)]
    heard = np.ones(len(source[0]), np.bool_)
    for part, side in zip(source, sides, strict=True):
        heard &= (part >= 0) & (part < side)
    sides[-1] += 1  # The empty layer.
    flat = _flat([part[heard] for part in source], sides)
    total = int(np.prod(sides))
    fore, every = np.bincount(flat, soft[near][heard], total), np.bincount(flat, minlength=total)
    grid = _smooth(np.stack([fore, every]).astype(np.float32).reshape(2, *sides)).reshape(2, -1)
    wanted = _flat([part - low for part, low in zip(here, first, strict=True)], sides)
    likely, count = grid[0][wanted], grid[1][wanted]
    return (likely + np.float32(0.02)) / (count + np.float32(0.04)), count / (count + np.float32(0.3))


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Columns and rows of a region's cells, (height, width) each."""
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    return cols, rows
