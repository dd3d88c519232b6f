"""Makes real, difficult video files whose frames say which frame they are.

Every picture holds its number as a grid of black and white squares (with a checksum, so that a
blurred or mixed frame is noticed) and a colour in three corners, so that a turned or mirrored one
is noticed. Everything is written by PyAV and Pillow: no ffmpeg program is needed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
SIZE = (192, 144)
"""Width and height of the files made here, unless asked otherwise."""
CORNERS = ("red", "green", "blue")
_COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
_BITS = 12
_SIDE = 4


@dataclass(frozen=True)
class Clip:
    """A made file and the truth about it. `timestamps` in seconds, from the first frame."""

    path: Path
    num_frames: int
    width: int
    height: int
    fps: Fraction
    timestamps: tuple[float, ...]
    numbers: tuple[int, ...]
    """The number painted into each frame."""


def paint(number: int, width: int = SIZE[0], height: int = SIZE[1]) -> Picture:
    """A picture (H, W, 3), RGB uint8, that says `number` (0 to 4095)."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = 70 + 60 * x // width
    picture[..., 1] = 70 + 60 * y // height
    picture[..., 2] = 90 + (number * 5) % 40
    for (row, col), color in zip(((0, 0), (0, 7), (7, 0)), CORNERS, strict=True):
        picture[_cell(row, height), _cell(col, width)] = _COLORS[color]
    for position, bit in enumerate(_code(number)):
        row, col = 2 + position // _SIDE, 2 + position % _SIDE
        picture[_cell(row, height), _cell(col, width)] = 235 if bit else 16
    return picture


def number_of(picture: Picture) -> int:
    """The number painted into a picture (H, W, 3); fails where the picture is mixed or turned."""
    height, width = picture.shape[:2]
    grey = picture.astype(np.float32).mean(axis=2)
    bits = []
    for position in range(_SIDE * _SIDE):
        row, col = 2 + position // _SIDE, 2 + position % _SIDE
        value = float(grey[_inner(row, height), _inner(col, width)].mean())
        assert value < 90 or value > 160, f"square {position} is neither black nor white: {value:.0f}"
        bits.append(value > 125)
    number = sum(bit << i for i, bit in enumerate(bits[:_BITS]))
    assert bits == _code(number), f"the checksum of {number} is wrong: the frame is mixed or turned"
    return number


def is_upright(picture: Picture) -> bool:
    """Whether the three coloured corners are where they were painted."""
    height, width = picture.shape[:2]
    for (row, col), channel in zip(((0, 0), (0, 7), (7, 0)), range(3), strict=True):
        mean = picture[_inner(row, height), _inner(col, width)].reshape(-1, 3).mean(axis=0)
        if mean.argmax() != channel or mean.max() < 120:
            return False
    return True


def _code(number: int) -> list[bool]:
    check = (number * 7 + number // 16 * 5 + number // 256 * 3 + 9) % 16
    return [bool(number >> i & 1) for i in range(_BITS)] + [bool(check >> i & 1) for i in range(4)]


def _cell(index: int, length: int) -> slice:
    return slice(index * length // 8, (index + 1) * length // 8)


def _inner(index: int, length: int) -> slice:
    cell = _cell(index, length)
    rim = max(1, (cell.stop - cell.start) // 4)
    return slice(cell.start + rim, cell.stop - rim)


# --- video files -----------------------------------------------------------------------------


def encode(
    path: Path,
    *,
    num_frames: int = 48,
    size: tuple[int, int] = SIZE,
    fps: Fraction = Fraction(25),
    times: Sequence[Fraction] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    gop: int = 12,
    b_frames: int = 0,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    time_base: Fraction | None = None,
    start: Fraction = Fraction(0),
    sound: str | None = None,
    container_options: dict[str, str] | None = None,
    format_name: str | None = None,
) -> Clip:
    """Write a video file. `rotation`: degrees clockwise that a player must turn the stored frames.

    `times` are seconds for each frame (variable rate); `start` shifts all of them. `sound` is the
    name of an audio encoder.
    """
    width, height = size
    base = time_base or (1 / fps if times is None else Fraction(1, 90000))
    times = [Fraction(i) / fps for i in range(num_frames)] if times is None else times
    with av.open(str(path), "w", format=format_name, options=container_options or {}) as out:
        stored = (height, width) if rotation % 180 else (width, height)
        video: Any = out.add_stream(codec, rate=fps)
        video.width, video.height = stored
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = base
        video.codec_context.gop_size = gop
        video.codec_context.max_b_frames = b_frames
        video.codec_context.thread_count = 1
        video.options = options or {}
        if rotation:
            video.set_display_rotation(-rotation)
        audio: Any = out.add_stream(sound, rate=48000 if sound == "libopus" else 44100) if sound else None
        for number, time in enumerate(times):
            picture = np.rot90(paint(number, width, height), rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(format=pix_fmt)
            frame.time_base = base
            frame.pts = round((time + start) / base)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            for packet in _sound(audio, start, float(times[-1] + 1 / fps)):
                out.mux(packet)
    seconds = tuple(float(t - times[0]) for t in times)
    return Clip(path, len(times), width, height, fps, seconds, tuple(range(len(times))))


def _sound(stream: Any, start: Fraction, seconds: float) -> Iterable[Any]:
    """A rising tone of that length, from `start` on."""
    rate = stream.codec_context.sample_rate
    total = round(seconds * rate)
    moments = np.arange(total) / rate
    wave = (0.3 * np.sin(2 * np.pi * (220 + 60 * moments) * moments)).astype(np.float32)
    for at in range(0, total, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = at + round(start * rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


# --- the hard cases --------------------------------------------------------------------------

_OPEN_GOP = "scenecut=0:keyint=12:min-keyint=12:bframes=3"


def b_frames(path: Path) -> Clip:
    """H.264 in mp4 with B-frames and sound."""
    return encode(path, b_frames=3, sound="aac")


def variable_rate(path: Path) -> Clip:
    """H.264 in mp4 whose frames last between 30 and 130 ms, with B-frames."""
    steps = [Fraction(3 * n, 90000) for n in (1001, 2002, 1500, 4004, 900, 1001, 3003)]
    times = [Fraction(0)]
    while len(times) < 48:
        times.append(times[-1] + steps[len(times) * 5 % 7])
    return encode(path, b_frames=3, times=times)


def open_gop(path: Path) -> Clip:
    """H.264 in mkv with open groups of pictures."""
    return encode(path, options={"x264-params": f"open-gop=1:b-adapt=0:{_OPEN_GOP}"}, b_frames=3)


def hevc(path: Path) -> Clip:
    """HEVC in mp4 with open groups of pictures."""
    return encode(path, codec="libx265", options={"x265-params": f"open-gop=1:log-level=none:{_OPEN_GOP}"})


def vp9(path: Path) -> Clip:
    return encode(path, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})


def vp8(path: Path) -> Clip:
    """VP8 in webm with hidden reference frames."""
    options = {"deadline": "good", "cpu-used": "2", "auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7"}
    return encode(path, codec="libvpx", options=options, num_frames=64, gop=60)


def avi_mpeg4(path: Path) -> Clip:
    return encode(path, codec="mpeg4", b_frames=2)


def avi_h264(path: Path) -> Clip:
    """H.264 with B-frames in avi, which has no presentation timestamps."""
    return encode(path, b_frames=2)


def avi_gaps(path: Path) -> Clip:
    """An avi with empty packets, where the frame before stays on for longer."""
    times = [Fraction(i + i // 3 * 2, 25) for i in range(36)]
    return encode(path, codec="mpeg4", times=times, time_base=Fraction(1, 25))


def gif(path: Path) -> Clip:
    """A GIF whose frames last 60 to 200 ms."""
    times = [Fraction(0)]
    while len(times) < 24:
        times.append(times[-1] + Fraction((6, 10, 20)[len(times) % 3], 100))
    return encode(path, codec="gif", pix_fmt="rgb8", times=times, time_base=Fraction(1, 100), fps=Fraction(10))


def long_gop(path: Path) -> Clip:
    """H.264 with a single key frame."""
    options = {"x264-params": "scenecut=0:keyint=250", "preset": "veryfast"}
    return encode(path, num_frames=250, gop=250, b_frames=3, options=options)


def late_start(path: Path) -> Clip:
    """A video whose first timestamp is three seconds."""
    return encode(path, b_frames=2, start=Fraction(3))


def trimmed(path: Path) -> Clip:
    """An mp4 whose edit list hides its first ten frames: they start before time zero."""
    clip = encode(path, b_frames=2, start=Fraction(-10, 25), container_options={"avoid_negative_ts": "disabled"})
    return replace(clip, num_frames=38, timestamps=clip.timestamps[:38], numbers=clip.numbers[10:])


def fragmented(path: Path) -> Clip:
    return encode(path, b_frames=2, container_options={"movflags": "frag_keyframe+empty_moov"})


def odd_size(path: Path) -> Clip:
    return encode(path, size=(333, 251), pix_fmt="yuv444p")


def ntsc(path: Path) -> Clip:
    """30000/1001 frames a second in mkv, whose timestamps are whole milliseconds."""
    return encode(path, fps=Fraction(30000, 1001), b_frames=2)


def turned(rotation: int) -> Callable[[Path], Clip]:
    """A phone's mov whose frames are stored turned."""
    return lambda path: encode(path, rotation=rotation, b_frames=2, size=(208, 144))


HARD: dict[str, Callable[[Path], Clip]] = {
    "b_frames.mp4": b_frames,
    "variable_rate.mp4": variable_rate,
    "open_gop.mkv": open_gop,
    "hevc.mp4": hevc,
    "vp9.webm": vp9,
    "vp8.webm": vp8,
    "mpeg4.avi": avi_mpeg4,
    "h264.avi": avi_h264,
    "gaps.avi": avi_gaps,
    "timed.gif": gif,
    "long_gop.mp4": long_gop,
    "late_start.mkv": late_start,
    "trimmed.mp4": trimmed,
    "fragmented.mp4": fragmented,
    "odd_size.mkv": odd_size,
    "ntsc.mkv": ntsc,
    "turned_90.mov": turned(90),
    "turned_180.mov": turned(180),
    "turned_270.mov": turned(270),
}
"""How to make each difficult file, by its name."""


# --- pictures --------------------------------------------------------------------------------


def picture_bytes(number: int, kind: str = "PNG", size: tuple[int, int] = SIZE) -> bytes:
    """A painted picture as a file."""
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": 92} if kind == "JPEG" else {}
    Image.fromarray(paint(number, *size)).save(file, kind, **options)
    return file.getvalue()


def frame_folder(path: Path, numbers: Sequence[int] = (7, 8, 9, 12, 100, 1000), kind: str = "JPEG") -> Clip:
    """A folder of frames named without leading zeros, from 7 on and with gaps, beside a note."""
    path.mkdir(parents=True)
    suffix = "jpg" if kind == "JPEG" else "png"
    for number in numbers:
        (path / f"frame{number}.{suffix}").write_bytes(picture_bytes(number, kind))
    (path / "notes.txt").write_text("not a frame")
    return Clip(path, len(numbers), *SIZE, Fraction(30), tuple(i / 30 for i in range(len(numbers))), tuple(numbers))


def frame_zip(path: Path, numbers: Sequence[int] = (7, 8, 9, 12, 100, 1000), kind: str = "PNG") -> Clip:
    """A zip of frames in a folder, in no order, with what macOS adds."""
    suffix = "jpg" if kind == "JPEG" else "png"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip/", "")
        for number in sorted(numbers, key=lambda n: (n * 37) % 11):
            archive.writestr(f"clip/shot2_{number}.{suffix}", picture_bytes(number, kind))
        archive.writestr(f"__MACOSX/clip/._shot2_{numbers[0]}.{suffix}", b"junk")
        archive.writestr("clip/.DS_Store", b"junk")
    return Clip(path, len(numbers), *SIZE, Fraction(30), tuple(i / 30 for i in range(len(numbers))), tuple(numbers))
