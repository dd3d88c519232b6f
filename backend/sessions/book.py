"""A session's book: its log and results together, and the changes that new entries make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from backend.domain import (
    ApproveAction,
    FrameResult,
    MergeAction,
    ObjectInfo,
    ObjectResult,
    Prompt,
    PromptAction,
    PromptRequest,
    Snapshot,
    SplitAction,
    Stretches,
)
from backend.errors import NotFound
from backend.masks.overlay import color_of
from backend.sessions.log import EditLog
from backend.sessions.problems import Evidence
from backend.sessions.repair import Divided, Merged, Stored
from backend.sessions.results import Results
from backend.sessions.store import Bear, Change, Put, Records, Step, Stepped
from backend.sessions.stretches import minus, to_stretches, union


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a split or a merge did: the object that came (split) or went (merge), and the frames it wrote."""

    obj_id: int | None
    frames: Stretches


class Book:
    """Not thread-safe: the session's lock guards it."""

    def __init__(self, records: Records) -> None:
        self.log = EditLog(records)
        self.results = Results(records, self.log)
        self.records = records

    @property
    def next_obj_id(self) -> int:
        """Ids are never used twice, not even those of undone objects."""
        return self.records.log.next_obj_id

    @property
    def objects(self) -> dict[int, ObjectInfo]:
        """The objects there are now, by id."""
        return self.log.view.objects

    def object_info(self, obj_id: int) -> ObjectInfo:
        """An object of the session.

        Raises:
            NotFound: there is none of that id.
        """
        # Not every door checks types: to a dictionary 1.0 and true are 1, and would go on record as they are.
        info = self.objects.get(obj_id) if type(obj_id) is int else None
        if info is None:
            raise NotFound(f"There is no object {obj_id} in this session.", "unknown_object")
        return info

    def request(self, frame_index: int, prompts: tuple[Prompt, ...], obj_id: int | None) -> PromptRequest:
        """A prompt request with what the log knows about its target.

        Raises:
            NotFound: the object is unknown.
        """
        history: tuple[Prompt, ...] = ()
        current = None
        if obj_id is not None:
            self.object_info(obj_id)
            history = self.log.prompts_on(obj_id, frame_index)
            seen = self.results.visible(obj_id, frame_index)
            current = seen.result.rle if seen else None
        others = {
            i: v.result.rle
            for i in self.objects
            if i != obj_id and (v := self.results.visible(i, frame_index)) is not None
        }
        return PromptRequest(frame_index, prompts, obj_id, self.next_obj_id, history, current, others)

    def snapshot(self) -> Snapshot:
        """What an engine needs to build its state again."""
        seeds, _ = self.results.seeds(tuple(self.objects), ())
        return Snapshot(tuple(self.log.active), seeds)

    def prompted(
        self,
        request: PromptRequest,
        found: Iterable[ObjectResult],
        concept_kept: bool,
        born: Mapping[int, str],
    ) -> tuple[FrameResult | None, list[Change]]:
        """The entry of a prompt with the objects it wrote; None, and no changes, where it found nothing.

        `born` holds the words that found an object.
        """
        results = tuple(r for r in found if r.obj_id in self.objects or r.obj_id >= self.next_obj_id)
        if not results and not concept_kept:
            return None, []
        ids = tuple(r.obj_id for r in results)
        edit, changes = self.log.appended(PromptAction(request.frame_index, request.prompts, request.obj_id, ids))
        changes += [_birth(edit.seq, i, born.get(i, "")) for i in dict.fromkeys(ids) if i not in self.objects]
        return FrameResult(request.frame_index, results), [*changes, Put(edit.seq, request.frame_index, results)]

    def stepped(
        self, seq: int, place: int, steps: Iterable[tuple[FrameResult, Mapping[int, str]]]
    ) -> tuple[list[Step], list[Change]]:
        """The entries of a run's next frames, the first of them `place` frames after the run's first.

        What a person prompted or approved on a frame stands. With each frame come the words that found an object.

        Returns:
            For each frame the objects that are on record for it, and the changes.
        """
        known, next_obj_id = set(self.objects), self.next_obj_id
        out: list[Step] = []
        changes: list[Change] = []
        for frame, born in steps:
            ids: list[int] = []
            fresh: list[ObjectResult] = []
            for result in frame.objects:
                obj_id = result.obj_id
                if obj_id not in known:
                    if obj_id < next_obj_id:
                        continue
                    changes.append(_birth(seq, obj_id, born.get(obj_id, "")))
                    known.add(obj_id)
                    next_obj_id = obj_id + 1
                ids.append(obj_id)
                seen = self.results.visible(obj_id, frame.frame_index)
                if seen is None or not self.results.is_settled(obj_id, frame.frame_index, seen):
                    fresh.append(result)
            changes.append(Stepped(seq, place + len(out), frame.frame_index, tuple(ids)))
            if fresh:
                changes.append(Put(seq, frame.frame_index, tuple(fresh)))
            out.append((frame.frame_index, tuple(ids)))
        return out, changes

    def approved(self, obj_id: int, first: int, last: int, approved: bool) -> tuple[Stretches, list[Change]]:
        """The entry of an approval, or of its taking back, of frames on which the object is computed.

        Returns:
            All frames that are approved of the object then, and the changes: none where it changes nothing.

        Raises:
            NotFound: the object is unknown.
        """
        self.object_info(obj_id)
        frames = [f for f in self.results.frames(obj_id) if first <= f <= last]
        changed = to_stretches(f for f in frames if self.results.is_approved(obj_id, f) != approved)
        before = self.log.view.approved.get(obj_id, ())
        if not changed:
            return before, []
        after = union(before, changed) if approved else minus(before, changed)
        return after, self.log.appended(ApproveAction(obj_id, changed, approved))[1]

    def masks(self, obj_id: int, first: int, last: int) -> dict[int, Stored]:
        """An object's masks on a span, and how each stands.

        Raises:
            NotFound: the object is unknown.
        """
        self.object_info(obj_id)
        seen = self.results
        return {
            f: Stored(v.result, seen.is_prompted(f, v), seen.is_stale(obj_id, f, v), seen.is_approved(obj_id, f))
            for f, v in seen.versions(obj_id).items()
            if first <= f <= last
        }

    def split(
        self, obj_id: int, frame_index: int, prompts: tuple[Prompt, ...], divided: Mapping[int, Divided]
    ) -> tuple[Repaired, list[Change]]:
        """The entry of a split; the part gets an id of its own, and the object's class."""
        new_obj_id = self.next_obj_id
        frames = to_stretches(f for f, d in divided.items() if d.rest is not None)
        edit, changes = self.log.appended(SplitAction(obj_id, new_obj_id, frame_index, prompts, frames))
        info = ObjectInfo(new_obj_id, f"Object {new_obj_id}", self.objects[obj_id].label, color_of(new_obj_id))
        changes.append(Bear(edit.seq, info))
        for frame, each in divided.items():
            part = replace(each.part, obj_id=new_obj_id)
            changes.append(Put(edit.seq, frame, (part,) if each.rest is None else (each.rest, part)))
        return Repaired(new_obj_id, frames), changes

    def merge(
        self, obj_id: int, other: int, whole: bool, merged: Mapping[int, Merged]
    ) -> tuple[Repaired, list[Change]]:
        """The entry of a merge of `other` into an object."""
        action = MergeAction(
            obj_id,
            other,
            to_stretches(merged),
            whole,
            to_stretches(f for f, each in merged.items() if each.prompted),
            to_stretches(f for f, each in merged.items() if each.stale),
            to_stretches(f for f, each in merged.items() if each.approved),
        )
        edit, changes = self.log.appended(action)
        changes += [Put(edit.seq, frame, each.results) for frame, each in merged.items()]
        return Repaired(other if whole else None, action.frames), changes

    def evidence(self, obj_id: int) -> Evidence:
        """What tells of an object's problems; `tracked` makes numbers of it, without the session's lock."""
        runs, results = self.records.runs(), self.results
        return Evidence(
            obj_id,
            [
                (f, v.result, v.seq in runs and not results.is_approved(obj_id, f), results.is_stale(obj_id, f, v))
                for f, v in results.versions(obj_id).items()
            ],
        )

    def first_prompted(self, obj_ids: Iterable[int]) -> int | None:
        """The first frame on which any of the objects is prompted; None where none is."""
        frames = (f for i in obj_ids for f, v in self.results.versions(i).items() if self.results.is_prompted(f, v))
        return min(frames, default=None)


def _birth(seq: int, obj_id: int, concept: str) -> Bear:
    name = concept[:1].upper() + concept[1:] if concept else f"Object {obj_id}"
    return Bear(seq, ObjectInfo(obj_id, name, concept, color_of(obj_id)))
