"""What is seen of a session's results: for each object and frame the newest version not undone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.domain import FrameResult, Seed
from backend.sessions.log import EditLog
from backend.sessions.store import Records, Version

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

    def is_prompted(self, version: Version) -> bool:
        """Whether a person's prompt wrote it, rather than a propagation."""
        return version.seq in self._log.view.prompts

    def is_stale(self, obj_id: int, version: Version) -> bool:
        """Whether the object was prompted somewhere after a propagation wrote this."""
        view = self._log.view
        return version.seq not in view.prompts and version.seq < view.last_prompt.get(obj_id, 0)

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

    def versions(self, obj_id: int) -> dict[int, Version]:
        """The visible version of an object on each frame that has one, ascending."""
        return {f: v for f in sorted(self._records.frames(obj_id)) if (v := self.visible(obj_id, f))}

    def searched(self, obj_id: int) -> frozenset[int]:
        """The frames that the propagation which found the object went over; none where a prompt did.

        Where the object has no result on one of these, it was looked for and not there.
        """
        birth = self._records.births().get(obj_id)
        return frozenset(f for f, _ in self._records.steps(birth.seq)) if birth else frozenset()

    def seeds(self, obj_ids: Sequence[int], orders: Sequence[Sequence[int]]) -> tuple[tuple[Seed, ...], dict[int, int]]:
        """The stored masks that condition a propagation.

        Args:
            obj_ids: the chosen objects.
            orders: for each leg, the frames it meets in their order, the anchor first.

        Returns:
            Every prompted mask of the objects, and where an object meets an up-to-date mask before
            a prompted one on a leg, that mask too. And for each leg (by its position) the place in
            its order at which the first object joins; a leg that none joins is missing.
        """
        seeds: dict[tuple[int, int], Seed] = {}
        joins: dict[int, int] = {}
        for obj_id in obj_ids:
            versions = self.versions(obj_id)
            for frame_index, version in versions.items():
                if self.is_prompted(version):
                    seeds[frame_index, obj_id] = Seed(frame_index, obj_id, version.result.rle, True)
            for leg, order in enumerate(orders):
                for place, frame_index in enumerate(order):
                    found = versions.get(frame_index)
                    if found is None or found.result.box is None or self.is_stale(obj_id, found):
                        continue
                    seeds.setdefault((frame_index, obj_id), Seed(frame_index, obj_id, found.result.rle, False))
                    joins[leg] = min(place, joins.get(leg, place))
                    break
        return tuple(seeds[key] for key in sorted(seeds)), joins
