"""Where a session's edits, objects and results are kept.

One small interface, so that what is in memory today can be a database tomorrow: everything a
session knows beyond it can be computed from it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.domain import Edit, ObjectInfo, ObjectResult


@dataclass(frozen=True, slots=True)
class Birth:
    """An object and the edit that brought it about."""

    seq: int
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Version:
    """A result of one object on one frame, and the edit that wrote it."""

    seq: int
    result: ObjectResult


class Records(Protocol):
    """The records of one session. Versions of a (frame, object) come oldest edit first."""

    def edits(self) -> Sequence[Edit]: ...
    def append(self, edit: Edit) -> None: ...
    def drop(self, seqs: Iterable[int]) -> None:
        """Delete edits for good, with the objects and versions that they brought about."""
        ...

    def births(self) -> Mapping[int, Birth]: ...
    def bear(self, seq: int, info: ObjectInfo) -> None: ...
    def put(self, seq: int, frame_index: int, results: Iterable[ObjectResult]) -> None:
        """Write versions; one of the same edit, frame and object is replaced."""
        ...

    def versions(self, obj_id: int, frame_index: int) -> Sequence[Version]: ...
    def frames(self, obj_id: int) -> Iterable[int]:
        """The frames on which the object has any version, in no order."""
        ...


class Store(Protocol):
    def create(self, session_id: str) -> Records: ...
    def delete(self, session_id: str) -> None: ...


class MemoryRecords:
    """Records in memory."""

    def __init__(self) -> None:
        self._edits: list[Edit] = []
        self._births: dict[int, Birth] = {}
        self._versions: defaultdict[int, dict[int, list[Version]]] = defaultdict(dict)

    def edits(self) -> Sequence[Edit]:
        return self._edits

    def append(self, edit: Edit) -> None:
        self._edits.append(edit)

    def drop(self, seqs: Iterable[int]) -> None:
        gone = set(seqs)
        if not gone:
            return
        self._edits = [e for e in self._edits if e.seq not in gone]
        self._births = {obj_id: b for obj_id, b in self._births.items() if b.seq not in gone}
        for frames in self._versions.values():
            for frame_index in list(frames):
                kept = [v for v in frames[frame_index] if v.seq not in gone]
                if kept:
                    frames[frame_index] = kept
                else:
                    del frames[frame_index]

    def births(self) -> Mapping[int, Birth]:
        return self._births

    def bear(self, seq: int, info: ObjectInfo) -> None:
        self._births[info.id] = Birth(seq, info)

    def put(self, seq: int, frame_index: int, results: Iterable[ObjectResult]) -> None:
        for result in results:
            versions = self._versions[result.obj_id].setdefault(frame_index, [])
            versions[:] = [v for v in versions if v.seq != seq]
            versions.append(Version(seq, result))
            versions.sort(key=lambda v: v.seq)

    def versions(self, obj_id: int, frame_index: int) -> Sequence[Version]:
        frames = self._versions.get(obj_id)
        return frames.get(frame_index, ()) if frames else ()

    def frames(self, obj_id: int) -> Iterable[int]:
        return self._versions.get(obj_id, {}).keys()


class MemoryStore:
    """A store that ends with the process."""

    def __init__(self) -> None:
        self._records: dict[str, MemoryRecords] = {}

    def create(self, session_id: str) -> Records:
        records = MemoryRecords()
        self._records[session_id] = records
        return records

    def delete(self, session_id: str) -> None:
        self._records.pop(session_id, None)
