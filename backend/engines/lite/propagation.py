"""Runs: follows a session's objects along the legs of a span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, DenseResult, Leg, Seed, Span
from backend.engines.base import FrameSource
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.compose import compose
from backend.engines.lite.flow import Motion, is_cut, to_grey
from backend.engines.lite.refiner import Refine
from backend.engines.lite.scene import Scene
from backend.engines.lite.tracker import Track
from backend.engines.lite.view import cut_mask
from backend.masks import decode

_ELSEWHERE = 3
"""Frames off the run's way that a person marked and that a track learns from, at most."""


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
        self._seeds = _by_frame(span)
        self._motion = Motion()
        self._tracks: dict[int, Track] = {}
        self._scene: Scene | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._dropped: set[int] = set()

    @property
    def nbytes(self) -> int:
        scene = 0 if self._scene is None else self._scene.nbytes
        return scene + sum(track.nbytes for track in self._tracks.values())

    def drop(self, obj_id: int) -> None:
        """Follow an object no longer."""
        self._dropped.add(obj_id)
        self._tracks.pop(obj_id, None)

    def results(self) -> Iterator[DenseResult]:
        """One result for each frame of each leg, in order."""
        for leg in self._legs:
            self._tracks, self._scene, self._grey = {}, None, None
            yield from self._along(leg)

    # --- one leg -----------------------------------------------------------------------------

    def _along(self, leg: Leg) -> Iterator[DenseResult]:
        if leg.anchor is not None:
            self._advance(leg.anchor)
        for frame_index in leg.frames:
            yield self._advance(frame_index)

    def _advance(self, frame_index: int) -> DenseResult:
        """Go on to the next frame of the leg: objects that are seeded here start, the others follow."""
        here = {s.obj_id: s for s in self._seeds.get(frame_index, ()) if s.obj_id not in self._dropped}
        starting = {i: s for i, s in here.items() if i not in self._tracks or s.prompted}
        if not self._tracks and not starting:
            self._scene = self._grey = None
            return DenseResult(frame_index, (), (), np.zeros((0, *self._size), np.bool_))
        picture = self._frames.read(frame_index)
        grey = to_grey(picture)
        flow = None
        if self._grey is not None and self._tracks:
            flow = self._motion.between(self._grey, grey, picture.shape[:2])
            if is_cut(self._grey, grey):
                for track in self._tracks.values():
                    track.lose()
        scene = Scene(self._backbone, picture, flow)
        self._scene, self._grey = scene, grey

        given: dict[int, BoolMask] = {}
        for obj_id, track in self._tracks.items():
            if obj_id not in starting:
                track.step(scene)
        for obj_id, seed in sorted(starting.items()):
            given[obj_id] = decode(seed.rle)
            if obj_id in self._tracks:
                self._tracks[obj_id].seed(scene, given[obj_id], sure=True)
            else:
                self._tracks[obj_id] = self._join(scene, seed, given[obj_id])
        return self._result(frame_index, scene, given)

    def _join(self, scene: Scene, seed: Seed, mask: BoolMask) -> Track:
        """A track that starts here, and learns from what people marked on other frames too."""
        track = Track(seed.obj_id, np.random.default_rng([seed.obj_id, seed.frame_index]), self._refine)
        track.seed(scene, mask, sure=seed.prompted)
        marked = [
            s
            for seeds in self._seeds.values()
            for s in seeds
            if s.obj_id == seed.obj_id and s.prompted and s.frame_index != seed.frame_index
        ]
        marked.sort(key=lambda s: (abs(s.frame_index - seed.frame_index), s.frame_index))
        for other in marked[:_ELSEWHERE]:
            there = Scene(self._backbone, self._frames.read(other.frame_index), None)
            track.refer(there, decode(other.rle))
        return track

    def _result(self, frame_index: int, scene: Scene, given: dict[int, BoolMask]) -> DenseResult:
        followed = {i: t.shape for i, t in self._tracks.items() if i not in given}
        soft = {i: (past.crop, past.soft) for i, past in followed.items() if past is not None}
        painted = compose(scene.picture, soft, given)
        for obj_id, lost in painted.lost.items():
            taken = lost.copy()
            for other, mask in painted.masks.items():
                if other != obj_id:
                    taken |= mask
            self._tracks[obj_id].give_up(cut_mask(taken, soft[obj_id][0]))
        ids = tuple(sorted(self._tracks))
        masks = np.zeros((len(ids), *self._size), np.bool_)
        scores = []
        for row, obj_id in enumerate(ids):
            if obj_id in painted.masks:
                masks[row] = painted.masks[obj_id]
            scores.append(self._tracks[obj_id].score if masks[row].any() else 0.0)
        return DenseResult(frame_index, ids, tuple(scores), masks)


def _by_frame(span: Span) -> Mapping[int, Sequence[Seed]]:
    """The seeds of the span's objects, by frame."""
    out: dict[int, list[Seed]] = {}
    for seed in span.seeds:
        if seed.obj_id in span.obj_ids:
            out.setdefault(seed.frame_index, []).append(seed)
    return out
