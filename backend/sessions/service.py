"""The one front door: every door of the service calls this, and nothing behind it."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from backend.domain import FrameResult, ObjectInfo, Video
from backend.engines.base import FrameSource
from backend.errors import Conflict, EngineError, InvalidInput, NotFound, Unsupported
from backend.exports import registry as exports
from backend.masks import decode
from backend.masks.overlay import Layer, draw
from backend.media.frames import FrameCache
from backend.media.library import Library
from backend.media.reader import open_frames
from backend.sessions import wire
from backend.sessions.budget import budget_bytes
from backend.sessions.capacity import Capacity
from backend.sessions.expiry import Sweeper
from backend.sessions.session import Session
from backend.sessions.store import MemoryStore, Store
from backend.settings import Settings
from backend.workers.pool import Pool, SlotStatus

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
COLOR = re.compile(r"#[0-9a-fA-F]{6}")
MAX_NAME = 100
EXPORT_SECONDS = 3600.0
"""How long an export that was handed to Gradio is kept."""
LOCAL_OWNER = "local"
"""The owner where there is only one."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts for /health and /metrics."""

    uptime_seconds: float
    sessions: int
    frames_processed: int


class Service:
    """Sessions of all owners. Thread-safe; nothing here waits for a model.

    What needs a model returns a `Future`. Everything that names a session raises `NotFound` where
    it is unknown or somebody else's.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        library: Library | None = None,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.library = library or Library(settings)
        self.frames = FrameCache(settings.frame_cache_mb * 1_000_000)
        self._store = store or MemoryStore()
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._passing: set[str] = set()
        """Videos that were stored for one session only, and end with it."""
        self._leaving: list[tuple[float, Path]] = []
        self._capacity = Capacity(settings.max_concurrent_sessions, self._all, pool, self._budget)
        self._sweeper = Sweeper(self.sweep, settings.session_cleanup_interval_seconds)
        self._started = time.monotonic()

    def start(self) -> None:
        self.library.sweep()
        self.pool.start()
        self._sweeper.start()

    def stop(self) -> None:
        self._sweeper.stop()
        for session in self._all():
            session.close()
        self._discard(0)
        self.pool.stop()
        self.frames.close()

    def _budget(self, place: int) -> int:
        return budget_bytes(self.pool.status(), place, self.settings.engine_memory_mb)

    def _all(self) -> list[Session]:
        with self._lock:
            return list(self._sessions.values())

    # --- sessions --------------------------------------------------------------------------------

    def upload(self, source: BinaryIO | Path, name: str, owner: str, fps: Fraction | None = None) -> Video:
        """Store an upload; see `Library.add_file`."""
        return self.library.add_file(source, name, owner, fps)

    def start_session(
        self,
        video: Video,
        owner: str,
        session_id: str | None = None,
        keep_video: bool = True,
        gpu_ids: Sequence[int] = (),
        likeness: int | None = None,
    ) -> Session:
        """Begin a session on a stored video; without `keep_video` the video ends with the session.

        `gpu_ids` and `likeness` say on which worker, see `Pool.wish`.

        Raises:
            InvalidInput: an id of the wrong form, GPUs that sessions can't have.
            Conflict: the id is taken (`session_exists`).
            TooMany: no place is free.
            TooLarge: the video needs more engine memory than there is.
        """
        if session_id is not None and not SESSION_ID.fullmatch(session_id):
            raise InvalidInput("A session_id has 1 to 64 letters, digits, _ or -.", "invalid_session_id")
        session_id = session_id or secrets.token_urlsafe(16)
        with self._lock:
            if session_id in self._sessions:
                raise Conflict(f"There is a session “{session_id}” already.", "session_exists")
            records = self._store.create(session_id)
            session = Session(session_id, owner, video, records, self.pool, self._capacity.admit, self._clock)
            self._sessions[session_id] = session
            if not keep_video:
                self._passing.add(video.id)
        try:
            self.library.hold(video.id)
            if gpu_ids or likeness is not None:
                self.pool.wish(session_id, gpu_ids, likeness)
            session.warm()
        except BaseException:
            self._drop(session)
            raise
        return session

    def get(self, session_id: str, owner: str) -> Session:
        """A session by its id.

        Raises:
            NotFound: unknown, closed, or somebody else's.
        """
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None or session.owner != owner or session.closed:
            raise NotFound("There is no such session. It may have been closed.", "session_not_found")
        session.touch()
        return session

    def list_sessions(self, owner: str) -> list[Session]:
        """The owner's sessions, oldest first."""
        return sorted((s for s in self._all() if s.owner == owner and not s.closed), key=lambda s: s.created_at)

    def close(self, session_id: str, owner: str) -> int:
        """Close a session; returns the bytes of engine memory freed."""
        return self._drop(self.get(session_id, owner))

    def _drop(self, session: Session) -> int:
        freed = session.close()
        with self._lock:
            gone = self._sessions.pop(session.id, None)
        if gone:
            self._store.delete(session.id)
            self.frames.forget(session.video.id)
            self.library.release(session.video.id)
            if session.video.id in self._passing:
                self._passing.discard(session.video.id)
                self.library.delete(session.video.id)
        return freed

    def sweep(self) -> list[str]:
        """Close the sessions that have been idle for too long, and delete uploads nobody used for long.

        Returns:
            The ids of the sessions it closed.
        """
        idle = [s for s in self._all() if s.idle_seconds > self.settings.session_timeout_seconds]
        for session in idle:
            self._drop(session)
        self.library.sweep(self.settings.session_retention_seconds)
        self._discard(EXPORT_SECONDS)
        return [s.id for s in idle]

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
    ) -> ObjectInfo:
        """Change an object's name, class or colour (`#rrggbb`); None keeps what is.

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
        return session.rename(
            obj_id, name.strip() if name else None, label.strip() if label is not None else None, color
        )

    def status(self, session: Session) -> wire.Json:
        """A session's status; `queue_position` counts the propagations that are before it."""
        engine = next((slot.info.name for slot in self.pool.status() if slot.info), "")
        position = None
        run = session.run
        if run and run.state == "queued":
            ahead = [s.run for s in self._all() if s is not session and s.run and s.run.state == "queued"]
            position = sum(other.began < run.began for other in ahead)
        return wire.status_out(session, self.settings.session_timeout_seconds, engine, position)

    # --- pictures and files ----------------------------------------------------------------------

    def frame(
        self, session_id: str, owner: str, frame_index: int, overlay: bool = False, width: int | None = None
    ) -> bytes:
        """Exactly that frame as JPEG, `width` pixels wide at most, with the objects painted if asked."""
        session = self.get(session_id, owner)
        if not overlay:
            return self.frames.jpeg(session.video, frame_index, width)
        return self.overlay(session, frame_index, width)

    def overlay(self, session: Session, frame_index: int, width: int | None = None) -> bytes:
        jpeg = self.frames.jpeg(session.video, frame_index)
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise EngineError("The frame could not be read.", "frame_unreadable")
        painted = draw(picture.astype(np.uint8, copy=False), self.layers(session, frame_index))
        if width and width < painted.shape[1]:
            height = max(1, round(painted.shape[0] * width / painted.shape[1]))
            painted = cv2.resize(painted, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        _, out = cv2.imencode(".jpg", cv2.cvtColor(painted, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
        return out.tobytes()

    def layers(self, session: Session, frame_index: int) -> list[Layer]:
        """The visible objects of a frame, ready to be painted."""
        with session.lock:
            frame = session.results.frame(frame_index)
            objects = dict(session.objects)
        return [
            Layer(decode(r.rle), objects[r.obj_id].color, f"{r.obj_id} {objects[r.obj_id].name}")
            for r in (frame.objects if frame else ())
            if r.box is not None
        ]

    def timestamps(self, session_id: str, owner: str) -> Sequence[float]:
        """The time of each frame in seconds, the first one's 0."""
        return self.frames.timestamps(self.get(session_id, owner).video)

    def export(
        self, session_id: str, owner: str, format_name: str, options: Mapping[str, str]
    ) -> tuple[Path, exports.ExportFormat]:
        """Write the session's results to a file in a format; the caller deletes the file.

        Raises:
            NotFound: no such format (`unknown_format`).
            InvalidInput: options the format does not know.
        """
        session = self.get(session_id, owner)
        fmt = exports.get(format_name)
        self.settings.outputs.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=self.settings.outputs))
        target = folder / f"{safe_stem(session.video.name)}{fmt.extension}"
        try:
            fmt.write(self._export_source(session), target, options)
        except BaseException:
            target.unlink(missing_ok=True)
            folder.rmdir()
            raise
        return target, fmt

    def discard_later(self, path: Path) -> None:
        """Delete a file, and its folder, once whoever fetches it has had the time to."""
        with self._lock:
            self._leaving.append((self._clock(), path))

    def _discard(self, older_than: float) -> None:
        now = self._clock()
        with self._lock:
            gone = [path for since, path in self._leaving if now - since >= older_than]
            self._leaving = [(since, path) for since, path in self._leaving if now - since < older_than]
        for path in gone:
            shutil.rmtree(path.parent, ignore_errors=True)

    def _export_source(self, session: Session) -> exports.ExportSource:
        def stale(obj_id: int, frame_index: int) -> bool:
            with session.lock:
                version = session.results.visible(obj_id, frame_index)
                return version is not None and session.results.is_stale(obj_id, version)

        def result(frame_index: int) -> FrameResult | None:
            with session.lock:
                return session.results.frame(frame_index)

        def frames() -> AbstractContextManager[FrameSource]:
            return open_frames(session.video)

        with session.lock:
            objects = list(session.objects.values())
        return exports.ExportSource(
            video=session.video,
            timestamps=self.frames.timestamps(session.video),
            objects=objects,
            result=result,
            stale=stale,
            open_frames=frames,
        )

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

    def video_from_url(self) -> Video:
        """Downloading is not part of this version.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("This server takes no video_url. Upload the file instead.", "video_url_disabled")


def safe_stem(name: str) -> str:
    """A file name without its ending, fit for any file system."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")
    return stem[:80] or "video"
