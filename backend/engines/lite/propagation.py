"""Runs: follows a session's objects along the legs of a span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from backend.domain import BoolMask, DenseResult, Leg, Seed, Span
from backend.engines.base import FrameSource
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.between import Gap, gaps
from backend.engines.lite.front import Found, Front
from backend.engines.lite.refiner import Refine


class Run:
    """One propagation: its tracks and the frame they stand on.

    Args:
        backbone: the feature network.
        frames: the video.
        size: its (height, width).
        span: what to do.
        refine: corrects each track's evidence; none: it stands as it is.
    """

    def __init__(
        self,
        backbone: Backbone,
        frames: FrameSource,
        size: tuple[int, int],
        span: Span,
        refine: Refine | None = None,
    ) -> None:
        self._backbone = backbone
        self._refine = refine
        self._frames = frames
        self._size = size
        self._legs = span.legs
        self._seeds = _by_object(span)
        self._here: dict[int, list[Seed]] = {}
        for seed in (seed for own in self._seeds.values() for seed in own):
            self._here.setdefault(seed.frame_index, []).append(seed)
        self._front = self._new_front()
        self._gaps: list[Gap] = []
        self._dropped: set[int] = set()

    @property
    def nbytes(self) -> int:
        return self._front.nbytes + sum(gap.nbytes for gap in self._gaps)

    def drop(self, obj_id: int) -> None:
        """Follow an object no longer."""
        self._dropped.add(obj_id)
        self._front.drop(obj_id)
        for gap in self._gaps:
            gap.drop(obj_id)

    def results(self) -> Iterator[DenseResult]:
        """One result for each frame of each leg, in order."""
        for leg in self._legs:
            yield from self._along(leg)

    def _new_front(self) -> Front:
        return Front(self._backbone, self._frames, self._seeds, self._refine)

    def _along(self, leg: Leg) -> Iterator[DenseResult]:
        order = list(leg.frames) if leg.anchor is None else [leg.anchor, *leg.frames]
        self._front = self._new_front()
        wanted = {i: own for i, own in self._seeds.items() if i not in self._dropped}
        self._gaps = gaps(order, wanted, self._new_front)
        for place, frame_index in enumerate(order):
            result = self._advance(place, frame_index)
            if place or leg.anchor is None:
                yield result

    def _advance(self, place: int, frame_index: int) -> DenseResult:
        """Go on to the next frame of the leg: objects that are seeded here start, the others follow."""
        here = self._here.get(frame_index, ())
        starting = [s for s in here if s.obj_id not in self._dropped and (s.prompted or s.obj_id not in self._front)]
        if not self._front.ids and not starting:
            return DenseResult(frame_index, (), (), np.zeros((0, *self._size), np.bool_))
        ahead: dict[int, Found] = {}
        for gap in self._gaps:
            ahead.update(gap.at(place))
        given = self._front.advance(frame_index, starting, resting=ahead)
        return self._result(frame_index, given, self._front.found({*given, *ahead}) | ahead)

    def _result(self, frame_index: int, given: Mapping[int, BoolMask], found: Mapping[int, Found]) -> DenseResult:
        painted = self._front.compose(given, found)
        ids = self._front.ids
        masks = np.zeros((len(ids), *self._size), np.bool_)
        scores = []
        for row, obj_id in enumerate(ids):
            if obj_id in painted.masks:
                masks[row] = painted.masks[obj_id]
            sure = 1.0 if obj_id in given else found[obj_id].score if obj_id in found else 0.0
            scores.append(sure if masks[row].any() else 0.0)
        return DenseResult(frame_index, ids, tuple(scores), masks)


def _by_object(span: Span) -> Mapping[int, Sequence[Seed]]:
    """The seeds of the span's objects."""
    out: dict[int, list[Seed]] = {}
    for seed in span.seeds:
        if seed.obj_id in span.obj_ids:
            out.setdefault(seed.obj_id, []).append(seed)
    return out
