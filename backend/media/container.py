"""Opening video files with PyAV: which formats, which stream, and how its frames are turned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from
from typing import Any, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import InvalidMedia

AnyStream = TypeVar("AnyStream", VideoStream, AudioStream)
NOT_MEDIA = "This file is not a video, an image or a zip of frames that can be read."
NO_FRAMES = "The video has no frames."
_LARGE = 4096 * 2304 * 2
"""Pixels that a frame may always have, whatever the stream says."""

# Only self-contained files: playlists and scripts (HLS, concat, image sequences) could make
# FFmpeg open other files or addresses.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored frame is turned for display: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def degrees(self) -> int:
        """The clockwise rotation, 0, 90, 180 or 270; mirroring is left out."""
        if self.transpose:
            return 270 if self.mirror_y else 90
        return 180 if self.mirror_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The displayed (width, height) of a stored frame."""
        return (height, width) if self.transpose else (width, height)


def open_container(path: Path) -> InputContainer:
    """Open a video file by its content.

    Raises:
        InvalidMedia: it is none of the formats that are read here, or holds nothing.
        OSError: the file can't be read.
    """
    try:
        # "file:" keeps a path that looks like a protocol from being taken for one.
        return av.open(f"file:{path}", "r", options=_OPTIONS, metadata_errors="replace")
    except av.error.EOFError as error:
        raise InvalidMedia(NO_FRAMES, "no_frames") from error
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, OSError) and not isinstance(error, ValueError) and not path.is_file():
            raise
        raise InvalidMedia(NOT_MEDIA) from error


def video_stream(container: InputContainer) -> VideoStream:
    """The stream to show: the first that is no cover picture. Other streams are not read any more.

    Its decoder refuses frames that are very much larger than the stream says: a file may begin
    small, pass every check, and grow.

    Raises:
        InvalidMedia: there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            for other in container.streams:
                if other is not stream:
                    other.discard = av.stream.Discard.all
            context = stream.codec_context
            if context is not None and not context.is_open:
                context.options = {"max_pixels": str(max(_LARGE, 4 * stream.width * stream.height))}
            return stream
    if not len(container.streams):
        raise InvalidMedia(NO_FRAMES, "no_frames")
    raise InvalidMedia("This file holds no video, only sound or other data.")


def packets(container: InputContainer, stream: AnyStream) -> Iterator[Packet[AnyStream]]:
    """The stream's whole packets in decoding order, the flushing one left out.

    Ends where the file can't be read on: a cut-off file gives what is there.
    """
    try:
        demuxed: Iterator[Packet[Any]] = container.demux(stream)
        for packet in demuxed:
            # An empty packet would flush the decoder; AVI uses them for "show the last frame".
            if packet.size and not packet.is_corrupt:
                yield packet
    except av.FFmpegError:
        return


def frames(source: Iterable[Packet[VideoStream]], stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames of packets, in presentation order. What can't be decoded is passed over."""
    for packet in source:
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue
    try:
        yield from stream.decode(None)
    except av.FFmpegError:
        return


def turn_of(frame: VideoFrame) -> Turn:
    """How the frame's display matrix turns it, to the nearest right angle."""
    side_data: Any = frame.side_data
    if Type.DISPLAYMATRIX not in side_data or side_data[Type.DISPLAYMATRIX].buffer_size < 36:
        return Turn()
    # x' = a·x + c·y and y' = b·x + d·y, with y growing downwards.
    a, b, _, c, d, *_ = unpack_from("=9i", bytes(side_data[Type.DISPLAYMATRIX]))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(True, c < 0, b < 0)
    return Turn(False, a < 0, d < 0)
