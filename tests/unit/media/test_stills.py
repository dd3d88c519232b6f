"""Pictures of every kind become RGB, upright, at eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import InvalidInput, InvalidMedia
from backend.media.reader import open_frames
from backend.media.stills import frame_number, is_still, list_frames, picture_size, read_picture
from tests.media_files import SIZE, frame_folder, is_upright, number_of, paint
from tests.unit.media.conftest import as_video

# How each EXIF orientation has to be stored to be shown upright.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    picture = Image.fromarray(paint(77))
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    (picture.transpose(turn) if turn is not None else picture).save(path, kind, exif=exif)
    assert picture_size(path) == SIZE
    shown = read_picture(path)
    assert shown.shape == (SIZE[1], SIZE[0], 3)
    assert number_of(shown) == 77
    assert is_upright(shown)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_each_kind_of_still_is_a_video_of_one_frame(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    Image.fromarray(paint(5)).save(path, kind)
    assert is_still(path)
    video = as_video(path)
    assert (video.kind, video.num_frames, video.width, video.height) == ("image", 1, *SIZE)
    with open_frames(video) as reader:
        assert (len(reader), reader.timestamps) == (1, [0.0])
        reader.read(0)[:] = 0
        assert number_of(reader.read(0)) == 5
        with pytest.raises(InvalidInput):
            reader.read(1)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x"
    Image.fromarray(paint(9)).convert(mode).save(path, "JPEG" if mode == "CMYK" else "PNG")
    shown = read_picture(path)
    assert shown.shape == (SIZE[1], SIZE[0], 3)
    assert shown.dtype == np.uint8
    assert number_of(shown) == 9


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    path = tmp_path / "deep.png"
    Image.fromarray(ramp).save(path)
    assert read_picture(path)[0, :, 0].tolist() == list(range(256))


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    picture = np.full((8, 8, 4), 200, np.uint8)
    picture[:, :4, 3] = 0
    picture[:, 4:, 3] = 255
    path = tmp_path / "glass.png"
    Image.fromarray(picture).save(path)
    shown = read_picture(path)
    assert (shown[:, :4] == 0).all()
    assert (shown[:, 4:] == 200).all()


def test_a_damaged_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(paint(5)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InvalidMedia, match="damaged"):
        read_picture(path)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("7.jpg", 7),
        ("frame0007.PNG", 7),
        ("a/b/shot2_0012.jpeg", 12),
        ("take3_00.jpg", 0),
        ("clip.jpg", None),
        ("7.txt", None),
        (".7.jpg", None),
        ("7.gif", None),
        ("img12b.png", 12),
    ],
)
def test_frames_are_numbered_by_the_last_number_in_their_name(name: str, number: int | None) -> None:
    assert frame_number(name) == number


def test_a_folder_is_sorted_by_number_and_may_have_gaps(tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    assert [path.name for path in list_frames(clip.path)] == [f"frame{n}.jpg" for n in clip.numbers]


def test_two_frames_of_one_number_are_refused(tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    (clip.path / "other_008.png").write_bytes(b"")
    with pytest.raises(InvalidMedia, match="number 8"):
        list_frames(clip.path)


def test_a_frame_that_went_missing_is_named(tmp_path: Path) -> None:
    clip = frame_folder(tmp_path / "frames")
    with open_frames(as_video(clip.path)) as reader:
        (clip.path / "frame9.jpg").unlink()
        assert number_of(reader.read(1)) == 8
        with pytest.raises(InvalidMedia, match="frame 2"):
            reader.read(2)
