"""Probing: what files are, which are refused, and a decoder that turns against us."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from backend.errors import InvalidInput, InvalidMedia, TooLarge
from backend.media import probe as module
from backend.media.index import Index
from backend.media.limits import Limits, limits_from
from backend.media.look import look_at
from backend.media.probe import probe
from backend.settings import Settings
from tests.media_files import SIZE, Clip, encode, frame_folder, picture_bytes

Hard = Callable[[str], Clip]


@pytest.mark.parametrize(
    ("name", "fps", "duration", "rotation", "sound"),
    [
        ("b_frames.mp4", Fraction(25), 1.92, 0, True),
        ("turned_90.mov", Fraction(25), 1.92, 90, False),
        ("turned_270.mov", Fraction(25), 1.92, 270, False),
        ("ntsc.mkv", Fraction(30000, 1001), 48 * 1.001 / 30, 0, False),
        ("trimmed.mp4", Fraction(25), 1.52, 0, False),
        ("h264.avi", Fraction(25), 1.92, 0, False),
    ],
)
def test_a_video_is_measured(
    hard: Hard, limits: Limits, name: str, fps: Fraction, duration: float, rotation: int, sound: bool
) -> None:
    clip = hard(name)
    found = probe(clip.path, limits)
    assert (found.kind, found.width, found.height) == ("video", clip.width, clip.height)
    assert (found.fps, found.fps_assumed, found.num_frames) == (fps, False, clip.num_frames)
    assert found.duration == pytest.approx(duration, abs=0.002)
    assert (found.rotation, found.has_audio) == (rotation, sound)


def test_a_variable_rate_is_the_average_one(hard: Hard, limits: Limits) -> None:
    clip = hard("variable_rate.mp4")
    found = probe(clip.path, limits)
    assert float(found.fps) == pytest.approx((clip.num_frames - 1) / clip.timestamps[-1], rel=1e-4)
    assert found.index.timestamps == pytest.approx(clip.timestamps, abs=1e-4)


def test_a_file_is_known_by_its_content_not_its_name(hard: Hard, limits: Limits, tmp_path: Path) -> None:
    video = tmp_path / "picture.png"
    video.write_bytes(hard("vp9.webm").path.read_bytes())
    assert probe(video, limits).kind == "video"
    picture = tmp_path / "film.mp4"
    picture.write_bytes(picture_bytes(3))
    found = probe(picture, limits)
    assert (found.kind, found.num_frames, found.width, found.height) == ("image", 1, *SIZE)


def test_frames_are_thirty_a_second_only_where_nobody_said_otherwise(limits: Limits, tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    found = probe(clip.path, limits)
    assert (found.kind, found.fps, found.fps_assumed, found.num_frames) == ("frames", Fraction(30), True, 6)
    found = probe(clip.path, limits, Fraction(24000, 1001))
    assert (found.fps, found.fps_assumed) == (Fraction(24000, 1001), False)


@pytest.mark.parametrize("fps", [Fraction(0), Fraction(-5), Fraction(10**6)])
def test_an_impossible_rate_is_refused(limits: Limits, tmp_path: Path, fps: Fraction) -> None:
    with pytest.raises(InvalidInput) as caught:
        probe(frame_folder(tmp_path / "frames").path, limits, fps)
    assert caught.value.code == "invalid_fps"


def test_progress_grows(limits: Limits, tmp_path: Path) -> None:
    clip = encode(tmp_path / "many.mp4", num_frames=700, size=(64, 48), options={"preset": "ultrafast"})
    told: list[float] = []
    probe(clip.path, limits, on_progress=told.append)
    assert told
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1


def look(path: Path, limits: Limits) -> int:
    """What the probe's child does, done here: quicker. Returns the number of frames."""
    return len(Index.from_bytes(look_at(path, limits, None, lambda _: None)[1]))


# --- refused ---------------------------------------------------------------------------------


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, this is no video\n" * 50,
        os.urandom(5000),
        b"\x89PNG\r\n\x1a\n broken",
        PLAYLIST,
        b"ffconcat version 1.0\nfile x",
    ],
    ids=["empty", "text", "noise", "png", "playlist", "concat"],
)
def test_what_is_no_media_is_refused(limits: Limits, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(InvalidMedia) as caught:
        probe(path, limits)
    assert caught.value.code == "invalid_media"
    assert str(tmp_path) not in caught.value.sentence


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_cut_off_file_is_refused(hard: Hard, limits: Limits, tmp_path: Path, keep: float) -> None:
    whole = hard("b_frames.mp4").path.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(InvalidMedia):
        look(path, limits)


def test_a_cut_off_file_with_its_table_in_front_is_refused(limits: Limits, tmp_path: Path) -> None:
    clip = encode(tmp_path / "a.mp4", container_options={"movflags": "faststart"})
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.path.read_bytes()[: clip.path.stat().st_size // 2])
    with pytest.raises(InvalidMedia, match=r"cut off: only .* of its 48 frames"):
        look(path, limits)


def test_a_cut_off_mkv_is_what_is_left_of_it(hard: Hard, limits: Limits, tmp_path: Path) -> None:
    # A recorder that crashed leaves such files; matroska is made to be read that way.
    whole = hard("open_gop.mkv").path.read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    assert 12 <= look(path, limits) < 40


def test_a_damaged_picture_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    data = picture_bytes(1)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidMedia, match="damaged"):
        look(path, limits)


def test_sound_alone_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(InvalidMedia, match="no video"):
        look(path, limits)


@pytest.mark.parametrize("name", ["none.mkv", "none.mp4", "none.avi"])
def test_a_video_without_frames_is_refused(limits: Limits, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    with pytest.raises(InvalidMedia) as caught:
        look(path, limits)
    assert caught.value.code == "no_frames"


def test_an_empty_folder_is_refused(limits: Limits, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no frame")
    with pytest.raises(InvalidMedia) as caught:
        look(tmp_path, limits)
    assert caught.value.code == "no_frames"


def huge_png(side: int) -> bytes:
    """A valid PNG header of a picture that would take gigabytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_twenty_thousand_pixels_square_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png(20_000))
    with pytest.raises(TooLarge, match="20000 × 20000") as caught:
        probe(path, limits_from(Settings(data_dir=tmp_path)))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize(
    ("side", "error"), [(16_000, TooLarge), (20_000, InvalidMedia)], ids=["over the limit", "over what FFmpeg opens"]
)
def test_a_video_of_enormous_frames_is_refused_before_decoding(
    tmp_path: Path, side: int, error: type[TooLarge | InvalidMedia]
) -> None:
    clip = encode(tmp_path / "raw.avi", codec="rawvideo", pix_fmt="bgr24", num_frames=3)
    data = clip.path.read_bytes()
    # The size stands in two headers, once upside down.
    for sign in (1, -1):
        old, new = struct.pack("<Ii", SIZE[0], sign * SIZE[1]), struct.pack("<Ii", side, sign * side)
        assert data.count(old) == 1
        data = data.replace(old, new)
    clip.path.write_bytes(data)
    with pytest.raises(error, match=r"too large|larger") as caught:
        look(clip.path, limits_from(Settings(data_dir=tmp_path)))
    assert caught.value.code == ("too_many_pixels" if error is TooLarge else "invalid_media")


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_gop.mkv", "h264.avi", "timed.gif"])
def test_limits_are_named_in_the_sentence(hard: Hard, limits: Limits, name: str) -> None:
    path = hard(name).path
    with pytest.raises(TooLarge, match="27647 pixels") as caught:
        look(path, replace(limits, max_pixels=SIZE[0] * SIZE[1] - 1))
    assert caught.value.code == "too_many_pixels"
    with pytest.raises(TooLarge, match=r"1\.25 seconds are allowed") as caught:
        look(path, replace(limits, max_seconds=1.25))
    assert caught.value.code == "video_too_long"
    with pytest.raises(TooLarge, match="20 are allowed") as caught:
        look(path, replace(limits, max_frames=20))
    assert caught.value.code == "too_many_frames"


def test_frames_of_two_sizes_are_refused(limits: Limits, tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    (clip.path / "frame50.jpg").write_bytes(picture_bytes(50, "JPEG", (100, 80)))
    with pytest.raises(InvalidMedia, match="192 × 144, frame 4 is 100 × 80"):
        probe(clip.path, limits)


# --- the child -------------------------------------------------------------------------------


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setattr(module, "TARGET", f"tests.unit.media.naughty:{name}")


@pytest.mark.parametrize("name", ["hang", "flood"])
def test_a_decoder_that_never_ends_is_stopped(
    hard: Hard, limits: Limits, target: Callable[[str], None], name: str
) -> None:
    target(name)
    began = time.monotonic()
    with pytest.raises(InvalidMedia, match=r"more than 1\.5 seconds"):
        probe(hard("vp9.webm").path, replace(limits, probe_seconds=1.5))
    assert time.monotonic() - began < 5


def test_a_decoder_that_spins_runs_out_of_processor_time(
    hard: Hard, limits: Limits, target: Callable[[str], None]
) -> None:
    target("spin")
    with pytest.raises(InvalidMedia):
        probe(hard("vp9.webm").path, replace(limits, probe_seconds=1))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("eat", "memory"),
        ("crash", "gave up"),
        ("leave", "gave up"),
        ("write", "gave up"),
        ("lie", "can be read"),
        ("nest", "can be read"),
    ],
)
def test_a_decoder_that_misbehaves_costs_nothing_but_the_file(
    hard: Hard, limits: Limits, target: Callable[[str], None], tmp_path: Path, name: str, sentence: str
) -> None:
    target(name)
    path = tmp_path / "x.webm"
    path.write_bytes(hard("vp9.webm").path.read_bytes())
    with pytest.raises(InvalidMedia, match=sentence):
        probe(path, replace(limits, probe_memory_mb=700))
    assert not (tmp_path / "planted").exists() or not (tmp_path / "planted").stat().st_size


def test_the_child_is_given_no_keys_and_may_print(
    hard: Hard, limits: Limits, target: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEYS", "secret")
    target("tell_secrets")
    assert probe(hard("vp9.webm").path, limits).num_frames == 48
