"""Taking a source's sound along into an mp4."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from backend.errors import InvalidMedia
from backend.media.container import open_container, packets, video_stream
from backend.media.index import saved_index

log = logging.getLogger(__name__)

_COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "alac"})
"""Codecs that players expect in an mp4; all others become AAC."""
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_LAYOUTS = frozenset({"mono", "stereo", "5.1", "7.1"})


class Sound:
    """The first sound track of a file, written piece by piece beside the video it belongs to.

    Times are counted from the first frame of the source's video. What lies before it is left out.
    """

    def __init__(self, container: InputContainer, start: Fraction, target: OutputContainer) -> None:
        source: AudioStream = container.streams.audio[0]
        self._container = container
        self._target = target
        self._start = start
        if source.codec_context.name in _COPIED:
            self._pieces = self._copied(source, target.add_stream_from_template(source))
        else:
            self._pieces = self._encoded(source, _aac(source, target))
        self._waiting: tuple[float, Packet[Any]] | None = None

    @classmethod
    def open(cls, path: Path, target: OutputContainer) -> Sound | None:
        """The sound of a media file, or None where there is none that can be read."""
        try:
            start = _video_start(path)
            container = open_container(path)
        except (InvalidMedia, OSError):
            return None
        if not container.streams.audio:
            container.close()
            return None
        for stream in container.streams:
            if stream is not container.streams.audio[0]:
                stream.discard = av.stream.Discard.all
        return cls(container, start, target)

    def advance(self, seconds: float) -> None:
        """Write the sound up to a moment of the video, so that a player finds both side by side."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._pieces, None)
            if self._waiting is None or self._waiting[0] > seconds:
                return
            packet, self._waiting = self._waiting[1], None
            self._target.mux(packet)

    def finish(self) -> None:
        """Write the rest and let go of the source."""
        self.advance(float("inf"))
        self.close()

    def close(self) -> None:
        """Let go of the source. Idempotent."""
        self._pieces = iter(())
        self._container.close()

    def _copied(self, source: AudioStream, out: Any) -> Iterator[tuple[float, Packet[Any]]]:
        for packet in packets(self._container, source):
            if packet.pts is None or packet.time_base is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts
            # The lead-in of AAC lies just before zero and is kept: decoders need it.
            if packet.pts + (packet.duration or 0) < 0:
                continue
            packet.stream = out
            yield float(packet.pts * packet.time_base), packet

    def _encoded(self, source: AudioStream, out: AudioStream) -> Iterator[tuple[float, Packet[Any]]]:
        rate = out.codec_context.sample_rate
        resampler = AudioResampler(format="fltp", layout=out.codec_context.layout.name, rate=rate)
        position: int | None = None
        for frame in self._decoded(source):
            for piece in resampler.resample(frame):
                if position is None:
                    position = self._first_sample(frame, rate)
                piece.pts, piece.time_base = position, Fraction(1, rate)
                position += piece.samples
                if position > 0:
                    yield from _timed(out.encode(piece))
        yield from _timed(out.encode(None))

    def _decoded(self, source: AudioStream) -> Iterator[AudioFrame]:
        for packet in packets(self._container, source):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                log.warning("a piece of a video's sound is damaged and was left out")

    def _first_sample(self, frame: AudioFrame, rate: int) -> int:
        if frame.pts is None or frame.time_base is None:
            return 0
        return round((frame.pts * frame.time_base - self._start) * rate)


def _timed(encoded: list[Packet[Any]]) -> Iterator[tuple[float, Packet[Any]]]:
    for packet in encoded:
        yield float((packet.pts or 0) * (packet.time_base or Fraction(0))), packet


def _aac(source: AudioStream, target: OutputContainer) -> AudioStream:
    context = source.codec_context
    rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48_000
    stream = target.add_stream("aac", rate=rate)
    stream.codec_context.layout = context.layout.name if context.layout.name in _LAYOUTS else "stereo"
    return stream


def _video_start(path: Path) -> Fraction:
    """The time of the first frame, in seconds of the file's clock."""
    index = saved_index(path)
    if index is not None and not index.counted:
        return int(index.pts[0]) * index.time_base
    with open_container(path) as container:
        stream = video_stream(container)
        if stream.start_time is not None and stream.time_base is not None and index is None:
            return stream.start_time * stream.time_base
    return Fraction(0)
