"""Name chips: small plates of text that overlays lay beside an object."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

MAX_CHARACTERS = 32

_DARK, _LIGHT = (23, 25, 28), (255, 255, 255)
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "arial.ttf",
)
"""Looked for by name where the font that Pillow brings lacks a character; none has to be there."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=256)
def render_chip(text: str, color: tuple[int, int, int], size: int) -> NDArray[np.uint8]:
    """A chip as RGBA uint8 (h, w, 4), read-only: rounded, filled with `color`, dark or white text.

    `size` is the font's, in pixels. Long texts end in an ellipsis.
    """
    shown = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1].rstrip() + "…"
    font = _font_for(shown, size)
    ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 0)
    pad_x, pad_y = max(round(size * 0.45), 3), max(round(size * 0.2), 1)
    width, height = int(np.ceil(font.getlength(shown))) + 2 * pad_x, ascent + descent + 2 * pad_y
    red, green, blue = color
    ink = _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else _LIGHT

    # Drawn three times as large and reduced: PIL does not smooth the corners of its rectangles.
    plate = PilImage.new("L", (width * 3, height * 3), 0)
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, width * 3 - 1, height * 3 - 1), size * 0.9, fill=255)
    chip = PilImage.new("RGBA", (width, height), (*color, 255))
    ImageDraw.Draw(chip).text((pad_x, pad_y), shown, font=font, fill=(*ink, 255))
    chip.putalpha(plate.resize((width, height), PilImage.Resampling.BOX))
    out = np.asarray(chip).copy()
    out.flags.writeable = False  # the cache hands out this very array
    return out


def _font_for(text: str, size: int) -> _Font:
    """Pillow's own font, or the one of the system's that lacks fewer of the characters."""
    best: _Font = ImageFont.load_default(size)
    lacking = 0 if text.isascii() else _lacking(best, text)
    for name in _SYSTEM_FONTS:
        if not lacking:
            break
        try:
            font = ImageFont.truetype(name, size)
        except OSError:  # not installed here
            continue
        if (fewer := _lacking(font, text)) < lacking:
            best, lacking = font, fewer
    return best


def _lacking(font: _Font, text: str) -> int:
    """How many characters of `text` fall back to the font's sign for missing ones."""
    missing = bytes(font.getmask("\U0010fffe"))
    return sum(bytes(font.getmask(char)) == missing for char in set(text) if not char.isspace())
