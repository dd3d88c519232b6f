"""Sets of frames as inclusive stretches, so that ten thousand approved frames cost no more than one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from backend.domain import Stretches


def to_stretches(indices: Iterable[int]) -> Stretches:
    """The stretches of a set of frame indices."""
    out: list[list[int]] = []
    for index in sorted(set(indices)):
        if out and index == out[-1][1] + 1:
            out[-1][1] = index
        else:
            out.append([index, index])
    return tuple((first, last) for first, last in out)


def frames_of(stretches: Stretches) -> Iterator[int]:
    """Every frame of the stretches, ascending."""
    for first, last in stretches:
        yield from range(first, last + 1)


def covers(stretches: Stretches, frame_index: int) -> bool:
    """Whether a frame is in one of the stretches."""
    if not stretches:
        return False
    place = bisect_right(stretches, (frame_index, frame_index)) - 1
    # One that begins on that very frame sorts behind it, where it is longer than one frame.
    near = stretches[max(place, 0) : place + 2]
    return any(first <= frame_index <= last for first, last in near)


def union(one: Stretches, other: Stretches) -> Stretches:
    """The frames that are in either."""
    out: list[list[int]] = []
    for first, last in sorted((*one, *other)):
        if out and first <= out[-1][1] + 1:
            out[-1][1] = max(out[-1][1], last)
        else:
            out.append([first, last])
    return tuple((first, last) for first, last in out)


def minus(one: Stretches, other: Stretches) -> Stretches:
    """The frames of `one` that are not in `other`."""
    out: list[tuple[int, int]] = []
    holes = iter(other)
    hole = next(holes, None)
    for first, last in one:
        while hole is not None and hole[1] < first:
            hole = next(holes, None)
        while hole is not None and hole[0] <= last:
            if hole[0] > first:
                out.append((first, hole[0] - 1))
            first = hole[1] + 1
            if first > last:
                break
            hole = next(holes, None)
        if first <= last:
            out.append((first, last))
    return tuple(out)
