"""Still pictures and folders of numbered ones."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as Pil
from PIL import ImageOps

from backend.domain import Image
from backend.errors import InvalidMedia
from backend.media.limits import Limits, check_pixels

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_FRAME_FORMATS = ("PNG", "JPEG")
_NUMBER = re.compile(r"(\d+)(?=\D*$)")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_TURNED = frozenset({5, 6, 7, 8})
_ORIENTATION = 0x0112
_DAMAGED = "The image can't be decoded: the file is damaged."


def frame_number(name: str) -> int | None:
    """The number in a picture's file name (the last one in it), or None where it is no frame."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
        return None
    match = _NUMBER.search(path.stem)
    return int(match.group(1)[-18:]) if match else None


def list_frames(folder: Path) -> list[Path]:
    """The numbered JPEG and PNG pictures of a folder, by number. Other files are passed over.

    Raises:
        InvalidMedia: there are none (`no_frames`), or two have the same number.
    """
    numbered = sorted(
        (number, path.name, path)
        for path in folder.iterdir()
        if (number := frame_number(path.name)) is not None and path.is_file()
    )
    if not numbered:
        raise InvalidMedia("The folder holds no numbered JPEG or PNG frames.", "no_frames")
    refuse_twice([number for number, _, _ in numbered])
    return [path for _, _, path in numbered]


def refuse_twice(numbers: list[int]) -> None:
    """Check that sorted frame numbers are all different.

    Raises:
        InvalidMedia: two are the same, so that their order is open.
    """
    for earlier, later in pairwise(numbers):
        if earlier == later:
            raise InvalidMedia(f"Two frames have the number {later}: give each frame its own number.")


def is_still(path: Path) -> bool:
    """Whether a file begins as a PNG, JPEG, WebP or BMP does."""
    with path.open("rb") as file:
        head = file.read(16)
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head.startswith(b"BM") and head[6:10] == b"\0\0\0\0")
    )


def picture_size(path: Path, frame: bool = False) -> tuple[int, int]:
    """The displayed (width, height) of a picture, from its header alone.

    Args:
        frame: only JPEG and PNG count.

    Raises:
        InvalidMedia: it is no picture of a format read here.
    """
    with _opened(path, frame) as picture:
        turned = _orientation(picture) in _TURNED
        return (picture.height, picture.width) if turned else (picture.width, picture.height)


def read_picture(path: Path, frame: bool = False) -> Image:
    """A picture as RGB uint8 (H, W, 3): upright by its EXIF, transparent parts on black.

    Raises:
        InvalidMedia: it is no picture, or damaged.
        FileNotFoundError: it is gone.
    """
    with _opened(path, frame) as picture:
        try:
            turned = _orientation(picture) != 1
            return _rgb(ImageOps.exif_transpose(picture) if turned else picture)
        except (OSError, SyntaxError, ValueError, ArithmeticError, EOFError) as error:
            raise InvalidMedia(_DAMAGED) from error


def check_frames_alike(paths: list[Path], limits: Limits) -> tuple[int, int]:
    """The one displayed (width, height) of all pictures, from their headers.

    Raises:
        InvalidMedia: one can't be read, or they differ in size.
        TooLarge: too many pixels.
    """
    size: tuple[int, int] | None = None
    for ordinal, path in enumerate(paths):
        here = picture_size(path, frame=True)
        size = size or here
        if here != size:
            raise InvalidMedia(
                f"All frames must have one size: the first is {size[0]} × {size[1]}, "
                f"frame {ordinal} is {here[0]} × {here[1]}."
            )
        if ordinal == 0:
            check_pixels(*size, limits)
    if size is None:
        raise InvalidMedia("The folder holds no numbered JPEG or PNG frames.", "no_frames")
    return size


def _opened(path: Path, frame: bool) -> Pil.Image:
    try:
        return Pil.open(path, formats=_FRAME_FORMATS if frame else _FORMATS)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, ArithmeticError) as error:
        if frame:
            raise InvalidMedia("A frame is not a JPEG or PNG picture that can be read.") from error
        raise InvalidMedia(_DAMAGED) from error


def _orientation(picture: Pil.Image) -> int:
    """The EXIF orientation, 1 to 8, without decoding: Pillow would decode a whole PNG to look for it."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    orientation = picture.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _rgb(picture: Pil.Image) -> Image:
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture, np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        picture = Pil.alpha_composite(Pil.new("RGBA", over.size, (0, 0, 0, 255)), over)
    # A copy: Pillow's own memory is read-only.
    return np.array(picture.convert("RGB"), np.uint8)
