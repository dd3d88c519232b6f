"""An object's scores along the video, few enough to be drawn as a line."""

from __future__ import annotations

from collections.abc import Mapping

PARTS = 48


def score_line(scores: Mapping[int, float], num_frames: int) -> list[float | None]:
    """The lowest score in each of at most 48 equal parts of the video, by frame_index; None where there is none."""
    parts = min(PARTS, num_frames)
    line: list[float | None] = [None] * parts
    for frame_index, score in scores.items():
        part = frame_index * parts // num_frames
        lowest = line[part]
        line[part] = round(score if lowest is None else min(lowest, score), 3)
    return line
