"""Frames of any stored video, one interface for files, folders and stills."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

from backend.domain import Image, Video
from backend.errors import InvalidInput, InvalidMedia
from backend.media.decoder import VideoFrames
from backend.media.disk import check_steady
from backend.media.index import saved_index
from backend.media.inspect import inspect_video
from backend.media.limits import Limits
from backend.media.stills import list_frames, read_picture

_NO_LIMITS = Limits(max_bytes=2**62, max_seconds=float("inf"), max_frames=2**62, max_pixels=2**62)


class _Source(Protocol):
    def __len__(self) -> int: ...

    def read(self, frame_index: int) -> Image: ...

    def close(self) -> None: ...


class FrameReader:
    """Exact frames of one video, in presentation order. Not thread-safe; close it or use `with`."""

    def __init__(self, video: Video, source: _Source, timestamps: list[float]) -> None:
        self._source = source
        self._shape = (video.height, video.width, 3)
        self._length = min(video.num_frames, len(source))
        self.timestamps = timestamps
        """When each frame is shown, in seconds from the first one."""

    def __len__(self) -> int:
        return self._length

    def read(self, frame_index: int) -> Image:
        """Frame `frame_index` as RGB uint8 (H, W, 3), rotation applied. The array is the caller's.

        Raises:
            InvalidInput: there is no such frame (`frame_out_of_range`).
            InvalidMedia: the file is damaged there, or no longer what was probed.
        """
        if not 0 <= frame_index < self._length:
            raise InvalidInput(
                f"There is no frame {frame_index}: the video's frames are 0 to {self._length - 1}.",
                "frame_out_of_range",
            )
        picture = self._source.read(frame_index)
        if picture.shape != self._shape:
            raise InvalidMedia(f"Frame {frame_index} has another size than the video.")
        return picture

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._source.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_frames(video: Video) -> FrameReader:
    """Open a probed video for reading. Its index is read from beside it, or made again.

    Raises:
        InvalidMedia: the file is gone or no longer readable.
    """
    if not video.path.exists():
        raise InvalidMedia("The video's file is no longer there: upload it again.")
    check_steady(video.path)
    if video.kind == "video":
        index = saved_index(video.path) or inspect_video(video.path, _NO_LIMITS).index
        return FrameReader(video, VideoFrames(video.path, index), index.timestamps)
    paths = [video.path] if video.kind == "image" else list_frames(video.path)
    timestamps = [float(i / video.fps) for i in range(len(paths))]
    return FrameReader(video, _Pictures(paths, video.kind == "frames"), timestamps)


class _Pictures:
    """Picture files as frames. The last one read is kept."""

    def __init__(self, paths: list[Path], numbered: bool) -> None:
        self._paths = paths
        self._numbered = numbered
        self._last: tuple[int, Image] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, frame_index: int) -> Image:
        if self._last is None or self._last[0] != frame_index:
            try:
                self._last = (frame_index, read_picture(self._paths[frame_index], self._numbered))
            except FileNotFoundError as error:
                raise InvalidMedia(f"The file of frame {frame_index} is no longer there.") from error
        return self._last[1].copy()

    def close(self) -> None:
        self._last = None
