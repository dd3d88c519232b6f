"""Written files have the source's frames, size, timing and sound."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.domain import Video
from backend.errors import DiskFull
from backend.media.reader import open_frames
from backend.media.writer import VideoWriter
from tests.media_files import Clip, encode, is_upright, number_of, paint
from tests.unit.media.conftest import as_video

Hard = Callable[[str], Clip]


def rewrite(source: Video, target: Path) -> Video:
    """Copy a video frame by frame, as an export does."""
    with (
        open_frames(source) as reader,
        VideoWriter(
            target,
            source.width,
            source.height,
            source.fps,
            reader.timestamps,
            duration=source.duration,
            copy_audio_from=source.path,
        ) as writer,
    ):
        for frame_index in range(len(reader)):
            writer.write(reader.read(frame_index))
    return as_video(target)


def sound_of(path: Path) -> tuple[float, float]:
    """When the decoded sound starts and how long it is, in seconds, after edit lists."""
    with av.open(str(path)) as container:
        frames = [frame for frame in container.decode(audio=0) if frame.time is not None]
    samples = sum(frame.samples / frame.sample_rate for frame in frames)
    return frames[0].time or 0.0, samples


@pytest.mark.parametrize(
    "name",
    [
        "b_frames.mp4",
        "variable_rate.mp4",
        "late_start.mkv",
        "h264.avi",
        "trimmed.mp4",
        "turned_90.mov",
        "timed.gif",
        "ntsc.mkv",
    ],
)
def test_frames_size_and_timing_are_kept(hard: Hard, tmp_path: Path, name: str) -> None:
    clip = hard(name)
    source = as_video(clip.path)
    copy = rewrite(source, tmp_path / "out.mp4")
    assert (copy.width, copy.height, copy.num_frames) == (source.width, source.height, source.num_frames)
    assert copy.duration == pytest.approx(source.duration, abs=0.001)
    with open_frames(copy) as reader, open_frames(source) as original:
        assert reader.timestamps == pytest.approx(original.timestamps, abs=0.001)
        for frame_index in range(len(reader)):
            picture = reader.read(frame_index)
            assert number_of(picture) == clip.numbers[frame_index]
            assert is_upright(picture)


def test_an_odd_size_gets_one_more_row_and_column(hard: Hard, tmp_path: Path) -> None:
    copy = rewrite(as_video(hard("odd_size.mkv").path), tmp_path / "out.mp4")
    assert (copy.width, copy.height) == (334, 252)
    with open_frames(copy) as reader:
        picture = reader.read(20)
    assert number_of(picture[:251, :333]) == 20
    assert np.abs(picture[:, 333].astype(int) - picture[:, 332]).mean() < 4
    assert np.abs(picture[251].astype(int) - picture[250]).mean() < 4


@pytest.mark.parametrize(
    ("suffix", "codec", "written"),
    [
        ("mp4", "aac", "aac"),
        ("mkv", "libmp3lame", "mp3"),
        ("mp4", "ac3", "ac3"),
        ("mp4", "alac", "alac"),
        ("mkv", "flac", "aac"),
        ("avi", "pcm_s16le", "aac"),
        ("mkv", "libopus", "aac"),
    ],
)
def test_sound_is_taken_along(tmp_path: Path, suffix: str, codec: str, written: str) -> None:
    video_codec = "mpeg4" if suffix == "avi" else "libx264"
    clip = encode(tmp_path / f"in.{suffix}", codec=video_codec, sound=codec, num_frames=50)
    rewrite(as_video(clip.path), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.codec_context.name for s in container.streams.audio] in ([written], [written + "float"])
    before, after = sound_of(clip.path), sound_of(tmp_path / "out.mp4")
    # Encoders work in pieces of about a thousand samples and may lead in with one.
    assert after[0] == pytest.approx(before[0], abs=0.03)
    assert after[1] == pytest.approx(before[1], abs=0.06)


def test_sound_stays_in_step_with_a_video_that_starts_late(tmp_path: Path) -> None:
    clip = encode(tmp_path / "in.mkv", sound="libmp3lame", start=Fraction(2))
    rewrite(as_video(clip.path), tmp_path / "out.mp4")
    start, length = sound_of(tmp_path / "out.mp4")
    assert start == pytest.approx(0, abs=0.06)
    assert length == pytest.approx(1.92, abs=0.06)


def test_sound_is_interleaved_with_the_frames(tmp_path: Path) -> None:
    clip = encode(tmp_path / "in.mp4", sound="aac", num_frames=100)
    rewrite(as_video(clip.path), tmp_path / "out.mp4")
    behind = {"audio": 0.0, "video": 0.0}
    with av.open(str(tmp_path / "out.mp4")) as container:
        for packet in sorted((p for p in container.demux() if p.pos is not None and p.size), key=lambda p: p.pos or 0):
            behind[packet.stream.type] = float((packet.pts or 0) * (packet.time_base or 0))
            assert abs(behind["audio"] - behind["video"]) < 1.2


def test_colours_survive(tmp_path: Path) -> None:
    colors = [(200, 30, 40), (20, 180, 60), (40, 60, 210), (250, 250, 250), (5, 5, 5), (128, 128, 128)]
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, Fraction(10)) as writer:
        for color in colors:
            writer.write(np.full((48, 64, 3), color, np.uint8))
    with open_frames(as_video(path)) as reader:
        assert reader.timestamps == pytest.approx([i / 10 for i in range(6)])
        for frame_index, color in enumerate(colors):
            assert np.abs(reader.read(frame_index).astype(int) - color).max() <= 6


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
def test_another_program_agrees(hard: Hard, tmp_path: Path) -> None:
    source = as_video(hard("variable_rate.mp4").path)
    rewrite(source, tmp_path / "out.mp4")
    entries = "stream=nb_read_frames,width,height,duration,pix_fmt,color_space:frame=pts_time"
    command = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        entries,
        "-of",
        "json",
        str(tmp_path / "out.mp4"),
    ]
    told: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    stream = told["streams"][0]
    assert (stream["nb_read_frames"], stream["width"], stream["height"]) == ("48", 192, 144)
    assert (stream["pix_fmt"], stream["color_space"]) == ("yuv420p", "bt709")
    assert float(stream["duration"]) == pytest.approx(source.duration, abs=0.001)
    with open_frames(source) as reader:
        assert [float(f["pts_time"]) for f in told["frames"]] == pytest.approx(reader.timestamps, abs=0.001)


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    def fail() -> None:
        with VideoWriter(path, 192, 144, Fraction(25)) as writer:
            writer.write(paint(0))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not path.exists()


def test_wrong_sizes_and_extra_frames_are_mistakes(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 192, 144, Fraction(25), [0.0]) as writer:
        with pytest.raises(ValueError, match="shape"):
            writer.write(np.zeros((10, 10, 3), np.uint8))
        writer.write(paint(0))
        with pytest.raises(ValueError, match="frame 1"):
            writer.write(paint(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")

    def export() -> None:
        with VideoWriter(path, 192, 144, Fraction(25)) as writer:
            for number in range(200):
                writer.write(np.random.default_rng(number).integers(0, 255, (144, 192, 3), np.uint8))

    with pytest.raises(DiskFull):
        export()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        VideoWriter(tmp_path / "gone" / "out.mp4", 64, 48, Fraction(25))
