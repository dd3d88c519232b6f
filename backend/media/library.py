"""The library of videos: uploads and server-side files, who owns them, and when they go.

On disk, below the uploads folder: `<id>/source` (the file, a folder of frames, or a link to a
server-side file), `<id>/source.index`, `<id>/meta.json` and `<id>/used` (when it was last used);
`incoming/<token>/` while a video is taken in. A video appears by one rename and is
listed only while its `meta.json` exists.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from backend.domain import Video
from backend.errors import NotFound, TooLarge
from backend.media.archive import is_zip, unpack_frames
from backend.media.disk import check_steady, disk_errors, disk_usage, sync, sync_folder
from backend.media.index import sidecar
from backend.media.limits import Limits, limits_from
from backend.media.probe import check_fps, probe
from backend.media.quota import Quota, Taking
from backend.media.records import (
    OnProgress,
    Progress,
    Readable,
    bytes_left,
    folders_in,
    new_video,
    video_from_record,
    video_record,
)
from backend.owners import may_open
from backend.settings import Settings

_INCOMING = "incoming"
_SOURCE = "source"
_META = "meta.json"
_USED = "used"
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_CHUNK = 1 << 20
_COPIED = 0.3
"""The part of the progress that stands for receiving the file."""


@dataclass(slots=True)
class _Entry:
    video: Video
    owner: str
    used: float
    """When it was last asked for, by the library's clock."""
    size: int
    """What it takes on disk, in bytes."""
    passing: bool
    """Whether it was stored for one session only, and ends with it."""
    noted: float = -1.0
    """The `used` that is on disk."""


class Library:
    """Stored videos. Thread-safe; a video's own files are read without any lock.

    Args:
        settings: where they lie, and the limits.
        clock: seconds of a clock that goes on from where it was when the process starts again.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._folder = settings.uploads
        self._roots = [Path(root) for root in settings.video_roots]
        self._limits = limits_from(settings)
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._holds: Counter[str] = Counter()
        self._doomed: set[str] = set()
        self._taking_in: set[Path] = set()
        self._quota = Quota(settings.max_stored_mb_per_owner * 1_000_000)

    @property
    def limits(self) -> Limits:
        return self._limits

    # --- taking in ---------------------------------------------------------------------------

    def add_file(
        self,
        source: Readable | Path,
        name: str,
        owner: str,
        fps: Fraction | None = None,
        on_progress: OnProgress | None = None,
        passing: bool = False,
    ) -> Video:
        """Store an upload: a video, a GIF, an image, or a zip of numbered frames.

        Args:
            source: the data, read from where it stands; or a file to copy.
            name: the client's file name; only shown.
            fps: for zips of frames, whose pictures have no timing; else 30 is assumed.
            on_progress: called with the part done, 0 to 1, growing.
            passing: it is for one session only, so a new process deletes it unless one holds it.

        Raises:
            TooLarge: `upload_too_large`, as soon as the limit is passed; and what `probe` raises.
            InvalidMedia: not media that can be read; `unsafe_archive`; and what `probe` raises.
            DiskFull: it can't be stored.
            TooMany: it is more than its owner may keep (`storage_quota`), as soon as that is passed.
        """
        check_fps(fps)
        tell = Progress(on_progress)
        with self._incoming() as folder, self._counted(owner) as taking:
            stored = folder / _SOURCE
            if isinstance(source, Path):
                with source.open("rb") as file:
                    self._receive(file, stored, taking, tell.part(0, _COPIED))
            else:
                self._receive(source, stored, taking, tell.part(0, _COPIED))
            if is_zip(stored):
                packed = stored.rename(folder / "packed")
                self._unpack(packed, stored, tell.part(_COPIED, 0.6))
                packed.unlink()
            return self._finish(folder, stored, name, owner, taking, fps, tell.part(0.6, 1), passing)

    def add_path(
        self, path_text: str, owner: str, fps: Fraction | None = None, on_progress: OnProgress | None = None
    ) -> Video:
        """Use a file, or a folder of numbered frames, that lies below one of the video roots, for one session.

        It is not copied (a zip is unpacked, though); `Video.path` is a link to it in the library.

        Args:
            path_text: a path relative to one of the roots, or an absolute one below them.

        Raises:
            NotFound: `video_not_found`, outside the roots as well as missing.
            InvalidMedia, TooLarge: what `probe` raises.
            DiskFull: the library's own files can't be written.
        """
        check_fps(fps)
        path = self._below_roots(path_text)
        tell = Progress(on_progress)
        with self._incoming() as folder, self._counted(owner) as taking:
            stored = folder / _SOURCE
            if path.is_file() and is_zip(path):
                self._unpack(path, stored, tell.part(0, 0.5))
            else:
                stored.symlink_to(path)
            return self._finish(folder, stored, path.name, owner, taking, fps, tell.part(0.5, 1), passing=True)

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """A folder to take a video in; gone afterwards, unless it was renamed."""
        folder = self._folder / _INCOMING / secrets.token_hex(16)
        with self._lock:
            self._taking_in.add(folder)
        try:
            with disk_errors():
                folder.mkdir(parents=True)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with self._lock:
                self._taking_in.discard(folder)

    @contextmanager
    def _counted(self, owner: str) -> Iterator[Taking]:
        """What an upload takes of its owner's share, given back where it fails."""
        taking = Taking(self._quota, owner)
        try:
            yield taking
        except BaseException:
            taking.give_back()
            raise

    def _receive(self, source: Readable, target: Path, taking: Taking, on_progress: OnProgress) -> None:
        total = bytes_left(source)
        limit = self._limits.max_bytes
        received = 0
        with target.open("xb") as out:
            while chunk := source.read(_CHUNK):
                received += len(chunk)
                if received > limit:
                    raise TooLarge(f"The file is too large: {limit / 1e6:g} MB are allowed.", "upload_too_large")
                taking.take(len(chunk))
                out.write(chunk)
                if total:
                    on_progress(min(1.0, received / total))

    def _unpack(self, archive: Path, folder: Path, on_progress: OnProgress) -> None:
        folder.mkdir()
        unpack_frames(archive, folder, self._limits, on_progress)

    def _finish(
        self,
        folder: Path,
        stored: Path,
        name: str,
        owner: str,
        taking: Taking,
        fps: Fraction | None,
        on_progress: OnProgress,
        passing: bool,
    ) -> Video:
        """Probe what was taken in and let it appear."""
        taking.settle(disk_usage(stored))
        check_steady(stored)
        found = probe(stored, self._limits, fps, on_progress)
        check_steady(stored)
        if found.kind == "video":
            sidecar(stored).write_bytes(found.index.to_bytes())
        video_id = secrets.token_urlsafe(16)
        video = new_video(video_id, self.source_of(video_id), name, found)
        (folder / _META).write_text(json.dumps(video_record(video, owner) | {"passing": passing}))
        # What is acknowledged has to outlive the machine's power too.
        sync_folder(folder)
        folder.rename(self._folder / video_id)
        sync(self._folder)
        with self._lock:
            self._entries[video_id] = _Entry(video, owner, self._clock(), taking.count, passing)
        on_progress(1.0)
        return video

    def _below_roots(self, path_text: str) -> Path:
        for root in self._roots if path_text.strip() else []:
            try:
                top = root.resolve(strict=True)
                path = (top / path_text).resolve(strict=True)
                if path.is_relative_to(top) and (path.is_file() or (path.is_dir() and _keeps_inside(path, top))):
                    return path
            except (OSError, ValueError, RuntimeError):
                # Missing, too long, with a zero byte, or links in a circle: not found, all of them.
                continue
        raise NotFound("There is no such video on the server.", "video_not_found")

    # --- looking up and deleting -------------------------------------------------------------

    def source_of(self, video_id: str) -> Path:
        """Where a video of that id lies."""
        return self._folder / video_id / _SOURCE

    def get(self, video_id: str, owner: str) -> Video:
        """A stored video of that owner.

        Raises:
            NotFound: `video_not_found`: unknown, deleted, or somebody else's.
        """
        with self._lock:
            entry = self._entry(video_id)
            if entry is None or not may_open(owner, entry.owner):
                raise _unknown()
            entry.used = self._clock()
            return entry.video

    def size(self, video_id: str) -> int:
        """What a video takes on disk, in bytes; 0 where there is none of that id."""
        with self._lock:
            entry = self._entry(video_id)
            return entry.size if entry else 0

    def hold(self, video_id: str) -> None:
        """Keep a video's files until the matching `release`, even when it is deleted.

        Raises:
            NotFound: it is unknown or deleted already.
        """
        with self._lock:
            if self._entry(video_id) is None:
                raise _unknown()
            self._holds[video_id] += 1

    def release(self, video_id: str) -> None:
        """Undo one `hold`. The last one carries out a deletion that waited for it."""
        with self._lock:
            if video_id in self._entries:
                self._entries[video_id].used = self._clock()
            if self._holds[video_id] <= 1:
                del self._holds[video_id]
            else:
                self._holds[video_id] -= 1
            last = video_id in self._doomed and video_id not in self._holds
            if last:
                self._doomed.discard(video_id)
        if last:
            self._remove(video_id)

    def delete(self, video_id: str) -> None:
        """Delete a video: at once for everybody who asks for it, on disk after the last `release`.

        Unknown ids are no error. A server-side file is left where it is.
        """
        with self._lock:
            if self._entry(video_id) is None:
                return
            self._forget(video_id)
            (self._folder / video_id / _META).unlink(missing_ok=True)
            if video_id in self._holds:
                self._doomed.add(video_id)
                return
        self._remove(video_id)

    def sweep(self, unused_seconds: float | None = None, starting: bool = False) -> int:
        """Delete what was left over by a process that ended, and count it; write down what was used when.

        Args:
            unused_seconds: also delete videos that nobody holds and nobody asked for during so
                long a time.
            starting: also delete what was stored for one session only and that no session holds.
        """
        with self._lock:
            left = [f for f in folders_in(self._folder / _INCOMING) if f not in self._taking_in]
            for folder in folders_in(self._folder):
                video_id = folder.name
                if not _ID.fullmatch(video_id) or video_id in self._holds or video_id in self._doomed:
                    continue
                if self._unwanted(video_id, unused_seconds, starting):
                    self._forget(video_id)
                    (folder / _META).unlink(missing_ok=True)
                    left.append(folder)
            self._note_use()
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)

    def _note_use(self) -> None:
        for video_id, entry in self._entries.items():
            if entry.used != entry.noted:
                # On a full disk the one from before stays; it is tried again at the next sweep.
                with contextlib.suppress(OSError):
                    (self._folder / video_id / _USED).write_text(str(entry.used))
                    entry.noted = entry.used

    def _unwanted(self, video_id: str, unused_seconds: float | None, starting: bool) -> bool:
        entry = self._entry(video_id)
        if entry is None or (starting and entry.passing):
            return True
        return unused_seconds is not None and self._clock() - entry.used > unused_seconds

    def _entry(self, video_id: str) -> _Entry | None:
        """An entry, from disk where this process has not seen it yet. The lock is held."""
        if video_id in self._entries:
            return self._entries[video_id]
        if not _ID.fullmatch(video_id):
            return None
        meta = self._folder / video_id / _META
        try:
            fields = json.loads(meta.read_text())
            passing = bool(fields.pop("passing", False))
            source = meta.with_name(_SOURCE)
            video = video_from_record(fields, source)
            entry = _Entry(video, fields["owner"], self._clock(), disk_usage(source), passing)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # Before the first note it counts as used just now: kept too long rather than too short.
        with contextlib.suppress(OSError, ValueError):
            entry.used = entry.noted = min(float(meta.with_name(_USED).read_text()), self._clock())
        self._quota.note(entry.owner, entry.size)
        self._entries[video_id] = entry
        return entry

    def _forget(self, video_id: str) -> None:
        """The lock is held."""
        entry = self._entries.pop(video_id, None)
        if entry is not None:
            self._quota.note(entry.owner, -entry.size)

    def _remove(self, video_id: str) -> None:
        # What can't be removed now has no meta.json any more, so a later sweep takes it.
        shutil.rmtree(self._folder / video_id, ignore_errors=True)


def _keeps_inside(folder: Path, top: Path) -> bool:
    """Whether none of a folder's files is a link that leads out of the root."""
    return all(file.resolve().is_relative_to(top) for file in folder.iterdir() if file.is_symlink())


def _unknown() -> NotFound:
    return NotFound("There is no such video: it was deleted, or never uploaded.", "video_not_found")
