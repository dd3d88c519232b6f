"""Frames of untrusted videos, decoded in a child process that may hang, grow or crash for itself.

What passed the probe may still break a decoder further on. So the web process decodes nothing: a
child does, limited in memory, and it is killed where a frame takes too long.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from backend.domain import Image, Video
from backend.errors import InvalidInput, InvalidMedia
from backend.media.probe import child_environment, error_of
from backend.media.records import video_record

TARGET = "backend.media.reading"
"""The module the child runs. Tests put misbehaving ones here."""
FRAME_SECONDS = 60.0
"""How long one frame, or the opening, may take."""
_MEMORY_MB = 4096
_MAX_LINE = 65536


class Spare:
    """A child that is up already, so that a video's first frame does not wait for one to start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = False
        self._child: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """From now on have one ready."""
        with self._lock:
            self._kept = True
            self._child = self._child or _started()

    def drop(self) -> None:
        """No longer have one."""
        with self._lock:
            self._kept = False
            child, self._child = self._child, None
        if child is not None:
            with child:
                child.kill()

    def take(self) -> subprocess.Popen[bytes]:
        """A child that nobody else uses."""
        with self._lock:
            child, self._child = self._child, None
            if self._kept:
                self._child = _started()
        if child is not None and child.poll() is None:
            return child
        if child is not None:
            with child:
                child.kill()
        return _started()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", TARGET],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )


SPARE = Spare()


class ConfinedReader:
    """Exact frames of one video, as `FrameReader` has them. Not thread-safe; close it or use `with`.

    A child that was lost is replaced with the next frame that is asked for.

    Raises:
        InvalidMedia: the file is gone or no longer readable.
    """

    def __init__(self, video: Video, seconds: float | None = None, memory_mb: int = _MEMORY_MB) -> None:
        self._video = video
        self._seconds = FRAME_SECONDS if seconds is None else seconds
        self._memory_mb = memory_mb
        self._child: subprocess.Popen[bytes] | None = None
        self.timestamps: list[float] = []
        """When each frame is shown, in seconds from the first one."""
        self._start()

    def __len__(self) -> int:
        return len(self.timestamps)

    def read(self, frame_index: int) -> Image:
        """Frame `frame_index` as RGB uint8 (H, W, 3), rotation applied. The array is the caller's.

        Raises:
            InvalidInput: there is no such frame (`frame_out_of_range`).
            InvalidMedia: the file is damaged there, or decoding it took more than is granted.
        """
        if not 0 <= frame_index < len(self.timestamps):
            raise InvalidInput(
                f"There is no frame {frame_index}: the video's frames are 0 to {len(self.timestamps) - 1}.",
                "frame_out_of_range",
            )
        if self._child is None:
            self._start()
        wanted = (self._video.height, self._video.width, 3)
        with self._answer(f"{frame_index}\n".encode()) as (message, output):
            if message["shape"] != list(wanted[:2]) or message["bytes"] != wanted[0] * wanted[1] * 3:
                raise InvalidMedia(f"Frame {frame_index} has another size than the video.")
            picture = np.empty(wanted, np.uint8)
            _fill(output, picture.data.cast("B"))
            return picture

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        child, self._child = self._child, None
        if child is not None:
            with child:
                child.kill()

    def __enter__(self) -> ConfinedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        request = {
            "path": str(self._video.path),
            "video": video_record(self._video, ""),
            "memory_mb": self._memory_mb,
        }
        self._child = SPARE.take()
        with self._answer(json.dumps(request).encode() + b"\n") as (message, output):
            if message["count"] != self._video.num_frames or message["bytes"] != 8 * message["count"]:
                raise InvalidMedia("The video's file has changed: upload it again.")
            times = np.empty(message["count"], np.float64)
            _fill(output, times.data.cast("B"))
            self.timestamps = [float(t) for t in times]

    @contextmanager
    def _answer(self, request: bytes) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
        """Ask the child, and read the head of its answer; the block reads the rest.

        What goes wrong with the child, by its own fault or because its time is up, ends it.
        """
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(self._seconds, stop)
        clock.daemon = True
        clock.start()
        try:
            child.stdin.write(request)
            child.stdin.flush()
            message = json.loads(child.stdout.readline(_MAX_LINE))
            if "error" in message:
                raise error_of(*message["error"])
            yield message, child.stdout
        except InvalidInput as error:
            # Told by the child, which goes on; what is not a refusal of the child's is below.
            if not isinstance(error, InvalidMedia):
                raise
            self.close()
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.close()
            raise InvalidMedia(
                f"Reading this video took more than {self._seconds:g} seconds: it is damaged or too complex."
                if late.is_set()
                else "This video can't be read here: the decoder gave up on it."
            ) from error
        finally:
            clock.cancel()


def _fill(source: IO[bytes], target: memoryview) -> None:
    """Raises: EOFError."""
    at = 0
    read_into: Any = source
    while at < len(target):
        count = read_into.readinto(target[at:])
        if not count:
            raise EOFError
        at += count
