"""The frame cache: exact, bounded, and decoding each frame once however many ask."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from backend.domain import Video
from backend.errors import InvalidInput, InvalidMedia
from backend.media.frames import FrameCache
from tests.media_files import Clip, Picture, frame_folder, is_upright, number_of
from tests.unit.media.conftest import as_video

Hard = Callable[[str], Clip]


@pytest.fixture
def video(hard: Hard) -> Video:
    return as_video(hard("b_frames.mp4").path)


def picture(jpeg: bytes) -> Picture:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"))


def test_a_frame_is_the_one_asked_for(video: Video) -> None:
    cache = FrameCache(10_000_000)
    for frame_index in (0, 17, 3, 47, 3):
        shown = picture(cache.jpeg(video, frame_index))
        assert shown.shape == (144, 192, 3)
        assert number_of(shown) == frame_index
        assert is_upright(shown)
    assert cache.decoded == 4
    assert cache.timestamps(video) == pytest.approx([i / 25 for i in range(48)])
    cache.close()


def test_a_thumbnail_is_made_from_the_full_frame_at_hand(video: Video) -> None:
    cache = FrameCache(10_000_000)
    cache.jpeg(video, 20)
    small = picture(cache.jpeg(video, 20, width=96))
    assert small.shape == (72, 96, 3)
    assert number_of(small) == 20
    assert cache.decoded == 1
    assert picture(cache.jpeg(video, 20, width=5000)).shape == (144, 192, 3)
    assert len(cache.jpeg(video, 20, quality=30)) < len(cache.jpeg(video, 20, quality=95))
    cache.close()


def test_what_it_holds_stays_below_the_limit(video: Video) -> None:
    one = len(FrameCache(10_000_000).jpeg(video, 0))
    cache = FrameCache(5 * one)
    for frame_index in range(48):
        cache.jpeg(video, frame_index)
        assert cache.bytes_held <= 5 * one
    decoded = cache.decoded
    cache.jpeg(video, 47)
    assert cache.decoded == decoded
    cache.jpeg(video, 0)
    assert cache.decoded == decoded + 1
    cache.close()


def test_many_threads_decode_each_frame_once(video: Video) -> None:
    cache = FrameCache(50_000_000)
    gate = Barrier(8)

    def work(seed: int) -> list[int]:
        gate.wait()
        order = np.random.default_rng(seed % 2).permutation(48)
        return [number_of(picture(cache.jpeg(video, int(i)))) - int(i) for i in order]

    with ThreadPoolExecutor(8) as pool:
        assert all(set(wrong) == {0} for wrong in pool.map(work, range(8)))
    assert cache.decoded == 48
    cache.close()


def test_more_videos_than_open_readers(hard: Hard, tmp_path: Path) -> None:
    clip = hard("b_frames.mp4")
    videos = [replace(as_video(clip.path), id=f"v{i}") for i in range(7)]
    cache = FrameCache(200_000)

    def work(place: int) -> int:
        return number_of(picture(cache.jpeg(videos[place % 7], place * 5 % 48))) - place * 5 % 48

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(140))) == {0}
    assert len(cache._readers) <= 4
    cache.close()


def test_a_forgotten_video_leaves_nothing(video: Video, tmp_path: Path) -> None:
    cache = FrameCache(10_000_000)
    other = as_video(frame_folder(tmp_path / "frames").path)
    cache.jpeg(video, 3)
    kept = cache.jpeg(replace(other, id="other"), 0)
    cache.forget(video.id)
    cache.forget("unknown")
    assert cache.bytes_held == len(kept)
    cache.close()
    assert cache.bytes_held == 0
    assert number_of(picture(cache.jpeg(video, 3))) == 3
    cache.close()


@pytest.mark.parametrize(("frame_index", "code"), [(48, "frame_out_of_range"), (-1, "frame_out_of_range")])
def test_impossible_frames_are_refused(video: Video, frame_index: int, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        FrameCache(1_000_000).jpeg(video, frame_index)
    assert caught.value.code == code


@pytest.mark.parametrize(("width", "quality"), [(0, 85), (-5, 85), (10, 0), (10, 101)])
def test_impossible_sizes_are_refused(video: Video, width: int, quality: int) -> None:
    with pytest.raises(InvalidInput):
        FrameCache(1_000_000).jpeg(video, 0, width, quality)


def test_a_video_that_is_gone_is_told_and_blocks_nobody(video: Video, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    shutil.copy(video.path, path)
    gone = replace(video, path=path, id="gone")
    path.unlink()
    cache = FrameCache(1_000_000)
    for _ in range(2):
        with pytest.raises(InvalidMedia):
            cache.jpeg(gone, 0)
    assert number_of(picture(cache.jpeg(video, 1))) == 1
    cache.close()
