"""A session's book: its log and results together, and how new entries are written into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backend.domain import (
    FrameResult,
    ObjectInfo,
    ObjectResult,
    Prompt,
    PromptAction,
    PromptRequest,
    Snapshot,
)
from backend.errors import NotFound
from backend.masks.overlay import color_of
from backend.sessions.log import EditLog
from backend.sessions.results import Results
from backend.sessions.store import Records


class Book:
    """Not thread-safe: the session's lock guards it."""

    def __init__(self, records: Records) -> None:
        self.log = EditLog(records)
        self.results = Results(records, self.log)
        self.next_obj_id = max(records.births(), default=0) + 1
        """Ids are never used twice, not even those of undone objects."""
        self._records = records

    @property
    def objects(self) -> dict[int, ObjectInfo]:
        """The objects there are now, by id."""
        return self.log.view.objects

    def object_info(self, obj_id: int) -> ObjectInfo:
        """An object of the session.

        Raises:
            NotFound: there is none of that id.
        """
        info = self.objects.get(obj_id)
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

    def write_prompt(
        self,
        request: PromptRequest,
        found: Iterable[ObjectResult],
        concept_kept: bool,
        born: Mapping[int, str],
    ) -> FrameResult | None:
        """Enter a prompt with the objects it wrote; None, and no entry, where it found nothing.

        `born` holds the words that found an object.
        """
        known = self.objects
        results = tuple(r for r in found if r.obj_id in known or r.obj_id >= self.next_obj_id)
        if not results and not concept_kept:
            return None
        ids = tuple(r.obj_id for r in results)
        edit = self.log.append(PromptAction(request.frame_index, request.prompts, request.obj_id, ids))
        for obj_id in ids:
            if obj_id not in known:
                self._bear(edit.seq, obj_id, born.get(obj_id, ""))
        self._records.put(edit.seq, request.frame_index, results)
        return FrameResult(request.frame_index, results)

    def write_frame(self, seq: int, frame: FrameResult, born: Mapping[int, str]) -> tuple[int, ...]:
        """Enter a propagated frame under the run's edit; returns the objects that are on record for it.

        What a person prompted on the frame stands. `born` holds the words that found an object.
        """
        ids: list[int] = []
        fresh: list[ObjectResult] = []
        for result in frame.objects:
            obj_id = result.obj_id
            if obj_id not in self.objects:
                if obj_id < self.next_obj_id:
                    continue
                self._bear(seq, obj_id, born.get(obj_id, ""))
            ids.append(obj_id)
            seen = self.results.visible(obj_id, frame.frame_index)
            if seen is None or not self.results.is_prompted(seen):
                fresh.append(result)
        self._records.put(seq, frame.frame_index, fresh)
        return tuple(ids)

    def first_prompted(self, obj_ids: Iterable[int]) -> int | None:
        """The first frame on which any of the objects is prompted; None where none is."""
        frames = (f for i in obj_ids for f, v in self.results.versions(i).items() if self.results.is_prompted(v))
        return min(frames, default=None)

    def _bear(self, seq: int, obj_id: int, concept: str) -> None:
        name = concept[:1].upper() + concept[1:] if concept else f"Object {obj_id}"
        self._records.bear(seq, ObjectInfo(obj_id, name, concept, color_of(obj_id)))
        self.next_obj_id = max(self.next_obj_id, obj_id + 1)
        self.log.changed()
