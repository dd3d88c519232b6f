"""Tracks that stand together on one frame of a video, and go on to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Seed
from backend.engines.base import FrameSource
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.compose import Painted, compose
from backend.engines.lite.flow import Motion, is_cut, to_grey
from backend.engines.lite.refiner import Refine
from backend.engines.lite.scene import Scene
from backend.engines.lite.tracker import Track
from backend.engines.lite.view import Crop, cut_mask
from backend.masks import decode

Floats = NDArray[np.float32]

_ELSEWHERE = 3
"""Frames off the way that a person marked and that a track learns from, at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """A followed object on a frame: its soft mask on its crop's grid, and how good that probably is."""

    crop: Crop
    soft: Floats
    score: float


class Front:
    """The tracks of one pass over a video.

    Args:
        backbone: the feature network.
        frames: the video.
        seeds: all of the run's, by object: what people marked elsewhere is learnt from as well.
        refine: corrects each track's evidence; none: it stands as it is.
    """

    def __init__(
        self,
        backbone: Backbone,
        frames: FrameSource,
        seeds: Mapping[int, Sequence[Seed]],
        refine: Refine | None,
    ) -> None:
        self._backbone = backbone
        self._frames = frames
        self._seeds = seeds
        self._refine = refine
        self._motion = Motion()
        self._tracks: dict[int, Track] = {}
        self._scene: Scene | None = None
        self._grey: NDArray[np.uint8] | None = None

    def __contains__(self, obj_id: int) -> bool:
        return obj_id in self._tracks

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._tracks))

    @property
    def nbytes(self) -> int:
        scene = 0 if self._scene is None else self._scene.nbytes
        return scene + sum(track.nbytes for track in self._tracks.values())

    def drop(self, obj_id: int) -> None:
        self._tracks.pop(obj_id, None)

    def advance(self, frame_index: int, starting: Iterable[Seed], resting: Collection[int] = ()) -> dict[int, BoolMask]:
        """Go on to a frame: objects that are seeded on it start, resting ones stay behind, the others follow.

        Returns:
            The masks that were given, by object.
        """
        picture = self._frames.read(frame_index)
        grey = to_grey(picture)
        seeds = {seed.obj_id: seed for seed in starting}
        moving = [track for i, track in self._tracks.items() if i not in seeds and i not in resting]
        flow = None
        if self._grey is not None and moving:
            flow = self._motion.between(self._grey, grey, picture.shape[:2])
            if is_cut(self._grey, grey):
                for track in moving:
                    track.lose()
        scene = Scene(self._backbone, picture, flow)
        self._scene, self._grey = scene, grey
        for track in moving:
            track.step(scene)
        given = {obj_id: decode(seed.rle) for obj_id, seed in seeds.items()}
        for obj_id, seed in sorted(seeds.items()):
            if obj_id in self._tracks:
                self._tracks[obj_id].seed(scene, given[obj_id], sure=True)
            else:
                self._tracks[obj_id] = self._join(scene, seed, given[obj_id])
        return given

    def compose(self, given: Mapping[int, BoolMask], found: Mapping[int, Found]) -> Painted:
        """The frame's masks, after which no track holds on to what another object has.

        Args:
            given: masks that people made.
            found: the followed objects, of this front or of another one.
        """
        assert self._scene is not None
        soft = {i: (one.crop, one.soft) for i, one in found.items()}
        painted = compose(self._scene.picture, soft, given)
        for obj_id, lost in painted.lost.items():
            taken = lost.copy()
            for other, mask in painted.masks.items():
                if other != obj_id:
                    taken |= mask
            track = self._tracks.get(obj_id)
            if track is not None and track.shape is not None and track.shape.crop == found[obj_id].crop:
                track.give_up(cut_mask(taken, found[obj_id].crop))
        return painted

    def found(self, apart_from: Collection[int]) -> dict[int, Found]:
        """Where the followed objects are on this frame."""
        out = {}
        for obj_id, track in self._tracks.items():
            past = track.shape
            if obj_id not in apart_from and past is not None:
                out[obj_id] = Found(past.crop, past.soft, track.score)
        return out

    def _join(self, scene: Scene, seed: Seed, mask: BoolMask) -> Track:
        """A track that starts here, and learns from what people marked on other frames too."""
        track = Track(seed.obj_id, np.random.default_rng([seed.obj_id, seed.frame_index]), self._refine)
        track.seed(scene, mask, sure=seed.prompted)
        marked = [s for s in self._seeds[seed.obj_id] if s.prompted and s.frame_index != seed.frame_index]
        marked.sort(key=lambda s: (abs(s.frame_index - seed.frame_index), s.frame_index))
        for other in marked[:_ELSEWHERE]:
            there = Scene(self._backbone, self._frames.read(other.frame_index), None)
            track.refer(there, decode(other.rle))
        return track
