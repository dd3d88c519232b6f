"""Clicks, and what a click may change in a mask that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from backend.domain import BoolMask

Pixel = tuple[int, int]
"""Column and row in the frame."""

_SUDDEN = 4
"""Times its area that a click may add to a mask; of more, only what is near the click counts."""


@dataclass(frozen=True, slots=True)
class Clicks:
    """Clicked pixels of the frame; `fresh` of them, counted from the end, are new."""

    points: tuple[Pixel, ...]
    labels: tuple[int, ...]
    fresh: int

    def of(self, label: int) -> list[Pixel]:
        return [p for p, given in zip(self.points, self.labels, strict=True) if given == label]

    def newest(self) -> list[tuple[Pixel, int]]:
        start = len(self.points) - self.fresh
        return list(zip(self.points[start:], self.labels[start:], strict=True))


def rooted(mask: BoolMask, roots: Sequence[Pixel]) -> BoolMask:
    """The connected parts of a mask that hold one of the points."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    keep = np.zeros(count, np.bool_)
    for x, y in roots:
        keep[labels[y, x]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def still_true(clicks: Clicks, start: BoolMask) -> Clicks:
    """The clicks without the older ones that the mask contradicts by now."""
    old = len(clicks.points) - clicks.fresh
    kept = [
        (point, label)
        for i, (point, label) in enumerate(zip(clicks.points, clicks.labels, strict=True))
        if i >= old or bool(start[point[1], point[0]]) == bool(label)
    ]
    return Clicks(tuple(p for p, _ in kept), tuple(label for _, label in kept), clicks.fresh)


def obeyed(mask: BoolMask, newest: Sequence[tuple[Pixel, int]]) -> bool:
    """Whether a mask agrees with all of these clicks."""
    return all(bool(mask[y, x]) == bool(label) for (x, y), label in newest)


def _around(points: Sequence[Pixel], mask: BoolMask) -> BoolMask:
    """What lies no farther from one of the points than the mask is long."""
    _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    near = np.zeros(mask.shape, np.uint8)
    for point in points:
        cv2.circle(near, point, max(width, height), 1, -1)
    return near > 0


def only_near(mask: BoolMask, start: BoolMask, newest: Sequence[tuple[Pixel, int]]) -> BoolMask:
    """The start, changed only where a new click asks for it.

    A positive click adds the connected new part that holds it, a negative one takes away the
    connected part that holds it; whatever else a cut would change stays as it was.
    """
    out = start.copy()
    on = [p for p, label in newest if label]
    off = [p for p, label in newest if not label]
    if on:
        added = rooted(mask & ~start, on)
        if added.sum() > _SUDDEN * start.sum():
            added &= _around(on, start)
        out |= added
    if off:
        out &= ~rooted(start & ~mask, off)
    return out
