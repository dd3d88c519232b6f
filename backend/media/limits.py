"""What a piece of media may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.errors import TooLarge

if TYPE_CHECKING:
    # The probe's child starts in half the time without the settings' machinery.
    from backend.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on media from outside.

    `max_bytes` of an upload, unpacked zips included; `max_seconds` and `max_frames` of a video;
    `max_pixels` of a frame. `probe_seconds` and `probe_memory_mb` (MiB of address space) bound the
    child process that opens an untrusted file.
    """

    max_bytes: int
    max_seconds: float
    max_frames: int
    max_pixels: int
    probe_seconds: float = 60
    probe_memory_mb: int = 2048


def limits_from(settings: Settings) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        max_bytes=settings.max_upload_size_mb * 1_000_000,
        max_seconds=settings.max_video_seconds,
        max_frames=settings.max_video_frames,
        max_pixels=settings.max_pixels,
    )


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse frames of more than `max_pixels`.

    Raises:
        TooLarge: `too_many_pixels`.
    """
    if width * height > limits.max_pixels:
        raise TooLarge(
            f"A frame of {width} × {height} pixels is too large: {limits.max_pixels} pixels are allowed.",
            "too_many_pixels",
        )


def check_frames(count: int, limits: Limits) -> None:
    """Refuse more than `max_frames` frames.

    Raises:
        TooLarge: `too_many_frames`.
    """
    if count > limits.max_frames:
        raise TooLarge(
            f"The video has too many frames: {limits.max_frames} are allowed. Cut it into shorter pieces.",
            "too_many_frames",
        )


def check_seconds(seconds: float, limits: Limits) -> None:
    """Refuse videos longer than `max_seconds`.

    Raises:
        TooLarge: `video_too_long`.
    """
    if seconds > limits.max_seconds:
        raise TooLarge(
            f"The video is {seconds:.0f} seconds long: {limits.max_seconds:g} seconds are allowed. "
            "Cut it into shorter pieces.",
            "video_too_long",
        )
