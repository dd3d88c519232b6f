"""The formats there are."""

from __future__ import annotations

from backend.errors import NotFound
from backend.exports.base import ExportFormat, ExportSource
from backend.exports.coco import CocoRleJson
from backend.exports.overlay_video import OverlayMp4
from backend.exports.session_file import SessionFile

__all__ = ["FORMATS", "ExportFormat", "ExportSource", "get"]

_ALL: tuple[ExportFormat, ...] = (CocoRleJson(), OverlayMp4(), SessionFile())

FORMATS: dict[str, ExportFormat] = {fmt.name: fmt for fmt in _ALL}


def get(name: str) -> ExportFormat:
    """The format of that name.

    Raises:
        NotFound: there is none (`unknown_format`).
    """
    try:
        return FORMATS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise NotFound(f"There is no export format “{name[:40]}”. Choose one of: {known}.", "unknown_format") from None
