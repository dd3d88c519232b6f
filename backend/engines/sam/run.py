"""Propagations: follows a session's objects, and what its concepts find, along the legs of a span.

Objects that people clicked, boxed or drew are followed by the model's tracker, conditioned by the
stored masks. What words found and nobody has touched is found and followed by the model's own way
of following a concept, one follower for each. The ids of the session and the ids of followers meet
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping

import numpy as np

from backend.domain import BoolMask, DenseResult, Follow, Leg, Seed, Span
from backend.engines.prompter import SAME, Found, iou
from backend.engines.sam.model import Follower, SamModel, Tracker
from backend.engines.sam.views import SessionViews
from backend.masks import area, decode

Seeds = Mapping[int, Mapping[int, Seed]]
"""By frame index, then by object."""


class Pursuit:
    """One concept of a leg: its follower, and which of its finds is which object.

    A find that is no object of its own (one that was removed, one that the tracker follows already)
    is followed all the same and not shown: a follower that forgot it would find it again.
    """

    def __init__(self, follow: Follow, follower: Follower) -> None:
        self.follow = follow
        self.follower = follower
        self.ids: dict[int, int | None] = {}
        """Objects by the follower's own ids; None: not shown."""

    def shown(self) -> dict[int, int]:
        """The follower's own ids by object."""
        return {obj_id: own for own, obj_id in self.ids.items() if obj_id is not None}

    def hide(self, obj_id: int) -> None:
        """Show an object no longer."""
        for own, shown in self.ids.items():
            if shown == obj_id:
                self.ids[own] = None


class Run:
    """One propagation: its tracker, its pursuits and the frame they stand on.

    Args:
        model: follows.
        views: the session's video.
        span: what to do.
        held: how many frames trackers and followers keep.
    """

    def __init__(self, model: SamModel, views: SessionViews, span: Span, held: int) -> None:
        self._model = model
        self._views = views
        self._span = span
        self._held = held
        self._seeds = _by_frame(s for s in span.seeds if s.obj_id in set(span.obj_ids))
        self._removed = _by_frame(span.removed)
        self._next = span.next_obj_id
        self._dropped: set[int] = set()
        self._tracker: Tracker | None = None
        self._tracked: set[int] = set()
        self._pursuits: list[Pursuit] = []
        self._waiting: list[Follow] = []
        self._newborn: dict[int, str] = {}
        self._meeting = {leg.anchor for leg in span.legs}
        self._met: dict[int, dict[int, BoolMask]] = {}
        """The new objects' masks on the frames where legs meet."""

    @property
    def nbytes(self) -> int:
        """What the run holds, in bytes of the device's memory."""
        held = 0 if self._tracker is None else self._tracker.nbytes
        return held + sum(p.follower.nbytes for p in self._pursuits)

    def results(self) -> Generator[DenseResult, None, None]:
        """One result for each frame of each leg, in order. Closing it frees everything."""
        try:
            for leg in self._span.legs:
                self._begin()
                yield from self._along(leg)
        finally:
            self.close()

    def drop(self, obj_id: int) -> None:
        """Follow an object no longer."""
        self._dropped.add(obj_id)
        self._tracked.discard(obj_id)
        if self._tracker is not None:
            self._tracker.remove(obj_id)
        for pursuit in self._pursuits:
            pursuit.hide(obj_id)

    def close(self) -> None:
        """Free everything. Idempotent."""
        pursuits, self._pursuits = self._pursuits, []
        for pursuit in pursuits:
            pursuit.follower.close()
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.close()
        self._tracked = set()

    # --- one leg -----------------------------------------------------------------------------

    def _begin(self) -> None:
        self.close()
        self._waiting = list(self._span.follows)

    def _along(self, leg: Leg) -> Iterator[DenseResult]:
        reverse = leg.frames.step < 0
        if leg.anchor is not None:
            self._advance(leg.anchor, reverse)
        for frame_index in leg.frames:
            yield self._advance(frame_index, reverse)

    def _advance(self, frame_index: int, reverse: bool) -> DenseResult:
        """Go on to the next frame of the leg: who is met there joins, everybody else follows."""
        here = {i: s for i, s in self._seeds.get(frame_index, {}).items() if i not in self._dropped}
        known = set(self._tracked)
        for pursuit in self._pursuits:
            known |= set(pursuit.shown())
        # A mask that was emptied says where an object is not: nothing to follow it from.
        joining = {i: s for i, s in here.items() if i not in known and area(s.rle)}
        begun = self._begin_pursuits(frame_index, here)
        # Whom a concept is expected to find waits for what it finds.
        expected = {i for p in [*self._pursuits, *begun] for i in p.follow.obj_ids} & set(joining)
        for obj_id in joining.keys() - expected:
            self._track(obj_id, frame_index)
        shown: dict[int, Found] = {}
        if self._tracked and self._tracker is not None:
            shown |= self._tracker.step(frame_index, reverse=reverse)
        self._pursuits += begun
        for pursuit in self._pursuits:
            finds = pursuit.follower.step(frame_index, reverse=reverse)
            self._name(pursuit, finds, {i: joining[i] for i in expected}, shown, frame_index)
            for own, found in finds.items():
                known_as = pursuit.ids.get(own)
                if known_as is not None:
                    shown[known_as] = found
            for obj_id in pursuit.shown():
                shown.setdefault(obj_id, self._absent())
        missed = [i for i in expected if i not in shown]
        for obj_id in missed:
            # The concept has lost sight of it, or sees it differently: follow its own mask instead.
            self._track(obj_id, frame_index)
            shown[obj_id] = Found(decode(joining[obj_id].rle), 1.0)
        for obj_id, seed in here.items():
            if obj_id in shown and (seed.prompted or obj_id in joining):
                shown[obj_id] = Found(decode(seed.rle), shown[obj_id].score)
        return self._result(frame_index, shown)

    def _begin_pursuits(self, frame_index: int, here: Mapping[int, Seed]) -> list[Pursuit]:
        """The concepts that this frame was asked for, or whose objects are on it."""
        begun = [f for f in self._waiting if frame_index in f.frames or any(i in here for i in f.obj_ids)]
        self._waiting = [f for f in self._waiting if f not in begun]
        return [Pursuit(f, self._model.follow(self._views, f.text, self._held)) for f in begun]

    def _track(self, obj_id: int, joined: int) -> None:
        """Hand an object to the tracker, with every mask that people made of it and the one it joins with."""
        masks: dict[int, BoolMask] = {}
        for frame_index, seeds in self._seeds.items():
            if obj_id in seeds and (seeds[obj_id].prompted or frame_index == joined):
                mask = decode(seeds[obj_id].rle)
                if mask.any():
                    masks[frame_index] = mask
        if not masks:
            return
        if self._tracker is None:
            self._tracker = self._model.track(self._views, self._held)
        self._tracker.add(obj_id, masks)
        self._tracked.add(obj_id)

    # --- who is who --------------------------------------------------------------------------

    def _name(
        self,
        pursuit: Pursuit,
        finds: Mapping[int, Found],
        expected: Mapping[int, Seed],
        shown: Mapping[int, Found],
        frame_index: int,
    ) -> None:
        """Say of each find that is new which object it is: a known one, a new one, or none."""
        fresh = [own for own, found in finds.items() if found.mask.any()]
        for obj_id in sorted(set(expected) & set(pursuit.follow.obj_ids)):
            mask = decode(expected[obj_id].rle)
            # One that was taken for a new object earlier in this run is this object from here on.
            free = [own for own in fresh if own not in pursuit.ids or pursuit.ids[own] in self._newborn]
            best = max(free, key=lambda own: iou(finds[own].mask, mask), default=None)
            if best is not None and iou(finds[best].mask, mask) > SAME:
                pursuit.ids[best] = obj_id
        for own in fresh:
            if own not in pursuit.ids:
                again = self._met_again(pursuit, finds[own].mask, frame_index)
                pursuit.ids[own] = again or self._born(pursuit.follow, finds[own].mask, shown, frame_index)

    def _met_again(self, pursuit: Pursuit, mask: BoolMask, frame_index: int) -> int | None:
        """The new object of an earlier leg that is found again where the legs meet."""
        shown = pursuit.shown()
        there = {i: iou(m, mask) for i, m in self._met.get(frame_index, {}).items() if i not in shown}
        mine = [i for i, overlap in there.items() if overlap > SAME and self._newborn[i] == pursuit.follow.text]
        return max(mine, key=lambda i: there[i], default=None)

    def _born(self, follow: Follow, mask: BoolMask, shown: Mapping[int, Found], frame_index: int) -> int | None:
        """The id of a new object; None where it is one that is there already, or that was removed."""
        if not follow.find_new:
            return None
        there = [found.mask for found in shown.values()]
        there += [decode(s.rle) for s in self._removed.get(frame_index, {}).values()]
        # Of objects that this run leaves alone, too, what is stored here.
        there += [decode(s.rle) for s in self._seeds.get(frame_index, {}).values()]
        if any(iou(mask, other) > SAME for other in there):
            return None
        obj_id, self._next = self._next, self._next + 1
        self._newborn[obj_id] = follow.text
        return obj_id

    # --- results -----------------------------------------------------------------------------

    def _absent(self) -> Found:
        return Found(np.zeros(self._views.size, np.bool_), 0.0)

    def _result(self, frame_index: int, shown: Mapping[int, Found]) -> DenseResult:
        ids = tuple(sorted(i for i in shown if i not in self._dropped))
        masks = np.zeros((len(ids), *self._views.size), np.bool_)
        for row, obj_id in enumerate(ids):
            masks[row] = shown[obj_id].mask
        scores = tuple(shown[i].score if masks[row].any() else 0.0 for row, i in enumerate(ids))
        born = {i: self._newborn[i] for i in ids if i in self._newborn}
        if frame_index in self._meeting:
            self._met.setdefault(frame_index, {i: shown[i].mask for i in born if shown[i].mask.any()})
        return DenseResult(frame_index, ids, scores, masks, born=born)


def _by_frame(seeds: Iterable[Seed]) -> Seeds:
    out: dict[int, dict[int, Seed]] = {}
    for seed in seeds:
        out.setdefault(seed.frame_index, {})[seed.obj_id] = seed
    return out
