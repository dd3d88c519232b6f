"""Writing H.264 mp4 with the source's timing and sound."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from backend.domain import Image
from backend.media.disk import disk_error
from backend.media.sound import Sound

_TICKS = Fraction(1, 90_000)
_BT709 = 1
_LIMITED = 1
MAX_SIDE = 16384
"""The most pixels that a frame may be wide or high: x264 writes no larger ones."""


class VideoWriter:
    """Writes frames to an mp4 file, one call of `write` a frame. A context manager.

    H.264 with 4:2:0 colour, which every player knows, needs even sizes: an odd size gets one more
    column or row at the right or bottom that repeats the last one. `width` and `height` tell the
    size that is written. Left by an error, the `with` removes the file.

    Args:
        path: the file to write; an existing one is replaced.
        width, height: of the frames, in pixels.
        fps: the frame rate; places frames that `timestamps` does not tell of.
        timestamps: when each frame is shown, in seconds, growing; by default evenly at `fps`.
        duration: seconds from the start of the first frame to the end of the last.
        copy_audio_from: a media file whose first sound track is taken along, in time with the
            first frame of its video. A file without sound is no error.
        crf: x264's constant quality, 0 to 51, smaller is better.

    Raises:
        DiskFull: the file can't be written.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: Fraction,
        timestamps: Sequence[float] | None = None,
        *,
        duration: float | None = None,
        copy_audio_from: Path | None = None,
        crf: int = 20,
    ) -> None:
        self._path = path
        self._shape = (height, width, 3)
        self.width, self.height = width + width % 2, height + height % 2
        self._fps = fps
        self._times = timestamps
        self._end = duration
        self._written = 0
        self._last_pts = -1
        self._durations: dict[int, int] = {}
        self._closed = False
        self._sound: Sound | None = None
        try:
            # FFmpeg opens the file when the first packet comes; this tells at once.
            path.open("wb").close()
            self._out: OutputContainer = av.open(f"file:{path}", "w", format="mp4")
        except OSError as error:
            raise disk_error(error) from error
        try:
            self._stream = self._add_video(crf)
            if copy_audio_from is not None:
                self._sound = Sound.open(copy_audio_from, self._out)
        except BaseException:
            self.abort()
            raise

    def _add_video(self, crf: int) -> VideoStream:
        stream = self._out.add_stream("libx264", rate=self._fps, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        context = stream.codec_context
        context.time_base = _TICKS
        # An mp4 can't tell how long each frame lasts once their order is changed for B-frames.
        context.max_b_frames = 0
        # Players guess the colours of files that do not say; these do.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        return stream

    def write(self, image: Image) -> None:
        """Append a frame, RGB uint8 (H, W, 3).

        Raises:
            ValueError: it has another size, or comes after the last timestamp.
            DiskFull: the disk is full.
        """
        if image.shape != self._shape:
            raise ValueError(f"a frame of shape {image.shape} in a video of {self._shape}")
        height, width = self._shape[:2]
        if (self.height, self.width) != (height, width):
            image = np.pad(image, ((0, self.height - height), (0, self.width - width), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )
        start = self._time(self._written)
        # Two frames on one tick would be one frame to a player.
        frame.pts = self._last_pts = max(round(start / _TICKS), self._last_pts + 1)
        frame.time_base = _TICKS
        self._durations[frame.pts] = max(1, round((self._until(self._written) - start) / _TICKS))
        self._written += 1
        try:
            if self._sound is not None:
                self._sound.advance(float(start))
            self._mux(frame)
        except OSError as error:
            raise disk_error(error) from error

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            # The encoder guesses the last frame's duration from the ones before.
            packet.duration = round(self._durations.pop(packet.pts or 0, 1) * _TICKS / (packet.time_base or _TICKS))
            self._out.mux(packet)

    def _time(self, frame: int) -> Fraction:
        if self._times is None:
            return frame / self._fps
        if frame >= len(self._times):
            raise ValueError(f"frame {frame} of a video of {len(self._times)}")
        return Fraction(self._times[frame]) - Fraction(self._times[0])

    def _until(self, frame: int) -> Fraction:
        """When a frame gives way to the next one, or ends."""
        if self._times is None or frame + 1 < len(self._times):
            return self._time(frame + 1)
        return Fraction(self._end) if self._end is not None else self._time(frame) + 1 / self._fps

    def close(self) -> None:
        """Finish the file: the rest of the sound, then the table of contents. Idempotent.

        Raises:
            DiskFull: the disk is full; the file is removed.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._mux(None)
            if self._sound is not None:
                self._sound.finish()
            self._out.close()
        except OSError as error:
            self.abort()
            raise disk_error(error) from error

    def abort(self) -> None:
        """Stop and remove the file."""
        if self._sound is not None:
            self._sound.close()
        # The file is thrown away, so that it does not matter how it ends.
        with suppress(OSError, av.FFmpegError):
            self._out.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
