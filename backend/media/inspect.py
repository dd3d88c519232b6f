"""Looking into a video file: its index, proven by decoding, and what its frames look like.

This opens untrusted files: the probe runs it in a limited child process only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import InvalidMedia
from backend.media.container import Turn, frames, open_container, packets, turn_of, video_stream
from backend.media.index import Draft, Index, Ticks, demux, file_size, make_index
from backend.media.limits import Limits, check_pixels, check_seconds

_HEAD = 24
"""How many frames from the start are compared with the index."""
# Their packets do not always show one frame each: frames left out (MPEG-4), never shown (VP8).
_DOUBTFUL = frozenset({"mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "vp8", "h263", "flv1"})


@dataclass(frozen=True, slots=True)
class Found:
    """A video stream as it truly decodes. `width` and `height` are those of the displayed frame."""

    index: Index
    width: int
    height: int
    turn: Turn
    has_audio: bool


def inspect_video(path: Path, limits: Limits, on_progress: Callable[[float], None] | None = None) -> Found:
    """Index a video file and check by decoding that the index is true.

    Raises:
        InvalidMedia: not a video, cut off, without frames, or not decodable.
        TooLarge: over a limit; told before anything is decoded.
    """
    size = file_size(path)
    with closing(open_container(path)) as container:
        stream = video_stream(container)
        if not stream.codec_context or stream.width <= 0 or stream.height <= 0:
            raise InvalidMedia("The video's frames can't be read: they are damaged, or larger than any decoder takes.")
        check_pixels(stream.width, stream.height, limits)
        if container.duration is not None and container.format.name != "gif":
            # Sound may outlast the video a little, so only a clear excess is refused this early.
            check_seconds(container.duration / av.time_base * 0.9, limits)
        has_audio = bool(container.streams.audio)
        draft = demux(container, stream, size, limits, on_progress)
        doubtful = container.format.name == "avi" or stream.codec_context.name in _DOUBTFUL
    if draft.index is not None:
        check_seconds(draft.index.duration, limits)
    index = None if draft.index is None or doubtful else _confirmed(path, draft.index)
    if index is None:
        index = _decoded(path, draft)
    check_seconds(index.duration, limits)
    with closing(open_container(path)) as container:
        first = next(_frames(container, video_stream(container)), None)
    if first is None:
        raise InvalidMedia("The video can't be decoded: the file is damaged.")
    check_pixels(first.width, first.height, limits)
    first.to_ndarray(format="rgb24")
    turn = turn_of(first)
    return Found(index, *turn.size(first.width, first.height), turn, has_audio)


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    return frames(packets(container, stream), stream)


def _confirmed(path: Path, index: Index) -> Index | None:
    """The index without frames at the ends that never come out; None where it is wrong within."""
    first = _check_head(path, index)
    if first is None:
        return None
    last = _check_tail(path, index)
    if last is None or last < first:
        return None
    if (first, last) == (0, len(index) - 1):
        return index
    pts = index.pts[first : last + 1]
    lead = index.pts[last + 1] - index.pts[last] if last + 1 < len(index) else index.last_duration
    keys = index.keys[index.keys <= pts[-1]]
    key_frames = np.searchsorted(pts, keys).astype(np.int64)
    return Index(pts, keys, key_frames, index.time_base, int(lead), index.fps)


def _check_head(path: Path, index: Index) -> int | None:
    """The first frame that comes out when decoding starts at the beginning."""
    seen: list[int] = []
    with closing(open_container(path)) as container:
        for frame in _frames(container, video_stream(container)):
            if frame.pts is None:
                return None
            seen.append(frame.pts)
            if len(seen) == _HEAD:
                break
    if not seen:
        raise InvalidMedia("The video can't be decoded: the file is damaged.")
    start = int(np.searchsorted(index.pts, seen[0]))
    # What comes before the first key's own frame may refer to frames that are not in the file.
    if start > 0 and index.pts[start - 1] >= index.keys[0]:
        return None
    wanted = index.pts[start : start + len(seen)].tolist()
    # A short file may also end early: the tail is looked at on its own.
    return start if seen[: len(wanted)] == wanted or wanted[: len(seen)] == seen else None


def _check_tail(path: Path, index: Index) -> int | None:
    """The last frame that comes out when decoding starts at the last key."""
    key = int(np.searchsorted(index.keys, index.pts[-1], side="right")) - 1
    with closing(open_container(path)) as container:
        stream = video_stream(container)
        if key > 0:
            container.seek(int(index.keys[key]), stream=stream)
        seen = [frame.pts for frame in _frames(container, stream)]
    if any(pts is None for pts in seen) or not seen:
        return None
    first = int(index.keys[max(key, 0)])
    got = sorted(pts for pts in seen if pts is not None and pts >= first)
    wanted = index.pts[index.pts >= max(first, got[0] if got else first)].tolist()
    if not got or got != wanted[: len(got)]:
        return None
    missing = len(wanted) - len(got)
    return len(index) - 1 - missing


def _decoded(path: Path, draft: Draft) -> Index:
    """The index of a file whose packets do not tell it: every frame is decoded once.

    Raises:
        InvalidMedia: nothing can be decoded.
    """
    pts: list[int | None] = []
    starts: list[bool] = []
    with closing(open_container(path)) as container:
        for frame in _frames(container, video_stream(container)):
            pts.append(frame.pts)
            starts.append(bool(frame.key_frame))
    if not pts:
        raise InvalidMedia("The video can't be decoded: the file is damaged.")
    known = [p for p in pts if p is not None]
    if len(known) == len(pts) and all(a < b for a, b in pairwise(known)):
        times = np.array(known, np.int64)
        keys = draft.index.keys if draft.index is not None else times[np.array(starts)]
        return make_index(times, keys, draft)
    return _counted(len(pts), starts, draft)


def _counted(count: int, starts: list[bool], draft: Draft) -> Index:
    """An index by counting: the k-th packet, where it is a key, starts the k-th frame."""
    times: Ticks = np.sort(draft.packet_times)
    if len(times) != count or len(np.unique(times)) != count:
        step = max(1, round(1 / ((draft.hint or Fraction(25)) * draft.time_base)))
        times = np.arange(count, dtype=np.int64) * step
    ordinals: list[int] = []
    if len(starts) == len(draft.packet_keys):
        # In a closed group of pictures the key is shown first, so its place in the file is its number.
        ordinals = [int(k) for k in np.flatnonzero(draft.packet_keys) if starts[k]]
    if not ordinals or ordinals[0] != 0:
        ordinals = [0]
    frames = np.array(ordinals, np.int64)
    plain = make_index(times, times[:1], draft)
    return Index(
        plain.pts, draft.packet_times[frames], frames, plain.time_base, plain.last_duration, plain.fps, counted=True
    )
