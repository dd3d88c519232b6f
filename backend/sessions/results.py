"""What is seen of a session's results: for each object and frame the newest version not undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from backend.domain import FrameResult, Seed
from backend.sessions.log import EditLog
from backend.sessions.store import Records, Version
from backend.sessions.stretches import covers

Ranges = list[list[int]]
"""Inclusive [from, to] pairs, ascending and apart."""


def to_ranges(indices: Iterable[int]) -> Ranges:
    """Inclusive ranges of a set of frame indices."""
    out: Ranges = []
    for index in sorted(indices):
        if out and index == out[-1][1] + 1:
            out[-1][1] = index
        else:
            out.append([index, index])
    return out


class Results:
    """A view of the records through the log. Not thread-safe: the session's lock guards it."""

    def __init__(self, records: Records, log: EditLog) -> None:
        self._records = records
        self._log = log

    def visible(self, obj_id: int, frame_index: int, as_of: int | None = None) -> Version | None:
        """The newest version that is not undone; `as_of` leaves out edits after that one."""
        active = self._log.view.active
        for version in reversed(self._records.versions(obj_id, frame_index)):
            if version.seq in active and (as_of is None or version.seq <= as_of):
                return version
        return None

    def is_prompted(self, frame_index: int, version: Version) -> bool:
        """Whether a person said that this is the mask, rather than a propagation."""
        return covers(self._log.view.words.get(version.seq, ()), frame_index)

    def is_approved(self, obj_id: int, frame_index: int) -> bool:
        """Whether a person said that the object's mask there is right."""
        return covers(self._log.view.approved.get(obj_id, ()), frame_index)

    def is_settled(self, obj_id: int, frame_index: int, version: Version) -> bool:
        """Whether it is a person's word, which no propagation overwrites."""
        return self.is_prompted(frame_index, version) or self.is_approved(obj_id, frame_index)

    def is_stale(self, obj_id: int, frame_index: int, version: Version) -> bool:
        """Whether the object was prompted somewhere after a propagation wrote this, and nobody approved it."""
        view = self._log.view
        old = version.seq < view.last_word.get(obj_id, 0) or covers(view.outdated.get(version.seq, ()), frame_index)
        return old and not self.is_settled(obj_id, frame_index, version)

    def frame(
        self, frame_index: int, obj_ids: Iterable[int] | None = None, as_of: int | None = None
    ) -> FrameResult | None:
        """What is seen on a frame; None where nothing was computed there."""
        ids = self._log.view.objects if obj_ids is None else obj_ids
        seen = [v.result for i in ids if (v := self.visible(i, frame_index, as_of))]
        return FrameResult(frame_index, tuple(seen)) if seen else None

    def computed(self, obj_ids: Iterable[int] | None = None) -> list[int]:
        """The frames on which any of the objects has a visible result, ascending."""
        ids = self._log.view.objects if obj_ids is None else obj_ids
        return sorted({f for i in ids for f in self._records.frames(i) if self.visible(i, f)})

    def frames(self, obj_id: int) -> list[int]:
        """The frames on which the object has a visible result, ascending."""
        return sorted(f for f in self._records.frames(obj_id) if self.visible(obj_id, f))

    def versions(self, obj_id: int) -> dict[int, Version]:
        """The visible version of an object on each frame that has one, ascending."""
        return {f: v for f in sorted(self._records.frames(obj_id)) if (v := self.visible(obj_id, f))}

    def seeds(self, obj_ids: Sequence[int], orders: Sequence[Sequence[int]]) -> tuple[tuple[Seed, ...], dict[int, int]]:
        """The stored masks that condition a propagation.

        Args:
            obj_ids: the chosen objects.
            orders: for each leg, the frames it meets in their order, the anchor first.

        Returns:
            Every prompted mask of the objects, and where an object meets an up-to-date mask before
            a prompted one on a leg, that mask too. Of a stretch of approved masks on a leg, the one
            after which the leg computes again: the others, which stay as they are, would only take
            the engine's time. And for each leg (by its position) the place in its order at which
            the first object joins; a leg that none joins is missing.
        """
        seeds: dict[tuple[int, int], Seed] = {}
        joins: dict[int, int] = {}
        for obj_id in obj_ids:
            versions = self.versions(obj_id)
            for frame_index, version in versions.items():
                if self.is_prompted(frame_index, version):
                    seeds[frame_index, obj_id] = Seed(frame_index, obj_id, version.result.rle, True)
            approved = self._log.view.approved.get(obj_id, ())
            for order in orders if approved else ():
                for frame_index, following in pairwise(order):
                    ends = covers(approved, frame_index) and not covers(approved, following)
                    if ends and (last := versions.get(frame_index)):
                        seeds[frame_index, obj_id] = Seed(frame_index, obj_id, last.result.rle, True)
            for leg, order in enumerate(orders):
                for place, frame_index in enumerate(order):
                    found = versions.get(frame_index)
                    if found is None or found.result.box is None or self.is_stale(obj_id, frame_index, found):
                        continue
                    sure = self.is_approved(obj_id, frame_index)
                    seeds.setdefault((frame_index, obj_id), Seed(frame_index, obj_id, found.result.rle, sure))
                    joins[leg] = min(place, joins.get(leg, place))
                    break
        return tuple(seeds[key] for key in sorted(seeds)), joins
