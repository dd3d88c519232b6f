"""The index of a video file: which frame is shown when, and where decoding can start."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from backend.errors import InvalidMedia
from backend.media.container import NO_FRAMES, packets
from backend.media.limits import Limits, check_frames

Ticks = NDArray[np.int64]
ASSUMED_FPS = Fraction(30)
"""For pictures without any timing of their own."""
_VERSION = 1
_MOST = 10_000_000
"""Frames that an index may have; more is no index."""
_CUT_OFF = "The file is cut off before its first frame. Upload it again."


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Presentation order of a video's frames and the entry points of its decoder.

    `pts` int64 (N,), strictly increasing, in units of `time_base` seconds: frame i is the one with
    timestamp `pts[i]`. Decoding can start at the packets with the timestamps `keys` (K,), in file
    order; the first frame each makes available is `key_frames` (K,). `last_duration` is how long
    the last frame is shown, in units of `time_base`.

    `counted`: the file's presentation timestamps can't be trusted (AVI with B-frames). Then `keys`
    are decoding timestamps, and frames are told apart by counting from a key.
    """

    pts: Ticks
    keys: Ticks
    key_frames: Ticks
    time_base: Fraction
    last_duration: int
    fps: Fraction
    counted: bool = False

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def timestamps(self) -> list[float]:
        """When each frame is shown, in seconds from the first one."""
        seconds: list[float] = ((self.pts - self.pts[0]) * float(self.time_base)).tolist()
        return seconds

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return float(int(self.pts[-1] - self.pts[0] + self.last_duration) * self.time_base)

    @classmethod
    def regular(cls, num_frames: int, fps: Fraction) -> Index:
        """The index of `num_frames` pictures shown at an even rate."""
        pts = np.arange(num_frames, dtype=np.int64)
        return cls(pts, pts, pts, 1 / fps, 1, fps)

    def to_bytes(self) -> bytes:
        """In a format of its own: a line of JSON, then the packed numbers.

        Not NumPy's: reading that in several threads at once fails on Python 3.11 (its parser of
        literals is not thread-safe there).
        """
        head = {
            "version": _VERSION,
            "frames": len(self.pts),
            "keys": len(self.keys),
            "time_base": self.time_base.as_integer_ratio(),
            "fps": self.fps.as_integer_ratio(),
            "last_duration": self.last_duration,
            "counted": self.counted,
        }
        # Differences of timestamps repeat, so that they pack into almost nothing.
        numbers = np.concatenate([np.diff(self.pts, prepend=0), self.keys, self.key_frames]).astype("<i8")
        return json.dumps(head).encode() + b"\n" + zlib.compress(numbers.tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Read what `to_bytes` wrote. It may come from a process that read hostile data.

        Raises:
            ValueError: it is something else.
        """
        line, _, packed = data.partition(b"\n")
        try:
            head = json.loads(line)
            frames, keys = int(head["frames"]), int(head["keys"])
            if head["version"] != _VERSION or not (0 < frames <= _MOST and 0 < keys <= _MOST):
                raise ValueError("an index of another version")
            size = 8 * (frames + 2 * keys)
            numbers = np.frombuffer(zlib.decompressobj().decompress(packed, size), "<i8").astype(np.int64)
            if len(numbers) != size // 8:
                raise ValueError("an index that is cut off")
            index = cls(
                np.cumsum(numbers[:frames], dtype=np.int64),
                numbers[frames : frames + keys],
                numbers[frames + keys :],
                Fraction(*head["time_base"]),
                int(head["last_duration"]),
                Fraction(*head["fps"]),
                bool(head["counted"]),
            )
            places = index.key_frames
            sound = (np.diff(index.pts) > 0).all() and places.min() >= 0 and places.max() <= frames
            if not sound or index.time_base <= 0 or index.fps <= 0 or index.last_duration < 0:
                raise ValueError("an index that can't be")
            return index
        except (KeyError, TypeError, ArithmeticError, RecursionError, zlib.error) as error:
            raise ValueError("not an index") from error


def sidecar(path: Path) -> Path:
    """Where the index of the media at `path` is kept: beside it."""
    return path.with_name(path.name + ".index")


def saved_index(path: Path) -> Index | None:
    """The index kept beside the media, or None where there is none that fits."""
    try:
        return Index.from_bytes(sidecar(path).read_bytes())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What demuxing a file tells, before anything is decoded.

    `index` is None where presentation timestamps are missing or used twice. `packet_times` int64
    (P,) are the packets' decoding timestamps, `packet_keys` bool (P,), both in file order.
    """

    index: Index | None
    packet_times: Ticks
    packet_keys: NDArray[np.bool_]
    time_base: Fraction
    last_duration: int
    hint: Fraction | None


def demux(
    container: InputContainer,
    stream: VideoStream,
    size: int,
    limits: Limits | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Draft:
    """Read all packets of a stream, decoding none.

    Args:
        size: the file's length in bytes, for the progress.

    Raises:
        InvalidMedia: no frames (`no_frames`), or far fewer than the file declares: it is cut off.
        TooLarge: too many frames.
    """
    declared = _declared(container, stream)
    pts: list[int | None] = []
    dts: list[int] = []
    keys: list[bool] = []
    shown: list[bool] = []
    durations: list[int] = []
    for packet in packets(container, stream):
        pts.append(packet.pts)
        # Matroska leaves the first packets without a decoding time; it only has to be unique.
        dts.append(packet.dts if packet.dts is not None else len(pts) - 1_000_000_000)
        keys.append(packet.is_keyframe)
        shown.append(not packet.is_discard)
        durations.append(packet.duration or 0)
        if len(pts) % 256 == 0:
            if limits is not None:
                check_frames(sum(shown), limits)
            if on_progress is not None and packet.pos:
                on_progress(min(1.0, packet.pos / max(size, 1)))
    # AVI counts its empty packets too, and numbers them all.
    reached = dts[-1] + 1 if pts and container.format.name == "avi" else len(pts)
    if pts and reached < 0.98 * declared - 1:
        raise InvalidMedia(
            f"The file is cut off: only {reached} of its {declared} frames can be read. Upload it again."
        )
    if not any(shown):
        raise InvalidMedia(NO_FRAMES, "no_frames") if not declared else InvalidMedia(_CUT_OFF)
    if limits is not None:
        check_frames(sum(shown), limits)
    time_base = Fraction(stream.time_base or Fraction(1, 1000))
    last_duration = _last_duration(container, stream, pts, durations)
    average = stream.average_rate or stream.guessed_rate
    hint = Fraction(average) if average else None
    draft = Draft(
        None,
        np.array(dts, np.int64),
        np.array(keys, np.bool_),
        time_base,
        last_duration,
        Fraction(hint) if hint else None,
    )
    clean = [p for p in pts if p is not None]
    if len(clean) != len(pts) or len(set(clean)) != len(clean):
        return draft
    times = np.array(clean, np.int64)
    index = make_index(np.sort(times[np.array(shown)]), times[draft.packet_keys], draft)
    return Draft(index, draft.packet_times, draft.packet_keys, time_base, index.last_duration, draft.hint)


def make_index(pts: Ticks, keys: Ticks, draft: Draft) -> Index:
    """An index from strictly increasing timestamps and those of the packets decoding can start at."""
    if not len(keys):
        keys = pts[:1]
    fps = rate(pts, draft.time_base, draft.hint)
    last = draft.last_duration or round(1 / (fps * draft.time_base))
    return Index(pts, keys, np.searchsorted(pts, keys).astype(np.int64), draft.time_base, last, fps)


def rate(pts: Ticks, time_base: Fraction, hint: Fraction | None) -> Fraction:
    """The true frame rate.

    The container's figure where the timestamps bear it out to within their rounding; for a
    variable rate the average, (n - 1) / (last - first).
    """
    if len(pts) < 2:
        return hint if hint and 0 < hint <= 1000 else ASSUMED_FPS
    span = int(pts[-1] - pts[0])
    measured = Fraction(len(pts) - 1) / (span * time_base)
    # Each end is rounded to a tick at most.
    slack = Fraction(2, span)
    common = [Fraction(n, d) for n in (24, 25, 30, 48, 50, 60, 120) for d in (1,)]
    common += [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)]
    for guess in [hint, *common]:
        if guess and abs(guess / measured - 1) <= slack:
            return guess
    return measured.limit_denominator(1001)


def _last_duration(container: InputContainer, stream: VideoStream, pts: list[int | None], durations: list[int]) -> int:
    """How long the frame that is shown last stays on, in ticks; 0 where the file does not say."""
    time, place = max(((time, place) for place, time in enumerate(pts) if time is not None), default=(0, -1))
    if container.format.name.startswith("mov") and stream.duration and stream.start_time is not None:
        # In mp4 durations belong to the decoding order; the track's end is what counts.
        rest = stream.start_time + stream.duration - time
        if rest > 0:
            return rest
    return max(durations[place], 0)


def _declared(container: InputContainer, stream: VideoStream) -> int:
    """How many packets the file says it has; 0 where it does not say so reliably."""
    if not stream.frames:
        return 0
    if container.format.name.startswith("mov"):
        # After an edit list the table of samples counts, not the header.
        return len(stream.index_entries)
    return stream.frames if container.format.name == "avi" else 0


def file_size(path: Path) -> int:
    """The length of a file in bytes."""
    return os.stat(path).st_size
