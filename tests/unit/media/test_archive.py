"""Zips that mean harm, and those that do not."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import InvalidMedia, ServiceError, TooLarge
from backend.media.archive import is_zip, unpack_frames
from backend.media.limits import Limits
from backend.media.stills import list_frames, read_picture
from tests.media_files import frame_zip, number_of, picture_bytes

Members = dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]]


def make(path: Path, members: Members, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in pairs:
            archive.writestr(name, data)
    return path


def refused(path: Path, limits: Limits, folder: Path) -> ServiceError:
    """The error; and nothing may lie outside the folder."""
    folder.mkdir()
    before = {p for p in folder.parent.rglob("*") if folder not in p.parents}
    with pytest.raises(ServiceError) as caught:
        unpack_frames(path, folder, limits)
    assert {p for p in folder.parent.rglob("*") if folder not in p.parents} == before
    return caught.value


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_frames_come_out_by_number(limits: Limits, tmp_path: Path, kind: str) -> None:
    clip = frame_zip(tmp_path / "clip.zip", kind=kind)
    folder = tmp_path / "out"
    folder.mkdir()
    told: list[float] = []
    assert is_zip(clip.path)
    assert unpack_frames(clip.path, folder, limits, told.append) == 6
    assert [number_of(read_picture(p)) for p in list_frames(folder)] == list(clip.numbers)
    assert told[-1] == 1


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../1.jpg", "/1.jpg", "a/../../1.jpg", "..\\1.jpg", "C:/1.jpg", "C:1.jpg", "../notes.txt", "a/.."],
)
def test_members_that_would_land_outside_are_refused(limits: Limits, tmp_path: Path, name: str) -> None:
    good = picture_bytes(1)
    path = make(tmp_path / "x.zip", {"2.jpg": good, name: good})
    assert refused(path, limits, tmp_path / "out").code == "unsafe_archive"


def test_a_member_without_a_name_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {"1.jpg": picture_bytes(1), "x": b""})
    # In the table of contents the last member's one letter is no longer its name, but some extra.
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 28], data[at + 30] = 0, 1
    path.write_bytes(data)
    assert refused(path, limits, tmp_path / "out").code == "unsafe_archive"


def test_links_are_refused(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", [("2.jpg", picture_bytes(2)), (link("3.jpg"), b"/etc/passwd")])
    assert refused(path, limits, tmp_path / "out").code == "unsafe_archive"


def test_a_name_with_a_zero_byte_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {"1.jpgX.txt": b"x"})
    path.write_bytes(path.read_bytes().replace(b"1.jpgX.txt", b"1.jpg\0.txt"))
    assert refused(path, limits, tmp_path / "out").code == "unsafe_archive"


def test_a_bomb_is_refused_by_what_it_says(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {f"{i}.png": bytes(5_000_000) for i in range(3)})
    error = refused(path, replace(limits, max_bytes=1_000_000), tmp_path / "out")
    assert isinstance(error, TooLarge)
    assert error.code == "upload_too_large"


def test_a_bomb_that_lies_about_its_size_is_refused_while_it_unpacks(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {"1.png": bytes(5_000_000)})
    data = path.read_bytes()
    assert data.count(struct.pack("<I", 5_000_000)) == 2
    path.write_bytes(data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 5_000)))
    folder = tmp_path / "out"
    refused(path, replace(limits, max_bytes=10_000), folder)
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 20_000


def test_too_many_members_are_refused(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {f"{i}.png": b"" for i in range(40)})
    error = refused(path, replace(limits, max_frames=39), tmp_path / "out")
    assert (error.code, "39" in error.sentence) == ("too_many_frames", True)


def test_a_huge_table_of_contents_is_not_read(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {f"folder/{'x' * 200}{i}/": b"" for i in range(6000)})
    assert refused(path, replace(limits, max_frames=100), tmp_path / "out").code == "too_many_frames"


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"notes.txt": b"x"}, "no_frames", "no numbered"),
        ({"__MACOSX/1.jpg": b"x", ".1.jpg": b"x"}, "no_frames", "no numbered"),
        ({}, "no_frames", "no numbered"),
        ({"a/1.jpg": b"x", "b/2.jpg": b"x"}, "invalid_media", "more than one folder"),
        ({"01.jpg": b"x", "1.png": b"x"}, "invalid_media", "number 1"),
    ],
)
def test_zips_that_hold_no_one_video_are_refused(
    limits: Limits, tmp_path: Path, members: dict[str, bytes], code: str, words: str
) -> None:
    error = refused(make(tmp_path / "x.zip", members), limits, tmp_path / "out")
    assert isinstance(error, InvalidMedia)
    assert error.code == code
    assert words in error.sentence


def test_a_locked_zip_says_so(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {"1.jpg": picture_bytes(1)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    assert "password" in refused(path, limits, tmp_path / "out").sentence


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused_before_they_are_begun(limits: Limits, tmp_path: Path, packing: int) -> None:
    path = make(tmp_path / "x.zip", {"1.jpg": picture_bytes(1)}, packing)
    assert "ordinary zip" in refused(path, limits, tmp_path / "out").sentence


@pytest.mark.parametrize("keep", [0.2, 0.9])
def test_a_cut_off_zip_is_refused(limits: Limits, tmp_path: Path, keep: float) -> None:
    clip = frame_zip(tmp_path / "x.zip")
    data = clip.path.read_bytes()
    clip.path.write_bytes(data[: int(len(data) * keep)])
    assert refused(clip.path, limits, tmp_path / "out").code == "invalid_media"


def test_a_zip_with_damaged_members_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", {"1.png": io.BytesIO(picture_bytes(1)).read()})
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    assert refused(path, limits, tmp_path / "out").code == "invalid_media"
