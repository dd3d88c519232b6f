"""Frames as JPEG for many readers at once, with a bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from backend.domain import Image, Video
from backend.errors import InvalidInput, InvalidMedia
from backend.media.confined import ConfinedReader

_OPEN_READERS = 4
_Key = tuple[str, int, int, int]
"""Video, frame, width, quality."""


class FrameCache:
    """JPEG frames of stored videos, the least recently used forgotten first. Thread-safe.

    Each video has one reader, used by one thread at a time; of several requests for the same frame
    one decodes and the others find its picture.

    Args:
        limit_bytes: how much JPEG data is kept at most.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._jpegs: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0
        self._readers: OrderedDict[str, _Shared] = OrderedDict()
        self.decoded = 0
        """How many frames were decoded so far: the misses."""

    def jpeg(self, video: Video, frame_index: int, width: int | None = None, quality: int = 85) -> bytes:
        """A frame as JPEG.

        Args:
            width: in pixels, at most the video's own, which is also the default.
            quality: 1 to 100.

        Raises:
            InvalidInput: no such frame (`frame_out_of_range`), or an impossible width or quality.
            InvalidMedia: the file is damaged there, or gone.
        """
        if width is not None and width < 1:
            raise InvalidInput("The width must be at least 1 pixel.", "invalid_width")
        if not 1 <= quality <= 100:
            raise InvalidInput("The quality must be between 1 and 100.", "invalid_quality")
        wide = min(width or video.width, video.width)
        key = (video.id, frame_index, wide, quality)
        found = self._find(key)
        if found is not None:
            return found
        if video.kind == "image" and wide < video.width:
            # Asked for small first and large later: one reading does for both.
            self.jpeg(video, frame_index, quality=quality)
        with self._reading(video) as shared:
            found = self._find(key)
            if found is not None:
                return found
            data = _encode(self._picture(video, shared, key), quality)
            self._put(key, data, shared)
            return data

    def timestamps(self, video: Video) -> list[float]:
        """When each frame is shown, in seconds from the first one.

        Raises:
            InvalidMedia: the file is damaged or gone.
        """
        if video.kind == "image":
            return [0.0]
        with self._reading(video) as shared:
            return shared.open(video).timestamps

    def forget(self, video_id: str) -> None:
        """Drop all frames of a video and let go of its file."""
        with self._lock:
            shared = self._readers.pop(video_id, None)
            if shared is not None:
                shared.dropped = True
            for key in [key for key in self._jpegs if key[0] == video_id]:
                self._bytes -= len(self._jpegs.pop(key))
        if shared is not None:
            shared.close()

    def close(self) -> None:
        """Drop everything. The cache may still be used afterwards."""
        with self._lock:
            readers = list(self._readers.values())
            for shared in readers:
                shared.dropped = True
            self._readers.clear()
            self._jpegs.clear()
            self._bytes = 0
        for shared in readers:
            shared.close()

    @property
    def bytes_held(self) -> int:
        return self._bytes

    def _find(self, key: _Key) -> bytes | None:
        with self._lock:
            data = self._jpegs.get(key)
            if data is not None:
                self._jpegs.move_to_end(key)
            return data

    def _put(self, key: _Key, data: bytes, shared: _Shared) -> None:
        with self._lock:
            # A video that was forgotten meanwhile must leave nothing behind.
            if shared.dropped or len(data) > self._limit:
                return
            self._jpegs[key] = data
            self._bytes += len(data)
            while self._bytes > self._limit:
                self._bytes -= len(self._jpegs.popitem(last=False)[1])

    def _picture(self, video: Video, shared: _Shared, key: _Key) -> Image:
        """The picture of a key: a small one from the full JPEG, where that is at hand."""
        _, frame_index, wide, quality = key
        if wide < video.width and (full := self._find((video.id, frame_index, video.width, quality))) is not None:
            picture = np.asarray(cv2.imdecode(np.frombuffer(full, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
        else:
            picture = shared.open(video).read(frame_index)
            self.decoded += 1
        if wide < video.width:
            high = max(1, round(video.height * wide / video.width))
            picture = np.asarray(cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
        return picture

    @contextmanager
    def _reading(self, video: Video) -> Iterator[_Shared]:
        """The video's reader, for this thread alone."""
        while True:
            with self._lock:
                shared = self._readers.setdefault(video.id, _Shared())
                self._readers.move_to_end(video.id)
                old = self._readers.popitem(last=False)[1] if len(self._readers) > _OPEN_READERS else None
            if old is not None:
                old.close()
            with shared.lock:
                # It may have been closed while this thread waited: take a new one then.
                if not shared.closed:
                    yield shared
                    return


class _Shared:
    """A reader that several threads take turns with."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed = False
        self.dropped = False
        self._reader: ConfinedReader | None = None

    def open(self, video: Video) -> ConfinedReader:
        if self._reader is None:
            self._reader = ConfinedReader(video)
        return self._reader

    def close(self) -> None:
        with self.lock:
            self.closed = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None


def _encode(picture: Image, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidMedia("The frame can't be stored as JPEG: it is too large.")
    return data.tobytes()
