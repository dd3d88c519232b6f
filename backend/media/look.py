"""What the probe's child does: tell by content what a file is, and measure it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image as Pil

from backend.errors import InvalidMedia
from backend.media.container import NOT_MEDIA
from backend.media.index import ASSUMED_FPS, Index
from backend.media.inspect import inspect_video
from backend.media.limits import Limits, check_frames, check_pixels, check_seconds
from backend.media.stills import check_frames_alike, is_still, list_frames, picture_size, read_picture


def look_at(
    path: Path, limits: Limits, fps: Fraction | None, on_progress: Callable[[float], None]
) -> tuple[dict[str, Any], bytes]:
    """The fields of a `Probe` as JSON can hold them, and its index as bytes."""
    # The limits decide what is too large, not Pillow's own guess.
    Pil.MAX_IMAGE_PIXELS = None
    try:
        if path.is_dir():
            return _look_at_folder(path, limits, fps)
        if is_still(path):
            return _look_at_still(path, limits)
        return _look_at_video(path, limits, on_progress)
    except OSError as error:
        raise InvalidMedia(NOT_MEDIA) from error


def _look_at_video(path: Path, limits: Limits, on_progress: Callable[[float], None]) -> tuple[dict[str, Any], bytes]:
    found = inspect_video(path, limits, on_progress)
    fields = _fields("video", found.width, found.height, False)
    return fields | {"has_audio": found.has_audio, "rotation": found.turn.degrees}, found.index.to_bytes()


def _look_at_folder(path: Path, limits: Limits, fps: Fraction | None) -> tuple[dict[str, Any], bytes]:
    pictures = list_frames(path)
    check_frames(len(pictures), limits)
    index = Index.regular(len(pictures), fps or ASSUMED_FPS)
    check_seconds(index.duration, limits)
    width, height = check_frames_alike(pictures, limits)
    read_picture(pictures[0], frame=True)
    read_picture(pictures[-1], frame=True)
    return _fields("frames", width, height, fps is None), index.to_bytes()


def _look_at_still(path: Path, limits: Limits) -> tuple[dict[str, Any], bytes]:
    width, height = picture_size(path)
    check_pixels(width, height, limits)
    read_picture(path)
    index = Index.regular(1, Fraction(1))
    return _fields("image", width, height, True), index.to_bytes()


def _fields(kind: str, width: int, height: int, fps_assumed: bool) -> dict[str, Any]:
    return {
        "kind": kind,
        "width": width,
        "height": height,
        "fps_assumed": fps_assumed,
        "has_audio": False,
        "rotation": 0,
    }
