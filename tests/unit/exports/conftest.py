"""A session's results on a real video, as the service hands them to an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from backend.domain import FrameResult, ObjectInfo, ObjectResult, Video
from backend.exports.base import ExportSource
from backend.masks import encode, mask_box
from backend.media.reader import open_frames
from tests.media_files import Clip, variable_rate

OBJECTS = (
    ObjectInfo(1, "Square", "shape", "#FF0000"),
    ObjectInfo(2, "“Łódź” <b>", "", "#00FF00"),
    ObjectInfo(4, "Corner", "shape", "#0000FF"),
)
ABSENT, NEVER, STALE = 3, 5, 6
"""Frames on which object 1 is absent, nothing was computed, and object 2 is out of date."""


def video_of(clip: Clip, **changes: object) -> Video:
    video = Video("v", clip.path, clip.path.name, clip.width, clip.height, clip.fps, clip.num_frames, 0.0)
    step = float(1 / clip.fps) if clip.fps else 0.0
    return replace(video, duration=clip.timestamps[-1] - clip.timestamps[0] + step, **changes)  # type: ignore[arg-type]


def result_of(video: Video, frame_index: int) -> FrameResult | None:
    """Three rectangles that overlap; the first one moves."""
    if frame_index == NEVER:
        return None
    out = []
    for obj_id, (y, x, h, w) in ((1, (20, 40 + frame_index, 60, 60)), (2, (60, 60, 50, 80)), (4, (130, 150, 14, 42))):
        mask = np.zeros((video.height, video.width), np.bool_)
        if (obj_id, frame_index) != (1, ABSENT):
            mask[y : y + h, x : x + w] = True
        out.append(ObjectResult(obj_id, 0.5 + obj_id / 100, mask_box(mask), encode(mask)))
    return FrameResult(frame_index, tuple(reversed(out)))


def source_of(video: Video, timestamps: tuple[float, ...]) -> ExportSource:
    return ExportSource(
        video=video,
        timestamps=timestamps,
        objects=OBJECTS,
        result=lambda index: result_of(video, index),
        stale=lambda obj_id, index: (obj_id, index) == (2, STALE),
        approved=lambda obj_id, index: (obj_id, index) == (4, STALE),
        known=lambda obj_id, index: index != NEVER,
        open_frames=lambda: open_frames(video),
        save=lambda target: None,
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], Clip], str], Clip]:
    folder = tmp_path_factory.mktemp("videos")
    return lambda make, name: make(folder / name)


@pytest.fixture(scope="session")
def clip(made: Callable[[Callable[[Path], Clip], str], Clip]) -> Clip:
    """A video whose frames come at uneven times."""
    return made(variable_rate, "uneven.mp4")


@pytest.fixture(scope="session")
def source(clip: Clip) -> ExportSource:
    assert clip.num_frames > STALE + 1
    assert clip.fps > Fraction(0)
    return source_of(video_of(clip), clip.timestamps)
