"""What a session keeps: its edits, objects, results and runs, and the changes they are made of.

`Records` is one session's records as they are read, in memory; they change only by `apply`, with
changes that are stored already (`journal.py`). So whatever is seen of a session has been kept. The
log is read when it is first looked at, results when the first of them is, and both can be let go
of again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from backend.domain import Edit, Leg, ObjectInfo, ObjectResult, Video
from backend.errors import ServiceError

RunState = Literal["queued", "running", "complete", "cancelled", "error", "interrupted"]
"""As stored, a run that has not ended is "running"; read again after a restart it is "interrupted"."""


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


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is kept of a propagation beside its edit: what it set out to do, and how it ended.

    `everything`: it looks for all concepts, with objects from `first_new_id` on born in it.
    """

    seq: int
    legs: tuple[Leg, ...]
    everything: bool
    first_new_id: int
    state: RunState = "running"
    error: str | None = None
    code: str | None = None
    milliseconds: float = 0.0


Step = tuple[int, tuple[int, ...]]
"""A frame that a run went over, and the objects that had joined by then."""


# --- changes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    edit: Edit


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete edits for good, with the objects, results and runs that they brought about."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Undone:
    """So many edits at the end of the log are undone now."""

    count: int


@dataclass(frozen=True, slots=True)
class Bear:
    seq: int
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Put:
    """Write results on a frame; those of the same edit, frame and object are replaced."""

    seq: int
    frame_index: int
    results: tuple[ObjectResult, ...]


@dataclass(frozen=True, slots=True)
class Began:
    run: RunRecord


@dataclass(frozen=True, slots=True)
class Stepped:
    """A run went over a frame, `place` frames after its first."""

    seq: int
    place: int
    frame_index: int
    obj_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunIs:
    """A run has ended, or goes on."""

    seq: int
    state: RunState
    error: str | None = None
    code: str | None = None
    milliseconds: float = 0.0


Change = Append | Drop | Undone | Bear | Put | Began | Stepped | RunIs


# --- one session's records -----------------------------------------------------------------------


@dataclass(slots=True)
class Log:
    """The part of the records that is small: all but results and steps."""

    edits: list[Edit] = field(default_factory=list)
    births: dict[int, Birth] = field(default_factory=dict)
    runs: dict[int, RunRecord] = field(default_factory=dict)
    undone: int = 0
    next_seq: int = 1
    next_obj_id: int = 1
    """Neither an edit's number nor an object's is used twice, whatever was dropped."""
    reached: tuple[int, int] | None = None
    """Of the last run, as the log was read: how many frames it had gone over, and the last of them."""


class Loader(Protocol):
    """Reads a session's records from where they are stored."""

    def log(self) -> Log: ...
    def results(self) -> Iterable[tuple[int, int, Version]]:
        """(obj_id, frame_index, version), each pair's versions oldest edit first."""
        ...

    def steps(self) -> Iterable[tuple[int, Step]]:
        """(seq, step), in each run's order."""
        ...


class _Nothing:
    """The loader of a session that has just begun."""

    def log(self) -> Log:
        return Log()

    def results(self) -> Iterable[tuple[int, int, Version]]:
        return ()

    def steps(self) -> Iterable[tuple[int, Step]]:
        return ()


Versions = defaultdict[int, dict[int, list[Version]]]
"""By object, by frame, oldest edit first."""


class Records:
    """Not thread-safe: the session's lock guards it.

    Args:
        loader: where they are read from, on first use; none: they begin empty.
    """

    def __init__(self, loader: Loader | None = None) -> None:
        self._loader = loader or _Nothing()
        self._log: Log | None = None
        self._versions: Versions | None = None
        self._steps: defaultdict[int, list[Step]] | None = None

    @property
    def loaded(self) -> bool:
        """Whether looking at results reads nothing from the disk."""
        return self._versions is not None

    def load(self) -> None:
        """Read everything, unless it is there."""
        self.log  # noqa: B018
        if self._versions is None:
            versions: Versions = defaultdict(dict)
            for obj_id, frame_index, version in self._loader.results():
                versions[obj_id].setdefault(frame_index, []).append(version)
            steps: defaultdict[int, list[Step]] = defaultdict(list)
            for seq, step in self._loader.steps():
                steps[seq].append(step)
            self._versions, self._steps = versions, steps

    def unload(self) -> None:
        """Let go of what can be read again."""
        if not isinstance(self._loader, _Nothing):
            self._log = self._versions = self._steps = None

    def keep_in(self, loader: Loader) -> None:
        """From now on they can be read from there."""
        self._loader = loader

    @property
    def log(self) -> Log:
        if self._log is None:
            self._log = self._loader.log()
        return self._log

    def edits(self) -> Sequence[Edit]:
        return self.log.edits

    def births(self) -> Mapping[int, Birth]:
        return self.log.births

    def runs(self) -> Mapping[int, RunRecord]:
        return self.log.runs

    def versions(self, obj_id: int, frame_index: int) -> Sequence[Version]:
        """All versions of a result, oldest edit first."""
        frames = self._results.get(obj_id)
        return frames.get(frame_index, ()) if frames else ()

    def frames(self, obj_id: int) -> Iterable[int]:
        """The frames on which the object has any version, in no order."""
        return self._results.get(obj_id, {}).keys()

    def steps(self, seq: int) -> Sequence[Step]:
        """What a run went over so far, in its order."""
        self.load()
        assert self._steps is not None
        return self._steps.get(seq, ())

    @property
    def _results(self) -> Versions:
        self.load()
        assert self._versions is not None
        return self._versions

    def apply(self, changes: Iterable[Change]) -> None:
        """Take over changes that are stored."""
        self.load()
        log, versions, steps = self.log, self._results, self._steps
        assert steps is not None
        for change in changes:
            match change:
                case Append(edit):
                    log.edits.append(edit)
                    log.next_seq = max(log.next_seq, edit.seq + 1)
                case Drop(seqs):
                    self._drop(set(seqs))
                case Undone(count):
                    log.undone = count
                case Bear(seq, info):
                    log.births[info.id] = Birth(seq, info)
                    log.next_obj_id = max(log.next_obj_id, info.id + 1)
                case Put(seq, frame_index, results):
                    for result in results:
                        kept = [v for v in versions[result.obj_id].get(frame_index, ()) if v.seq != seq]
                        kept.append(Version(seq, result))
                        versions[result.obj_id][frame_index] = sorted(kept, key=lambda v: v.seq)
                case Began(run):
                    log.runs[run.seq] = run
                case Stepped(seq, _, frame_index, obj_ids):
                    steps[seq].append((frame_index, obj_ids))
                case RunIs(seq, state, error, code, milliseconds):
                    log.runs[seq] = replace(
                        log.runs[seq], state=state, error=error, code=code, milliseconds=milliseconds
                    )

    def _drop(self, gone: set[int]) -> None:
        log, versions, steps = self.log, self._results, self._steps
        assert steps is not None
        log.edits = [e for e in log.edits if e.seq not in gone]
        log.births = {obj_id: b for obj_id, b in log.births.items() if b.seq not in gone}
        for seq in gone:
            log.runs.pop(seq, None)
            steps.pop(seq, None)
        for frames in versions.values():
            for frame_index in list(frames):
                kept = [v for v in frames[frame_index] if v.seq not in gone]
                if kept:
                    frames[frame_index] = kept
                else:
                    del frames[frame_index]


# --- all sessions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it is listed: whose it is, and on what.

    `keeps_video`: the video stays when the session ends. `used` is when it was last used, in
    seconds of the server's own time, which stands still while the server does not run.
    """

    id: str
    owner: str
    video: Video
    keeps_video: bool = True
    gpu_ids: tuple[int, ...] = ()
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    used: float = 0.0


OnStored = Callable[[ServiceError | None], None]
"""Told once that something is stored, or why it could not be."""


class Store(Protocol):
    """Where sessions are kept. What is written is on record once `on_stored` was called without an error."""

    def sessions(self) -> list[SessionRow]:
        """Those that there were when the store was first read, oldest first.

        Raises:
            StorageUnavailable: it can't be read; it may be tried again.
        """
        ...

    def loader(self, session_id: str) -> Loader | None: ...
    def sizes(self, owner: str) -> Mapping[str, int]:
        """What the results of each of an owner's sessions take, in bytes.

        Raises:
            StorageUnavailable: it can't be read.
        """
        ...

    def labels(self, owner: str) -> Mapping[str, str]:
        """The colours of an owner's classes.

        Raises:
            StorageUnavailable: they can't be read.
        """
        ...

    def put_label(self, owner: str, label: str, color: str, clock: float, on_stored: OnStored) -> None: ...
    def drop_label(self, owner: str, label: str, on_stored: OnStored) -> None: ...
    def create(self, row: SessionRow, on_stored: OnStored, changes: Sequence[Change] = ()) -> None: ...
    def write(self, session_id: str, changes: Sequence[Change], on_stored: OnStored) -> None: ...
    def delete(self, session_id: str, on_stored: OnStored) -> None: ...

    @property
    def clock(self) -> float:
        """The server's own time when the store was last told of it, in seconds; known with its sessions."""
        ...

    def note_use(self, clock: float, used: Mapping[str, float], forget: float, on_stored: OnStored) -> None:
        """Write down the server's own time, and when sessions were last used.

        `forget`: classes of visitors that were given before that time, and who have no session, are deleted.
        """
        ...

    def close(self) -> None: ...


class MemoryStore:
    """A store that ends with the process: for what nobody could ask for again."""

    clock = 0.0

    def sessions(self) -> list[SessionRow]:
        return []

    def loader(self, session_id: str) -> Loader | None:
        return None

    def sizes(self, owner: str) -> Mapping[str, int]:
        return {}

    def labels(self, owner: str) -> Mapping[str, str]:
        return {}

    def put_label(self, owner: str, label: str, color: str, clock: float, on_stored: OnStored) -> None:
        on_stored(None)

    def drop_label(self, owner: str, label: str, on_stored: OnStored) -> None:
        on_stored(None)

    def create(self, row: SessionRow, on_stored: OnStored, changes: Sequence[Change] = ()) -> None:
        on_stored(None)

    def write(self, session_id: str, changes: Sequence[Change], on_stored: OnStored) -> None:
        on_stored(None)

    def delete(self, session_id: str, on_stored: OnStored) -> None:
        on_stored(None)

    def note_use(self, clock: float, used: Mapping[str, float], forget: float, on_stored: OnStored) -> None:
        on_stored(None)

    def close(self) -> None:
        pass
