"""The index: frame rates, keeping, and files whose packets do not tell the truth."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.media import container
from backend.media.index import Index, rate, saved_index, sidecar
from backend.media.inspect import inspect_video
from backend.media.limits import Limits
from backend.media.reader import open_frames
from tests.media_files import SIZE, Clip, encode, is_upright, number_of
from tests.unit.media.conftest import as_video

Hard = Callable[[str], Clip]


@pytest.mark.parametrize("name", ["variable_rate.mp4", "h264.avi", "open_gop.mkv"])
def test_an_index_is_kept_whole(hard: Hard, limits: Limits, name: str) -> None:
    index = inspect_video(hard(name).path, limits).index
    again = Index.from_bytes(index.to_bytes())
    for one, other in zip(
        (index.pts, index.keys, index.key_frames), (again.pts, again.keys, again.key_frames), strict=True
    ):
        assert np.array_equal(one, other)
    assert (again.time_base, again.fps, again.last_duration) == (index.time_base, index.fps, index.last_duration)
    assert again.counted == index.counted
    assert (np.diff(index.pts) > 0).all()
    assert index.key_frames[0] == 0


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Index.from_bytes(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"pts": [0, 2, 1, 3]},
        {"key_frames": [9]},
        {"key_frames": [-1]},
        {"time_base": Fraction(-1, 25)},
        {"fps": Fraction(0)},
        {"last_duration": -3},
    ],
)
def test_an_index_that_can_not_be_is_refused(changes: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"pts": [0, 1, 2, 3], "keys": [0], "key_frames": [0], "time_base": Fraction(1, 25)}
    parts |= {"last_duration": 1, "fps": Fraction(25)} | changes
    for name in ("pts", "keys", "key_frames"):
        parts[name] = np.array(parts[name], np.int64)
    with pytest.raises(ValueError):
        Index.from_bytes(Index(**parts).to_bytes())


def test_a_damaged_index_counts_as_none(hard: Hard, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    assert saved_index(path) is None
    whole = Index.regular(100, Fraction(25)).to_bytes()
    for size in range(0, len(whole), 37):
        sidecar(path).write_bytes(whole[:size])
        assert saved_index(path) is None


RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60000, 1001)]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(RATES), st.integers(2, 5000), st.sampled_from([1000, 90000, 600]), st.integers(0, 10**6))
def test_an_even_rate_is_found_through_rounding(fps: Fraction, count: int, ticks: int, start: int) -> None:
    # As Matroska (1000) and QuickTime (600) round their timestamps.
    pts = np.array([start + round(Fraction(i) / fps * ticks) for i in range(count)])
    assert rate(pts, Fraction(1, ticks), fps) == fps
    if count > 2000:
        assert rate(pts, Fraction(1, ticks), None) == fps


def test_an_uneven_rate_is_the_average_whatever_the_container_says() -> None:
    pts = np.cumsum(np.array([0, 10, 50, 10, 50] * 40))
    assert float(rate(pts, Fraction(1, 1000), Fraction(30))) == pytest.approx(199 / (pts[-1] / 1000), rel=1e-3)


def test_a_single_frame_has_the_rate_the_file_says(tmp_path: Path, limits: Limits) -> None:
    found = inspect_video(encode(tmp_path / "one.mp4", num_frames=1, fps=Fraction(12)).path, limits)
    assert (len(found.index), found.index.fps) == (1, Fraction(12))
    assert found.index.duration == pytest.approx(1 / 12, abs=1e-3)


def remux(source: Path, target: Path, skip: int) -> None:
    """Copy a video's packets from the `skip`-th key frame on, as cutting programs do."""
    with av.open(str(source)) as given_, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given_.streams.video[0])
        for packet in given_.demux(video=0):
            skip -= packet.is_keyframe
            if skip < 0 and packet.size:
                packet.stream = stream
                out.mux(packet)


@pytest.mark.parametrize("name", ["hevc.mp4", "open_gop.mkv"])
def test_a_cut_that_starts_with_an_open_group_has_only_the_frames_that_decode(
    hard: Hard, tmp_path: Path, name: str
) -> None:
    # The first packets in the file refer to frames that were cut away: players leave them out.
    clip = hard(name)
    path = tmp_path / f"cut{clip.path.suffix}"
    remux(clip.path, path, 1)
    video = as_video(path)
    with open_frames(video) as reader:
        first = number_of(reader.read(0))
        assert 11 <= first <= 13
        assert video.num_frames == 48 - first
        for frame_index in [*range(len(reader)), 5, 20, 0]:
            assert number_of(reader.read(frame_index)) == first + frame_index
        assert reader.timestamps == pytest.approx([i / 25 for i in range(len(reader))], abs=0.0011)


def two_sizes(folder: Path, second: tuple[int, int]) -> Path:
    """A video of 12 frames of the usual size and 12 of another, as video calls are recorded."""
    path = folder / "both.webm"
    options = {"deadline": "realtime", "cpu-used": "8"}
    with av.open(str(path), "w") as out:
        stream: Any = None
        for place, size in enumerate([SIZE, second]):
            part = encode(
                folder / f"{place}.webm", codec="libvpx-vp9", num_frames=12, size=size, options=options, gop=6
            )
            with av.open(str(part.path)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size and packet.pts is not None:
                        packet.pts = packet.dts = packet.pts + place * 480
                        packet.stream = stream
                        out.mux(packet)
    return path


def test_frames_that_change_size_midway_keep_the_first_size(tmp_path: Path) -> None:
    video = as_video(two_sizes(tmp_path, (384, 288)))
    assert (video.num_frames, video.width, video.height) == (24, *SIZE)
    with open_frames(video) as reader:
        for frame_index in [*range(24), 15, 3, 20]:
            picture = reader.read(frame_index)
            assert picture.shape == (SIZE[1], SIZE[0], 3)
            assert number_of(picture) == frame_index % 12
            assert is_upright(picture)


def test_frames_that_grow_enormous_midway_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_LARGE", 30_000)
    video = as_video(two_sizes(tmp_path, (640, 480)))
    # What decodes is the video.
    assert (video.num_frames, video.width, video.height) == (12, *SIZE)
    with open_frames(video) as reader:
        assert [number_of(reader.read(i)) for i in range(12)] == list(range(12))
