"""Between two frames that are known, an object is followed from both: each frame from the nearer one.

A run goes one way, and what it finds there drifts until the next frame that a person marked. So the half of such a
gap that ends at a marked frame is followed from there, against the run's way, and kept until the run arrives. That
costs nothing more than the run itself: every frame is still followed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import Seed
from backend.engines.lite.front import Found, Front
from backend.engines.lite.view import Crop

_SHORTEST = 4
"""Steps between two known frames from which on it is worth it."""
_AT_ONCE = 12
"""Frames against the run's way that are done in a row: a video is read backwards by whole groups of pictures."""
_LEVELS = np.float32(255)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A `Found`, its soft mask in 256 levels and packed."""

    crop: Crop
    packed: NDArray[np.uint8]
    score: float

    def unpacked(self) -> Found:
        soft = np.asarray(cv2.imdecode(self.packed, cv2.IMREAD_GRAYSCALE), np.float32) / _LEVELS
        return Found(self.crop, soft, self.score)


def _pack(found: Found) -> _Kept:
    packed = cv2.imencode(".png", np.rint(found.soft * _LEVELS).astype(np.uint8))[1]
    return _Kept(found.crop, np.asarray(packed, np.uint8), found.score)


class Gap:
    """Objects' way from one known frame to the next, marked one, and what was found from its far end.

    Args:
        order: the frames that the run's leg meets.
        first: place in `order` of the frame that they are known on.
        seeds: their masks on the frame that a person marked.
        front: makes the pass against the run's way.
    """

    def __init__(self, order: Sequence[int], first: int, seeds: Sequence[Seed], front: Callable[[], Front]) -> None:
        self._order = order
        self._first = first
        self._last = order.index(seeds[0].frame_index)
        self._half = (self._first + self._last) // 2
        self._seeds = {seed.obj_id: seed for seed in seeds}
        self._make = front
        self._front: Front | None = None
        self._at = self._last + 1
        self._kept: dict[int, dict[int, _Kept]] = {}

    @property
    def nbytes(self) -> int:
        kept = sum(one.packed.nbytes for frame in self._kept.values() for one in frame.values())
        return kept + (0 if self._front is None else self._front.nbytes)

    def drop(self, obj_id: int) -> None:
        self._seeds.pop(obj_id, None)
        if self._front is not None:
            self._front.drop(obj_id)

    def at(self, place: int) -> Mapping[int, Found]:
        """What was found from the far end on the frame at this place of the leg; none before the half."""
        if self._first < place <= self._half:
            # As far along as the run is, so that it is nowhere kept waiting long.
            self._go(max(self._last - (place - self._first) - _AT_ONCE, self._half + 1), place)
        if not self._half < place < self._last:
            return {}
        self._go(self._half + 1, place)
        self._front = None
        return {i: one.unpacked() for i, one in self._kept.pop(place, {}).items() if i in self._seeds}

    def _go(self, until: int, place: int) -> None:
        """Go on against the run's way up to a place, in long strides."""
        if not self._seeds or (self._at - until < _AT_ONCE and place < self._half):
            return
        while self._at > until:
            if self._front is None:
                self._front = self._make()
            self._at -= 1
            starting = self._seeds.values() if self._at == self._last else ()
            given = self._front.advance(self._order[self._at], starting)
            found = self._front.found(given)
            if len(found) > 1:
                self._front.compose(given, found)
                found = self._front.found(given)
            self._kept[self._at] = {i: _pack(one) for i, one in found.items()}


def gaps(order: Sequence[int], seeds: Mapping[int, Sequence[Seed]], front: Callable[[], Front]) -> list[Gap]:
    """The gaps on a leg.

    Args:
        order: the frames it meets.
        seeds: the run's, by object.
        front: makes a pass.
    """
    places = {frame: place for place, frame in enumerate(order)}
    together: dict[tuple[int, int], list[Seed]] = {}
    for own in seeds.values():
        known = sorted((places[s.frame_index], s.prompted, s) for s in own if s.frame_index in places)
        before = known[0][0] if known else 0
        for place, prompted, seed in known[1:]:
            if prompted:
                if place - before >= _SHORTEST:
                    together.setdefault((before, place), []).append(seed)
                before = place
    return [Gap(order, first, own, front) for (first, _), own in sorted(together.items())]
