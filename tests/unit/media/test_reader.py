"""Frame N is exactly frame N, whatever the file and the order of reading."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from backend.errors import InvalidInput, InvalidMedia
from backend.media import decoder
from backend.media.index import sidecar
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


@pytest.mark.parametrize("file", HARD)
def test_every_frame_of_a_hard_file_is_the_one_asked_for(hard: Hard, file: str) -> None:
    clip = hard(file)
    video = as_video(clip.path)
    assert (video.width, video.height, video.num_frames) == (clip.width, clip.height, clip.num_frames)
    # From a fresh decoder each, then one after another with all that the decoder holds by then.
    for name in ("backward", "random"):
        with open_frames(video) as reader:
            check(reader, clip, orders(clip.num_frames)[name])
    with open_frames(video) as reader:
        assert len(reader) == clip.num_frames
        for order in orders(clip.num_frames).values():
            check(reader, clip, order)


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


def test_going_back_through_a_long_group_of_pictures_is_not_quadratic(
    hard: Hard, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = hard("long_gop.mp4")
    # Room for 60 of the 250 frames, as 1080p has for 20.
    monkeypatch.setattr(decoder, "BEHIND_BYTES", 60 * clip.width * clip.height * 3 // 2)
    decoded = 0
    with open_frames(as_video(clip.path)) as reader:
        source = reader._source
        assert isinstance(source, decoder.VideoFrames)
        keep = source._keep

        def counting(at: int, frame: av.VideoFrame) -> None:
            nonlocal decoded
            decoded += 1
            keep(at, frame)
            assert source._kept_bytes <= decoder.BEHIND_BYTES

        monkeypatch.setattr(source, "_keep", counting)
        check(reader, clip, list(range(250))[::-1])
    # Once for each roomful, from the key on: 250 + 190 + 130 + … ; each frame alone would be 31,000.
    assert decoded < 1000


def test_going_forward_keeps_few_frames(hard: Hard) -> None:
    with open_frames(as_video(hard("long_gop.mp4").path)) as reader:
        for frame_index in range(100):
            reader.read(frame_index)
        source = reader._source
        assert isinstance(source, decoder.VideoFrames)
        assert len(source._kept) <= 8


def test_frames_that_are_damaged_within_a_file_do_not_move_the_others(hard: Hard, tmp_path: Path) -> None:
    clip = hard("long_gop.mp4")
    video = as_video(clip.path)
    data = bytearray(clip.path.read_bytes())
    with av.open(str(clip.path)) as container:
        packet = list(container.demux(video=0))[120]
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    sidecar(broken).write_bytes(sidecar(clip.path).read_bytes())
    with open_frames(replace(video, path=broken)) as reader:
        for frame_index in [*range(100), 0, 249]:
            assert reader.read(frame_index).shape == (clip.height, clip.width, 3)
        check(reader, clip, [*range(100), 50, 7])


def test_a_file_that_changed_is_an_error_not_a_wrong_frame(hard: Hard, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(hard("b_frames.mp4").path.read_bytes())
    video = as_video(path)
    path.write_bytes(hard("vp9.webm").path.read_bytes())
    with open_frames(video) as reader, pytest.raises(InvalidMedia):
        reader.read(47)
    path.unlink()
    with pytest.raises(InvalidMedia, match="no longer there"):
        open_frames(video)


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
