"""Exact frames of a video file: forwards, backwards and anywhere."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from backend.domain import Image
from backend.errors import InvalidMedia
from backend.media.container import Turn, frames, open_container, packets, turn_of, video_stream
from backend.media.index import Index

log = logging.getLogger(__name__)

BEHIND_BYTES = 64_000_000
"""How much decoded picture is kept for stepping backwards."""
_KEPT_FORWARD = 8
_HOP = 8
"""Decoding on over so many frames is quicker than a seek."""
_THREADS = 4
"""Frame threads delay each frame by their number, so a few are best for seeks as well."""


class VideoFrames:
    """Frames of a video file by index, rotation applied. Not thread-safe.

    Decoded frames stay in the decoder's own format (1.5 bytes a pixel as a rule) until they are
    asked for. Going forward 8 of them are kept; going back as many as fit `BEHIND_BYTES`, so that
    a group of pictures is decoded a few times at most, not once for each step.
    """

    def __init__(self, path: Path, index: Index) -> None:
        self._path = path
        self._index = index
        self._kept: OrderedDict[int, VideoFrame] = OrderedDict()
        self._kept_bytes = 0
        self._keep_behind = False
        self._turn: Turn | None = None
        self._size: tuple[int, int] | None = None
        self._file: tuple[InputContainer, VideoStream] | None = None
        self._output: Iterator[tuple[int, VideoFrame]] = iter(())
        self._threads = min(_THREADS, os.cpu_count() or 1)
        self._next = -1
        """The frame that comes out of the decoder next; -1: none, a seek is needed."""
        self._last_read = -1

    def __len__(self) -> int:
        return len(self._index)

    @property
    def index(self) -> Index:
        return self._index

    def read(self, frame_index: int) -> Image:
        """Frame `frame_index` (0 to len − 1) as RGB uint8 (H, W, 3).

        A frame that is damaged within the file is shown as players do: as the one before it.

        Raises:
            InvalidMedia: nothing can be decoded there.
        """
        frame = self._kept.get(frame_index)
        if frame is None:
            # What was decoded on the way to a frame is kept, as the next step may be back; only
            # who plays forward has no use for it.
            self._keep_behind = not 0 < frame_index - self._last_read <= _HOP
            frame = self._decode(frame_index)
        self._last_read = frame_index
        return self._picture(frame)

    def close(self) -> None:
        """Let go of the file and all frames. Idempotent."""
        self._kept.clear()
        self._kept_bytes = 0
        self._close_file()

    def _close_file(self) -> None:
        self._output = iter(())
        self._next = -1
        if self._file is not None:
            self._file[0].close()
            self._file = None

    # --- where to start ----------------------------------------------------------------------

    def _decode(self, wanted: int) -> VideoFrame:
        found, frame = self._decode_to(wanted)
        if not found and self._threads > 1:
            # An error in one thread can swallow good frames of the others.
            self._threads = 1
            self._open()
            found, frame = self._decode_to(wanted)
        if frame is None:
            raise InvalidMedia(f"Frame {wanted} can't be decoded: the file is damaged.")
        if not found:
            log.warning("frame %d of a video is damaged; another is shown for it", wanted)
            self._keep(wanted, frame)
        return frame

    def _decode_to(self, wanted: int) -> tuple[bool, VideoFrame | None]:
        """Bring out a frame; (False, the nearest before it) where it never comes."""
        index = self._index
        if index.counted:
            key = int(np.searchsorted(index.key_frames, wanted, side="right")) - 1
        else:
            key = int(np.searchsorted(index.keys, index.pts[wanted], side="right")) - 1
        key = max(key, 0)
        behind = not 0 <= self._next <= wanted
        if behind or (int(index.key_frames[key]) > self._next and wanted - self._next > _HOP):
            self._seek(key)
        before = self._kept.get(wanted - 1)
        for at, frame in self._output:
            self._keep(at, frame)
            self._next = at + 1
            if at == wanted:
                return True, frame
            if at > wanted:
                return False, before or frame
            before = frame
        self._next = -1
        return False, before

    def _open(self) -> tuple[InputContainer, VideoStream]:
        self._close_file()
        container = open_container(self._path)
        stream = video_stream(container)
        stream.thread_type = "AUTO" if self._threads > 1 else "SLICE"
        stream.thread_count = self._threads
        self._file = container, stream
        return self._file

    def _seek(self, key: int) -> None:
        """Make the decoder give out frames from `keys[key]` on."""
        at, back = key, 1
        while at > 0:
            container, stream = self._file or self._open()
            try:
                container.seek(int(self._index.keys[at]), stream=stream)
            except av.FFmpegError:
                break
            source = self._packets_from(key, container, stream)
            if source is not None:
                self._start(key, source, stream)
                return
            # Some containers land behind the place asked for: ask for an earlier one.
            at, back = at - back, back * 2
        container, stream = self._open()
        source = self._packets_from(key, container, stream)
        if source is None:
            raise InvalidMedia("The video's file has changed: upload it again.")
        self._start(key, source, stream)

    def _packets_from(
        self, key: int, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]] | None:
        """The packets from a key on, or None if the reading is past it already."""
        wanted = int(self._index.keys[key])
        rest = packets(container, stream)
        if key == 0:
            return rest
        for packet in rest:
            if not packet.is_keyframe:
                continue
            time = packet.dts if self._index.counted else packet.pts
            if time == wanted:
                return chain([packet], rest)
            if time is not None and time > wanted:
                return None
        return None

    # --- what comes out ----------------------------------------------------------------------

    def _start(self, key: int, source: Iterator[Packet[VideoStream]], stream: VideoStream) -> None:
        first = int(self._index.key_frames[key])
        self._output = self._numbered(frames(source, stream), first)
        self._next = first

    def _numbered(self, output: Iterator[VideoFrame], first: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames with their indices. Those before `first` refer to what was not decoded."""
        if self._index.counted:
            yield from enumerate(output, first)
            return
        pts = self._index.pts
        for frame in output:
            if frame.pts is None:
                continue
            at = int(np.searchsorted(pts, frame.pts))
            if first <= at < len(pts) and pts[at] == frame.pts:
                yield at, frame

    def _keep(self, at: int, frame: VideoFrame) -> None:
        size = sum(plane.buffer_size for plane in frame.planes)
        self._kept_bytes += size if at not in self._kept else 0
        self._kept[at] = frame
        self._kept.move_to_end(at)
        while len(self._kept) > 1 and (
            self._kept_bytes > BEHIND_BYTES or (len(self._kept) > _KEPT_FORWARD and not self._keep_behind)
        ):
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= sum(plane.buffer_size for plane in old.planes)

    def _picture(self, frame: VideoFrame) -> Image:
        """RGB, upright, all of one size."""
        if self._turn is None or self._size is None:
            self._turn = turn_of(frame)
            self._size = (frame.width, frame.height)
        return to_rgb(frame, self._turn, self._size)


def to_rgb(frame: VideoFrame, turn: Turn, size: tuple[int, int]) -> Image:
    """A decoded frame as RGB uint8 (H, W, 3), upright; `size` (width, height) before turning."""
    width, height = size
    picture: NDArray[Any]
    if frame.format.has_palette or any(c.is_alpha for c in frame.format.components):
        rgba = frame.reformat(width=width, height=height, format="rgba").to_ndarray()
        alpha = rgba[..., 3:].astype(np.uint16)
        picture = ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
    else:
        picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    if turn.transpose:
        picture = cv2.transpose(picture)
    if turn.mirror_x or turn.mirror_y:
        picture = cv2.flip(picture, -1 if turn.mirror_x and turn.mirror_y else int(turn.mirror_x))
    return np.ascontiguousarray(picture, np.uint8)
