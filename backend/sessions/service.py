"""The one front door: every door of the service calls this, and nothing behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from backend.domain import MAX_NAME, ObjectInfo, PromptAction, Video
from backend.errors import Conflict, EngineError, InvalidInput, NotFound, ServiceError, StorageUnavailable
from backend.exports.base import ExportFormat
from backend.media import confined
from backend.media.disk import disk_errors
from backend.media.frames import FrameCache
from backend.media.library import Library
from backend.owners import LOCAL_OWNER as LOCAL_OWNER
from backend.owners import is_ticket, may_open
from backend.sessions import wire
from backend.sessions.budget import budget_bytes
from backend.sessions.bundle import changes_of, opened_bundle, video_facts
from backend.sessions.capacity import Capacity
from backend.sessions.downloads import Downloads
from backend.sessions.expiry import Sweeper
from backend.sessions.exporting import PREFIX, Exporting
from backend.sessions.labels import COLOR, Labels
from backend.sessions.pictures import Still, painted
from backend.sessions.quota import check_sessions
from backend.sessions.session import Session
from backend.sessions.sqlite import SqliteStore
from backend.sessions.store import Change, MemoryStore, OnStored, Records, SessionRow, Store
from backend.settings import Settings
from backend.workers.pool import Pool, SlotStatus

log = logging.getLogger(__name__)

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
THUMBNAIL_WIDTH = 240
"""Pixels that a session's thumbnail is wide at most."""
MEND_SECONDS = 1.0
"""How often a data folder that could not be read is tried again."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts for /health and /metrics."""

    uptime_seconds: float
    sessions: int
    frames_processed: int


class Service:
    """Sessions of all owners. Thread-safe; nothing here waits for a model.

    What needs a model returns a `Future`. Everything that names a session raises `NotFound` where
    it is unknown or somebody else's. The sessions of an earlier process on the same data folder are
    there again from the start.

    Args:
        store: where sessions are kept; default: in DATA_DIR.
        clock: seconds that only grow. Times that are kept count the seconds that the server ran.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.frames = FrameCache(settings.frame_cache_mb * 1_000_000)
        self.library = Library(settings, self._now)
        self.downloads = Downloads(settings, self.library)
        self.exporting = Exporting(settings.outputs, self.frames, clock)
        self._store = store or SqliteStore(settings.data_dir.resolve(), self.library.source_of)
        self.labels = Labels(self._store, self._objects_of, _wait, self._now)
        self._passing = MemoryStore()
        """Sessions of single calls, which nobody can ask for again."""
        self._clock = clock
        self._began = -clock()
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._capacity = Capacity(settings.max_concurrent_sessions, self._all, pool, self._budget)
        self._sweeper = Sweeper(self.sweep, settings.session_cleanup_interval_seconds)
        self._mender = Sweeper(self._mend, MEND_SECONDS)
        self._started = time.monotonic()
        self._restored = False
        """Whether it is known which sessions there are."""
        if not self._restore():
            self._mender.start()

    def _now(self) -> float:
        """The server's own time: how many seconds it ran, earlier processes included."""
        return self._began + self._clock()

    def _restore(self) -> bool:
        """Take in what earlier processes stored.

        Returns:
            False where it can't be read yet. Until then no session is begun and nothing is swept:
            what looks like nobody's may be somebody's.

        Raises:
            StorageUnavailable: a newer version of the program wrote it.
        """
        try:
            rows = self._store.sessions()
        except StorageUnavailable as error:
            if error.code == "newer_database":
                raise
            return False
        self._began = self._store.clock - self._clock()
        for row in rows:
            session = self._session(row, self._store)
            session.dormant()
            with self._lock:
                self._sessions[row.id] = session
            self._take_place(session)
        self._restored = True
        return True

    def _mend(self) -> None:
        """Try once more to read what is stored."""
        if not self._restored and self._restore():
            log.info("The data folder can be used again.")
            self.library.sweep(starting=True)

    def _check_restored(self) -> None:
        if not self._restored:
            raise StorageUnavailable("The server can't use its data folder. Try again later.")

    def _take_place(self, session: Session) -> None:
        """Keep a stored session's video, and its wish for GPUs as far as they are there still."""
        try:
            self.library.hold(session.video.id)
        except NotFound:
            log.warning("the video of session %s is gone; its results can still be read", session.id)
        if session.row.gpu_ids:
            with contextlib.suppress(InvalidInput):
                self.pool.wish(session.id, session.row.gpu_ids)

    def _session(self, row: SessionRow, store: Store) -> Session:
        def write(changes: Sequence[Change], on_stored: OnStored) -> None:
            store.write(row.id, changes, on_stored)

        records = Records(store.loader(row.id))
        kept = store is self._store
        return Session(row, records, self.pool, write, self._capacity.admit, self._now, kept)

    def start(self) -> None:
        if self._restored:
            self.library.sweep(starting=True)
        self.exporting.sweep()
        confined.SPARE.keep()
        self.pool.start()
        self._sweeper.start()

    def stop(self) -> None:
        """End, so that a new process finds everything as it is; propagations are interrupted."""
        self.suspend()
        self.pool.stop()

    def suspend(self) -> None:
        """`stop`, but for the pool. Idempotent."""
        self._sweeper.stop()
        self._mender.stop()
        self._note_use()
        for session in self._all():
            session.close("interrupted")
        self.exporting.discard(0)
        self._store.close()
        self.frames.close()
        confined.SPARE.drop()

    def _budget(self, place: int) -> int:
        return budget_bytes(self.pool.status(), place, self.settings.engine_memory_mb)

    def _all(self) -> list[Session]:
        with self._lock:
            return list(self._sessions.values())

    # --- sessions --------------------------------------------------------------------------------

    def upload(
        self, source: BinaryIO | Path, name: str, owner: str, fps: Fraction | None = None, passing: bool = False
    ) -> Video:
        """Store an upload; see `Library.add_file`.

        Raises:
            StorageUnavailable: nothing can be kept.
        """
        self._check_restored()
        return self.library.add_file(source, name, owner, fps, passing=passing)

    def start_session(
        self,
        video: Video,
        owner: str,
        session_id: str | None = None,
        keep_video: bool = True,
        gpu_ids: Sequence[int] = (),
        likeness: int | None = None,
        passing: bool = False,
    ) -> Session:
        """Begin a session on a stored video; waits until it is on record.

        Args:
            keep_video: whether the video stays when the session ends.
            gpu_ids: on which worker, see `Pool.wish`.
            likeness: the same.
            passing: it is for one call, and nothing of it is kept on the disk.

        Raises:
            InvalidInput: an id of the wrong form, GPUs that sessions can't have.
            Conflict: the id is taken (`session_exists`).
            TooMany: no place is free, or the owner has too many (`session_quota`).
            TooLarge: the video needs more engine memory than there is.
            DiskFull, StorageUnavailable: it can't be kept.
        """
        if session_id is not None and not SESSION_ID.fullmatch(session_id):
            raise InvalidInput("A session_id has 1 to 64 letters, digits, _ or -.", "invalid_session_id")
        if session_id is not None and is_ticket(owner):
            raise InvalidInput(
                "Leave session_id out: on this server the id it makes is what lets you back into the session.",
                "session_id_not_allowed",
            )
        session_id = session_id or secrets.token_urlsafe(16)
        if not passing:
            self._check_restored()
        with self._lock:
            if session_id in self._sessions:
                raise Conflict(f"There is a session “{session_id}” already.", "session_exists")
            self._check_quota(owner)
            row = SessionRow(session_id, owner, video, keep_video, tuple(gpu_ids), used=self._now())
            store: Store = self._passing if passing else self._store
            session = self._session(row, store)
            self._sessions[session_id] = session
        held = False
        try:
            self.library.hold(video.id)
            held = True
            if gpu_ids or likeness is not None:
                self.pool.wish(session_id, gpu_ids, likeness)
            _wait(lambda on_stored: store.create(row, on_stored))
            session.load()
            session.warm()
        except BaseException:
            with self._lock:
                self._sessions.pop(session_id, None)
            session.close()
            with contextlib.suppress(ServiceError):
                _wait(lambda on_stored: store.delete(session_id, on_stored))
            if held:
                self.library.release(video.id)
            raise
        return session

    def import_session(self, source: BinaryIO, name: str, owner: str) -> Session:
        """A new session from a file that the export `session` wrote, here or elsewhere.

        Args:
            source: the file's data.
            name: the client's name of the file.

        Raises:
            InvalidInput: it is no such file, or its parts don't fit together (`invalid_session_file`).
            TooLarge, InvalidMedia, DiskFull: as of an upload.
            TooMany: the owner has too many sessions (`session_quota`).
            StorageUnavailable: it can't be kept.
        """
        self._check_restored()
        most = self.library.limits.max_bytes
        with self._lock:
            self._check_quota(owner)
        with disk_errors(), tempfile.TemporaryDirectory(prefix=PREFIX, dir=self.exporting.outputs()) as folder:
            path = Path(folder) / "session"
            with path.open("xb") as out:
                shutil.copyfileobj(source, out)
            with opened_bundle(path, most) as (record, file):
                fps, title = video_facts(record)
                video = self.library.add_file(file, title or name, owner, fps, passing=True)
                try:
                    row = SessionRow(secrets.token_urlsafe(16), owner, video, keeps_video=False, used=self._now())
                    changes = changes_of(record, video)
                    self.library.hold(video.id)
                except BaseException:
                    self.library.delete(video.id)
                    raise
        session = self._session(row, self._store)
        session.dormant()
        try:
            _wait(lambda on_stored: self._store.create(row, on_stored, changes))
            session.load()
        except BaseException:
            self.library.release(video.id)
            self.library.delete(video.id)
            raise
        with self._lock:
            self._sessions[row.id] = session
        return session

    def _check_quota(self, owner: str) -> None:
        """Refuse one session too many; the lock is held. Raises: TooMany."""
        check_sessions(owner, (s.owner for s in self._sessions.values()), self.settings.max_sessions_per_owner)

    def get(self, session_id: str, owner: str) -> Session:
        """A session by its id, its records loaded: from the disk, where nobody has used it for long.

        Raises:
            NotFound: unknown, closed, or somebody else's.
            StorageUnavailable: its records can't be read.
        """
        session = self._find(session_id, owner)
        if not session.loaded:
            session.load()
        return session

    async def opened(self, session_id: str, owner: str) -> Session:
        """`get` for an event loop, which it never makes wait for the disk."""
        session = self._find(session_id, owner)
        if not session.loaded:
            await asyncio.to_thread(session.load)
        return session

    def _find(self, session_id: str, owner: str, use: bool = True) -> Session:
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None:
            self._check_restored()
        if session is None or not may_open(owner, session.owner) or session.closed:
            raise _unknown()
        if use:
            session.touch()
        return session

    def list_sessions(self, owner: str) -> list[Session]:
        """The owner's sessions, oldest first. Tickets list nothing.

        Raises:
            StorageUnavailable: it is not known yet which there are.
        """
        if is_ticket(owner):
            return []
        self._check_restored()
        return sorted((s for s in self._all() if s.owner == owner and not s.closed), key=lambda s: s.created_at)

    def disk_bytes(self, owner: str) -> dict[str, int]:
        """What each of the owner's sessions takes on disk: its results, and a video that was stored for it alone.

        Raises:
            StorageUnavailable: it can't be read.
        """
        results = self._store.sizes(owner)
        mine = self.list_sessions(owner)
        return {s.id: results.get(s.id, 0) + (0 if s.row.keeps_video else self.library.size(s.video.id)) for s in mine}

    def close(self, session_id: str, owner: str) -> int:
        """Close a session for good: engine memory, records, and its video where it was stored for it alone.

        Returns:
            The bytes of engine memory freed.

        Raises:
            NotFound: there is none, or somebody else closes it already.
            DiskFull, StorageUnavailable: its records can't be deleted; it is there still.
        """
        return self._drop(self._find(session_id, owner))

    def _drop(self, session: Session) -> int:
        with self._lock:
            if self._sessions.get(session.id) is not session or session.closed:
                raise _unknown()
            freed = session.close()
        store: Store = self._store if session.kept else self._passing
        try:
            _wait(lambda on_stored: store.delete(session.id, on_stored))
        except ServiceError:
            # What is on record is the session: it is as it was, but for a propagation that went on.
            again = self._session(session.row, store)
            again.dormant()
            with self._lock:
                self._sessions[session.id] = again
            raise
        with self._lock:
            self._sessions.pop(session.id, None)
        self.frames.forget(session.video.id)
        self.library.release(session.video.id)
        if not session.row.keeps_video:
            self.library.delete(session.video.id)
        return freed

    def sweep(self) -> list[str]:
        """Park the sessions that have been idle for long, and delete those, and uploads, that nobody used for longer.

        Returns:
            The ids of the sessions it deleted.
        """
        gone = []
        for session in self._all():
            if session.idle_seconds > self.settings.session_retention_seconds:
                # On a full disk it is tried again the next time; somebody else may have closed it meanwhile.
                with contextlib.suppress(ServiceError):
                    self._drop(session)
                    gone.append(session.id)
            elif session.idle_seconds > self.settings.session_timeout_seconds:
                session.park()
                session.unload()
        self._note_use()
        if self._restored:
            self.library.sweep(self.settings.session_retention_seconds)
        self.exporting.discard()
        return gone

    def _note_use(self) -> None:
        if not self._restored:
            return
        used = {session.id: session.used for session in self._all()}
        now = self._now()
        self._store.note_use(now, used, now - self.settings.session_retention_seconds, lambda error: None)

    def require_video(self) -> None:
        """Refuse what is about video where the server is for images only.

        Raises:
            EngineError: `video_model_disabled`.
        """
        if not self.settings.video_model_enabled:
            raise EngineError("Video is switched off on this server.", "video_model_disabled")

    # --- operations ------------------------------------------------------------------------------

    def rename(
        self,
        session_id: str,
        owner: str,
        obj_id: int,
        name: str | None = None,
        label: str | None = None,
        color: str | None = None,
    ) -> Future[ObjectInfo]:
        """Change an object's name, class or colour (`#rrggbb`); None keeps what is.

        With a class that has a colour comes that colour, unless another is given.

        Raises:
            InvalidInput: an empty or overlong name, or something that is no colour.
        """
        session = self.get(session_id, owner)
        if name is not None and not name.strip():
            raise InvalidInput("A name needs at least one character.", "invalid_name")
        if any(text is not None and len(text) > MAX_NAME for text in (name, label)):
            raise InvalidInput(f"Names and classes have {MAX_NAME} characters at most.", "invalid_name")
        if color is not None and not COLOR.fullmatch(color):
            raise InvalidInput("A colour is written #rrggbb.", "invalid_color")
        label = label.strip() if label is not None else None
        if label and color is None:
            color = self.labels.color(session.owner, label)
        return session.rename(obj_id, name.strip() if name else None, label, color)

    def _objects_of(self, owner: str) -> list[ObjectInfo]:
        """The objects of all of an owner's sessions."""
        out: list[ObjectInfo] = []
        for session in self.list_sessions(owner):
            with session.lock:
                out += session.objects.values()
        return out

    def status(self, session: Session) -> wire.Json:
        """A session's status; `queue_position` counts the propagations that are before it."""
        engine = next((slot.info.name for slot in self.pool.status() if slot.info), "")
        position = None
        run = session.run
        if run and run.state == "queued":
            ahead = [s.run for s in self._all() if s is not session and s.run and s.run.state == "queued"]
            position = sum(other.began < run.began for other in ahead)
        return wire.status_out(session, self.settings.session_retention_seconds, engine, position)

    # --- pictures and files ----------------------------------------------------------------------

    def frame(self, session_id: str, owner: str, frame_index: int, still: Still) -> bytes:
        """Exactly that frame as an encoded picture."""
        session = self.get(session_id, owner)
        if still.look is None and still.format == "jpeg":
            return self.frames.jpeg(session.video, frame_index, still.width)
        return self.overlay(session, frame_index, still)

    def thumbnail(self, session_id: str, owner: str) -> bytes:
        """A small JPEG to know a session by: where it was worked on last, its objects painted if they are at hand.

        To be shown in a list is no use of a session: it is parked and deleted as if nobody had looked.

        Raises:
            NotFound: unknown, closed, or somebody else's.
        """
        session = self._find(session_id, owner, use=False)
        if session.video.num_frames == 1 and not session.loaded:
            session.load()
        with session.lock:
            prompted = [e.action.frame_index for e in session.log.active if isinstance(e.action, PromptAction)]
        frame = prompted[-1] if prompted else 0
        if prompted and session.loaded:
            return self.overlay(session, frame, Still(width=THUMBNAIL_WIDTH))
        return self.frames.jpeg(session.video, frame, THUMBNAIL_WIDTH)

    def overlay(self, session: Session, frame_index: int, still: Still | None = None) -> bytes:
        """The frame with its objects painted as `still` has it; by default filled, as JPEG."""
        return painted(session, self.frames.jpeg(session.video, frame_index), frame_index, still or Still())

    def timestamps(self, session_id: str, owner: str) -> Sequence[float]:
        """The time of each frame in seconds, the first one's 0."""
        return self.frames.timestamps(self.get(session_id, owner).video)

    def export(
        self, session_id: str, owner: str, format_name: str, options: Mapping[str, str]
    ) -> tuple[Path, ExportFormat]:
        """Write the session's results to a file in a format; the caller deletes the file, and its folder.

        Raises:
            NotFound: no such format (`unknown_format`).
            InvalidInput: options the format does not know.
        """
        return self.exporting.write(self.get(session_id, owner), format_name, options)

    def export_many(
        self, session_ids: Sequence[str], owner: str, format_name: str, options: Mapping[str, str]
    ) -> tuple[Path, str]:
        """Write the results of several sessions to one file; the caller deletes it, and its folder.

        Returns:
            The file, and its media type.

        Raises:
            NotFound: no such format (`unknown_format`); a session that is unknown or somebody else's.
            InvalidInput: options the format does not know.
        """
        sessions = [self.get(session_id, owner) for session_id in dict.fromkeys(session_ids)]
        return self.exporting.write_many(sessions, format_name, options)

    # --- the server ------------------------------------------------------------------------------

    @property
    def image_gpus(self) -> tuple[int, ...]:
        """The GPU that image calls go to, where IMAGE_MODEL_DEVICE names one of the workers'."""
        index = self.settings.image_model_device.partition(":")[2]
        return (int(index),) if index and int(index) in self.pool.gpus else ()

    def engines(self) -> list[SlotStatus]:
        return self.pool.status()

    def stats(self) -> Stats:
        sessions = self._all()
        frames = sum(s.run.done for s in sessions if s.run)
        return Stats(time.monotonic() - self._started, len(sessions), frames)


def _unknown() -> NotFound:
    return NotFound("There is no such session. It may have been closed.", "session_not_found")


def _wait(begin: Callable[[OnStored], None]) -> None:
    """Have something stored, and wait until it is.

    Raises:
        ServiceError: why it could not be.
    """
    stored: Future[None] = Future()

    def on_stored(error: ServiceError | None) -> None:
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(error)

    begin(on_stored)
    stored.result()
