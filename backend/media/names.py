"""Names that come from outside, made harmless to show."""

from __future__ import annotations

import re
import unicodedata

from backend.domain import MAX_NAME

_SPACE = re.compile(r"\s+")


def display_name(name: str) -> str:
    """A client's file name as it may be shown: the last part of a path, without control characters.

    It is never used to find a file: stored files have names of their own.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    # Category C: control characters, and those that turn the direction of the text around them.
    plain = "".join(" " if char.isspace() else char for char in last)
    plain = "".join(char for char in plain if not unicodedata.category(char).startswith("C"))
    plain = _SPACE.sub(" ", plain).strip().lstrip(".").strip()
    if len(plain) > MAX_NAME:
        stem, dot, suffix = plain.rpartition(".")
        keep = f"{dot}{suffix}" if stem and len(suffix) <= 8 else ""
        plain = plain[: MAX_NAME - len(keep)] + keep
    return plain or "video"
