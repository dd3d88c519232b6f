"""Small parts of the library: records of videos on disk, progress over several steps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from backend.domain import Video
from backend.media.names import display_name
from backend.media.probe import Probe

OnProgress = Callable[[float], None]


class Progress:
    """Progress that only grows, however many steps report to it."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._told = -1.0

    def part(self, start: float, stop: float) -> OnProgress:
        """A callback for the step between two parts of the whole."""

        def tell(done: float) -> None:
            value = start + (stop - start) * done
            if self._on_progress is not None and value > self._told:
                self._told = value
                self._on_progress(value)

        return tell


class Readable(Protocol):
    """Something to read a file from."""

    def read(self, size: int, /) -> bytes: ...


def bytes_left(source: Any) -> int:
    """How many bytes are left to read; 0 where that is unknown."""
    try:
        here: int = source.tell()
        end: int = source.seek(0, 2)
        source.seek(here)
        return end - here
    except (OSError, AttributeError, ValueError):
        return 0


def folders_in(parent: Path) -> list[Path]:
    """The folders in a folder, links left out; none where it can't be read."""
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def new_video(video_id: str, path: Path, name: str, found: Probe) -> Video:
    """A video as probed; `name` is the client's."""
    return Video(
        id=video_id,
        path=path,
        name=display_name(name),
        width=found.width,
        height=found.height,
        fps=found.fps,
        num_frames=found.num_frames,
        duration=found.duration,
        kind=found.kind,
        fps_assumed=found.fps_assumed,
        has_audio=found.has_audio,
    )


def video_record(video: Video, owner: str) -> dict[str, Any]:
    """What is kept of a video as JSON. Its path is not: it follows from where the record lies."""
    return {
        "owner": owner,
        "id": video.id,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "fps": str(video.fps),
        "num_frames": video.num_frames,
        "duration": video.duration,
        "kind": video.kind,
        "fps_assumed": video.fps_assumed,
        "has_audio": video.has_audio,
    }


def video_from_record(fields: dict[str, Any], path: Path) -> Video:
    """Read what `video_record` made.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    rest = {name: value for name, value in fields.items() if name not in ("owner", "fps")}
    return Video(path=path, fps=Fraction(fields["fps"]), **rest)
