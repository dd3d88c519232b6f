"""Sessions' results as files: written into folders of their own, which go once the file has been fetched."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from backend.domain import FrameResult
from backend.engines.base import FrameSource
from backend.exports import registry as exports
from backend.exports.many import kind_of, write_many
from backend.media import confined
from backend.media.disk import disk_errors
from backend.media.frames import FrameCache
from backend.sessions.bundle import write_bundle
from backend.sessions.session import Session

PREFIX = "export-"
"""How the folders begin."""
KEPT_SECONDS = 3600.0
"""How long a file that was handed to Gradio is kept."""


class Exporting:
    """Thread-safe.

    Args:
        outputs: where the folders are made; made itself if need be.
        frames: tells the times of frames.
        clock: seconds that only grow.
    """

    def __init__(self, outputs: Path, frames: FrameCache, clock: Callable[[], float]) -> None:
        self._outputs = outputs
        self._frames = frames
        self._clock = clock
        self._lock = threading.Lock()
        self._leaving: list[tuple[float, Path]] = []

    def write(
        self, session: Session, format_name: str, options: Mapping[str, str]
    ) -> tuple[Path, exports.ExportFormat]:
        """See `Service.export`."""
        fmt = exports.get(format_name)
        with self._folder() as folder:
            target = folder / f"{safe_stem(session.video.name)}{fmt.extension}"
            with disk_errors():
                fmt.write(self._source(session), target, options)
        return target, fmt

    def write_many(self, sessions: Sequence[Session], format_name: str, options: Mapping[str, str]) -> tuple[Path, str]:
        """See `Service.export_many`."""
        fmt = exports.get(format_name)
        extension, media_type = kind_of(fmt)
        what = "images" if all(s.video.kind == "image" for s in sessions) else "sessions"
        with self._folder() as folder:
            target = folder / f"{len(sessions)}-{what}{extension}"
            named = [(safe_stem(s.video.name), self._source(s)) for s in sessions]
            with disk_errors():
                write_many(fmt, named, target, options)
        return target, media_type

    def outputs(self) -> Path:
        """The folder that all is made in."""
        self._outputs.mkdir(parents=True, exist_ok=True)
        return self._outputs

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        """A folder for an export; it stays for as long as the file in it, and goes at once if that can't be made."""
        with disk_errors():
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.outputs()))
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def sweep(self) -> None:
        """Delete what an earlier process left."""
        for left in self._outputs.glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    def discard_later(self, path: Path) -> None:
        """Delete a file, and its folder, once whoever fetches it has had the time to."""
        with self._lock:
            self._leaving.append((self._clock(), path))

    def discard(self, older_than: float = KEPT_SECONDS) -> None:
        """Delete what was handed out for `discard_later` so many seconds ago."""
        now = self._clock()
        with self._lock:
            gone = [path for since, path in self._leaving if now - since >= older_than]
            self._leaving = [(since, path) for since, path in self._leaving if now - since < older_than]
        for path in gone:
            shutil.rmtree(path.parent, ignore_errors=True)

    def _source(self, session: Session) -> exports.ExportSource:
        """What a format reads of a session."""

        def stale(obj_id: int, frame_index: int) -> bool:
            with session.lock:
                version = session.results.visible(obj_id, frame_index)
                return version is not None and session.results.is_stale(obj_id, frame_index, version)

        def approved(obj_id: int, frame_index: int) -> bool:
            with session.lock:
                return session.results.is_approved(obj_id, frame_index)

        def result(frame_index: int) -> FrameResult | None:
            with session.lock:
                return session.results.frame(frame_index)

        def frames() -> AbstractContextManager[FrameSource]:
            return confined.ConfinedReader(session.video)

        with session.lock:
            objects = list(session.objects.values())
            searched = {info.id: session.results.searched(info.id) for info in objects}

        def known(obj_id: int, frame_index: int) -> bool:
            with session.lock:
                seen = session.results.visible(obj_id, frame_index) is not None
            return seen or frame_index in searched[obj_id]

        return exports.ExportSource(
            video=session.video,
            timestamps=self._frames.timestamps(session.video),
            objects=objects,
            result=result,
            stale=stale,
            approved=approved,
            known=known,
            open_frames=frames,
            save=partial(write_bundle, session),
        )


def safe_stem(name: str) -> str:
    """A file name without its ending, fit for any file system."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")
    return stem[:80] or "video"
