"""Unpacking zips of numbered frames that strangers made."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from backend.errors import InvalidMedia, TooLarge
from backend.media.limits import Limits, check_frames
from backend.media.stills import frame_number, refuse_twice

_DAMAGED = "The zip can't be read: the file is damaged."
_CHUNK = 1 << 18
_ENTRY_BYTES = 200
"""What a frame's line in a zip's table of contents takes at most, as a rule."""
# Pictures hardly shrink in a zip, so what grows much further is a trap.
_GROWTH = 2
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What any program makes. Others may ask for as much memory as they like before a byte is unpacked (LZMA)."""


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def unpack_frames(
    archive: Path, folder: Path, limits: Limits, on_progress: Callable[[float], None] | None = None
) -> int:
    """Unpack the numbered JPEG and PNG members of a zip into `folder`, by number.

    The folder must exist; the files in it are named 000000.jpg and so on. Other members are
    passed over. Nothing is looked at but names and sizes: probe the folder afterwards.

    Returns:
        How many frames there are.

    Raises:
        InvalidMedia: not a zip, damaged, locked, packed otherwise than by deflate, without frames
            (`no_frames`), with frames in several folders, or with members that leave the folder
            (`unsafe_archive`).
        TooLarge: too many frames, or more than twice `max_bytes` when unpacked.
        OSError: writing failed.
    """
    try:
        with archive.open("rb") as file, zipfile.ZipFile(_Careful(file, limits)) as source:
            frames = _frames(source)
            check_frames(len(frames), limits)
            room = limits.max_bytes * _GROWTH
            if sum(info.file_size for info in frames) > room:
                raise _too_large(limits)
            for ordinal, info in enumerate(frames):
                suffix = ".png" if info.filename.lower().endswith(".png") else ".jpg"
                room -= _unpack(source, info, folder / f"{ordinal:06d}{suffix}", room, limits)
                if on_progress is not None:
                    on_progress((ordinal + 1) / len(frames))
            return len(frames)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise InvalidMedia(_DAMAGED) from error


def _frames(source: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are frames, in order."""
    found: list[tuple[int, zipfile.ZipInfo]] = []
    folders = set()
    for info in source.infolist():
        _refuse_unsafe(info)
        parts = info.filename.split("/")
        if info.is_dir() or "__MACOSX" in parts or any(part.startswith(".") for part in parts):
            continue
        number = frame_number(info.filename)
        if number is not None:
            found.append((number, info))
            folders.add("/".join(parts[:-1]))
    if not found:
        raise InvalidMedia("The zip holds no numbered JPEG or PNG frames.", "no_frames")
    if len(folders) > 1:
        raise InvalidMedia("The zip has frames in more than one folder: put the frames of one video into it.")
    found.sort(key=lambda pair: pair[0])
    refuse_twice([number for number, _ in found])
    if any(info.flag_bits & 1 for _, info in found):
        raise InvalidMedia("The zip is locked with a password: upload it without one.")
    if any(info.compress_type not in PACKINGS for _, info in found):
        raise InvalidMedia("The zip is packed in an unusual way: make it again as an ordinary zip.")
    return [info for _, info in found]


def _refuse_unsafe(info: zipfile.ZipInfo) -> None:
    """Members that would land outside, or are no plain files. `orig_filename` is what is written in the zip."""
    name = info.orig_filename
    mode = info.external_attr >> 16
    odd_kind = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
    # Without a name zipfile can't tell whether it is a folder.
    odd_name = (
        not info.filename or name.startswith("/") or ".." in name.split("/") or any(char in name for char in "\\\0")
    )
    # Without a name zipfile fails over whether it is a folder.
    if not info.filename or odd_kind or odd_name or name[1:2] == ":":
        raise InvalidMedia(
            "The zip holds a link or a file that would land outside its folder: it was not unpacked.", "unsafe_archive"
        )


def _unpack(source: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, room: int, limits: Limits) -> int:
    """Write one member; its true size is counted, whatever the zip says."""
    written = 0
    with source.open(info) as member, target.open("xb") as out:
        while chunk := member.read(_CHUNK):
            written += len(chunk)
            if written > room:
                raise _too_large(limits)
            out.write(chunk)
    return written


def _too_large(limits: Limits) -> TooLarge:
    size = limits.max_bytes * _GROWTH / 1e6
    return TooLarge(f"The zip is too large when unpacked: {size:g} MB are allowed.", "upload_too_large")


class _Careful(io.RawIOBase):
    """A file whose table of contents is not read into memory when it is a huge one."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._most = max(limits.max_frames * _ENTRY_BYTES, 1 << 20)

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            check_frames(size // _ENTRY_BYTES + 1, self._limits)
        return self._file.read(size if size >= 0 else self._most)

    def seek(self, offset: int, whence: int = 0) -> int:
        # A table of contents that is cut points before the file's beginning.
        if whence == 0 and offset < 0:
            raise zipfile.BadZipFile("an offset before the beginning")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
