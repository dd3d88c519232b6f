"""Frame N is exactly frame N, whatever the file and the order of reading."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import InvalidInput
from backend.media.reader import FrameReader, open_frames
from tests.media_files import HARD, Clip, frame_folder, is_upright, number_of
from tests.unit.media.conftest import as_video

Hard = Callable[[str], Clip]


def check(reader: FrameReader, clip: Clip, order: list[int]) -> None:
    for frame_index in order:
        picture = reader.read(frame_index)
        assert picture.shape == (clip.height, clip.width, 3)
        assert number_of(picture) == clip.numbers[frame_index]
        assert is_upright(picture)


def orders(count: int) -> dict[str, list[int]]:
    dice = random.Random(count)
    return {
        "forward": list(range(count)),
        "backward": list(range(count))[::-1],
        "random": [dice.randrange(count) for _ in range(60)],
        "to and fro": [i for k in range(0, count - 5, 9) for i in (k, k + 3, k + 1, k + 5, k + 4)],
        "every third": list(range(0, count, 3)),
    }


@pytest.mark.parametrize("name", HARD)
def test_every_frame_of_a_hard_file_is_the_one_asked_for(hard: Hard, name: str) -> None:
    clip = hard(name)
    video = as_video(clip.path)
    assert (video.width, video.height, video.num_frames) == (clip.width, clip.height, clip.num_frames)
    for order in orders(clip.num_frames).values():
        with open_frames(video) as reader:
            assert len(reader) == clip.num_frames
            check(reader, clip, order)
    with open_frames(video) as reader:
        check(reader, clip, [i for order in orders(clip.num_frames).values() for i in order])


@pytest.mark.parametrize("name", HARD)
def test_timestamps_are_those_of_the_file(hard: Hard, name: str) -> None:
    clip = hard(name)
    with open_frames(as_video(clip.path)) as reader:
        # Matroska and AVI round to whole milliseconds or frames.
        assert reader.timestamps == pytest.approx(clip.timestamps, abs=0.0011)


@pytest.mark.parametrize("name", ["h264.avi", "open_gop.mkv"])
def test_an_index_that_was_not_kept_is_made_again(hard: Hard, tmp_path: Path, name: str) -> None:
    clip = hard(name)
    path = tmp_path / name
    path.write_bytes(clip.path.read_bytes())
    with open_frames(as_video(path, keep_index=False)) as reader:
        check(reader, clip, list(range(clip.num_frames))[::-1])


def test_a_folder_is_read_by_number(tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    with open_frames(as_video(clip.path)) as reader:
        check(reader, clip, [0, 1, 2, 3, 4, 5, 3, 0])


@pytest.mark.parametrize("frame_index", [-1, 48, 10**9])
def test_a_frame_beyond_the_end_is_refused(hard: Hard, frame_index: int) -> None:
    with open_frames(as_video(hard("b_frames.mp4").path)) as reader:
        with pytest.raises(InvalidInput, match="0 to 47") as caught:
            reader.read(frame_index)
        assert caught.value.code == "frame_out_of_range"
        assert number_of(reader.read(47)) == 47
