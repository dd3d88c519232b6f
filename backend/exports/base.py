"""What every export reads and offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from backend.domain import FrameResult, ObjectInfo, ObjectResult, Video
from backend.engines.base import FrameSource
from backend.errors import InvalidInput, NotFound

S = TypeVar("S", bound=str)
OnProgress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


@dataclass(frozen=True)
class ExportSource:
    """What an export reads; the session service builds it.

    `timestamps` holds the source's own time of each frame in seconds. `result` gives the visible
    stored result of a frame, None where it was never computed. `stale(obj_id, frame_index)` says
    that an object's stored mask on a frame is out of date, `approved(…)` that a person approved it,
    `known(…)` that it was computed there or looked for in vain. `open_frames` opens the video's
    pictures. `save` writes the whole session to a file.
    """

    video: Video
    timestamps: Sequence[float]
    objects: Sequence[ObjectInfo]
    result: Callable[[int], FrameResult | None]
    stale: Callable[[int, int], bool]
    approved: Callable[[int, int], bool]
    known: Callable[[int, int], bool]
    open_frames: Callable[[], AbstractContextManager[FrameSource]]
    save: Callable[[Path], None]


class ExportFormat(Protocol):
    """A format: how it is shown, and how it is written.

    `extension` starts with its dot. `options` names the options it takes, each with its help.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def extension(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def options(self) -> Mapping[str, str]: ...

    def write(
        self,
        source: ExportSource,
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        """Write the file `target`, frame by frame; memory does not grow with the video.

        Raises:
            InvalidInput: an option it does not know, or a value it can't take (`invalid_option`).
            NotFound: an object that the session does not have.
            DiskFull: no room for the file.
        """
        ...


COMMON_OPTIONS: Mapping[str, str] = {
    "objects": "only these objects, ids by comma; default: all",
    "stale": "include (default) or skip: what to do with masks that are out of date",
}


@dataclass(frozen=True)
class Selection:
    """Which of the stored masks an export takes."""

    source: ExportSource
    objects: Mapping[int, ObjectInfo]
    skip_stale: bool

    @classmethod
    def read(cls, source: ExportSource, options: Mapping[str, str]) -> Selection:
        """The selection that the common options ask for.

        Raises:
            InvalidInput: a value that can't be read.
            NotFound: an object that the session does not have.
        """
        known = {info.id: info for info in sorted(source.objects, key=lambda info: info.id)}
        wanted = [part.strip() for part in options.get("objects", "").split(",") if part.strip()]
        if any(not (part.isascii() and part.isdigit()) for part in wanted):
            raise InvalidInput("The option “objects” is a list of object ids by comma, such as 1,3.", "invalid_option")
        missing = [part for part in wanted if int(part) not in known]
        if missing:
            raise NotFound(f"There is no object {missing[0]} in this session.", "unknown_object")
        ids = {int(part) for part in wanted} or set(known)
        chosen = {obj_id: info for obj_id, info in known.items() if obj_id in ids}
        return cls(source, chosen, choice(options, "stale", ("include", "skip")) == "skip")

    def on(self, frame_index: int) -> list[ObjectResult] | None:
        """The chosen objects' results on a frame by rising id, None where it was never computed."""
        result = self.source.result(frame_index)
        if result is None:
            return None
        taken = [r for r in result.objects if r.obj_id in self.objects]
        if self.skip_stale:
            taken = [r for r in taken if not self.source.stale(r.obj_id, frame_index)]
        return sorted(taken, key=lambda r: r.obj_id)

    def knows(self, frame_index: int) -> bool:
        """Whether it is known of each chosen object where on a frame it is, or that it is not there."""
        return all(
            self.source.known(i, frame_index) and not (self.skip_stale and self.source.stale(i, frame_index))
            for i in self.objects
        )


def check_options(options: Mapping[str, str], known: Mapping[str, str], title: str) -> None:
    """Refuse options that a format does not take, naming those that it does.

    Raises:
        InvalidInput: an unknown option.
    """
    for name in options:
        if name not in known:
            listed = ", ".join(known)
            raise InvalidInput(f"{title} has no option “{name[:40]}”. It takes: {listed}.", "invalid_option")


def choice(options: Mapping[str, str], name: str, allowed: Sequence[S]) -> S:
    """An option's value out of `allowed`, the first of which is the default.

    Raises:
        InvalidInput: another value.
    """
    value = options.get(name, allowed[0]).strip().lower()
    for known in allowed:
        if value == known:
            return known
    raise InvalidInput(f"The option “{name}” is one of: {', '.join(allowed)}.", "invalid_option")
