"""Frames that a person should look at, worked out from stored results alone: no picture is opened.

A tracker that goes wrong seldom says so, but it leaves traces from one frame to the next: its score
falls, the mask grows or shrinks by much, it is gone from the middle of the picture, or two objects
stand where the other one was. Everything here is arithmetic over a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.domain import ObjectResult
from backend.masks.rle import areas

Kind = Literal["score_drop", "area_jump", "vanished", "swap"]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

APART = 8
"""Frames of one kind and object that lie no further apart are one stretch."""
USUAL = 15
"""Scores before a frame whose median is what is usual there."""
FEWEST = 3
"""Of them there have to be so many."""
DROP = (0.65, 0.15)
"""A score has dropped below this share of the usual, and by so much at least."""
JUMP = 1.8
"""Times an area grows or shrinks in a frame; three times where the object is at the picture's edge."""
JUMP_AT_EDGE = 3.0
SMALLEST = 2e-4
"""Of the picture's area: what is smaller jumps by a pixel's turn."""
OWN, CROSSED = 0.3, 0.5
"""Overlaps of boxes (IoU) by which two have swapped: each with itself below, with the other above."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object's stored results, by frame ascending; N of them.

    Attributes:
        frames: (N,) the frame indices.
        scores: (N,) in [0, 1].
        areas: (N,) the masks', as shares of the picture; 0: no mask.
        boxes: (N, 4) x, y, w, h, normalised; of no meaning where there is no mask.
        judged: (N,) whether the frame may be a problem: a propagation made it and nobody approved it.
        stale: (N,) whether it is out of date: an old mask beside a new one tells nothing.
    """

    obj_id: int
    frames: NDArray[np.int64]
    scores: Floats
    areas: Floats
    boxes: Floats
    judged: Bools
    stale: Bools


@dataclass(frozen=True, slots=True)
class Evidence:
    """An object's stored results by frame, ascending: the frame, what is stored, whether it is judged, and stale."""

    obj_id: int
    results: list[tuple[int, ObjectResult, bool, bool]]


def tracked(evidence: Evidence, width: int, height: int) -> Track:
    """The numbers of an object, of a video of that size in pixels."""
    found = evidence.results
    shares = areas([r.rle for _, r, _, _ in found]) / (width * height)
    return Track(
        evidence.obj_id,
        np.array([f for f, _, _, _ in found], np.int64),
        np.array([r.score for _, r, _, _ in found], np.float64),
        shares,
        np.array([r.box or (0.0,) * 4 for _, r, _, _ in found], np.float64).reshape(-1, 4),
        np.array([judged for _, _, judged, _ in found], np.bool_),
        np.array([stale for _, _, _, stale in found], np.bool_),
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """The first frame of a stretch to look at; `detail` is a sentence for a person."""

    frame_index: int
    obj_id: int
    kind: Kind
    detail: str


def find(tracks: Sequence[Track], width: int, height: int) -> list[Problem]:
    """All problems of the objects, by frame.

    Args:
        tracks: of every object that may have swapped with one of them too.
        width: of the picture, in pixels.
        height: the same.
    """
    out: list[Problem] = []
    for track in tracks:
        out += _score_drops(track)
        out += _area_jumps(track, width, height)
        out += _vanished(track, width, height)
    for one, other in combinations(tracks, 2):
        out += _swaps(one, other)
    return sorted(out, key=lambda p: (p.frame_index, p.obj_id, p.kind))


def _firsts(track: Track, places: Iterable[int]) -> Iterator[int]:
    """Of ascending places in a track those that begin a stretch."""
    last = None
    for place in places:
        frame = int(track.frames[place])
        if last is None or frame - last > APART:
            yield place
        last = frame


def _pairs(track: Track) -> Bools:
    """(N,): whether a frame can be compared with the one before it, which is stored and as much up to date."""
    out = np.zeros(len(track.frames), np.bool_)
    out[1:] = (np.diff(track.frames) == 1) & (track.stale[1:] == track.stale[:-1])
    return out & track.judged


def _before(values: NDArray[np.float64]) -> Floats:
    """The values of the frame before, each; the first has its own."""
    return np.concatenate((values[:1], values[:-1]))


def _at_edge(boxes: Floats, width: int, height: int, reach: Floats | float = 0.0) -> Bools:
    """(N,): whether a box comes within two pixels, and `reach` (N, 2), of the picture's edge."""
    margin = np.array([2.0 / width, 2.0 / height]) + reach
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    return np.asarray(((low <= margin) | (high >= 1 - margin)).any(axis=1))


def _score_drops(track: Track) -> Iterator[Problem]:
    seen = np.flatnonzero(track.areas > 0)
    scores = track.scores[seen]
    if len(scores) <= FEWEST:
        return
    usual = np.zeros(len(scores))
    # The first have fewer before them.
    for at in range(FEWEST, min(USUAL, len(scores))):
        usual[at] = np.median(scores[:at])
    if len(scores) > USUAL:
        usual[USUAL:] = np.median(np.lib.stride_tricks.sliding_window_view(scores[:-1], USUAL), axis=1)
    share, least = DROP
    dropped = (scores < share * usual) & (usual - scores > least) & track.judged[seen]
    for place in _firsts(track, seen[dropped]):
        at = int(np.searchsorted(seen, place))
        yield Problem(
            int(track.frames[place]),
            track.obj_id,
            "score_drop",
            f"Its score falls to {scores[at]:.2f}; {usual[at]:.2f} was usual before.",
        )


def _area_jumps(track: Track, width: int, height: int) -> Iterator[Problem]:
    area, before = track.areas, _before(track.areas)
    there = _pairs(track) & (area > 0) & (before > 0) & (np.maximum(area, before) >= SMALLEST)
    ratio = np.ones(len(area))
    np.divide(np.maximum(area, before), np.minimum(area, before), out=ratio, where=there)
    edge = _at_edge(track.boxes, width, height)
    edge[1:] |= edge[:-1].copy()
    for place in _firsts(track, np.flatnonzero(ratio >= np.where(edge, JUMP_AT_EDGE, JUMP))):
        word = "grows" if area[place] > before[place] else "shrinks"
        yield Problem(
            int(track.frames[place]),
            track.obj_id,
            "area_jump",
            f"Its mask {word} {ratio[place]:.1f} times in one frame.",
        )


def _vanished(track: Track, width: int, height: int) -> Iterator[Problem]:
    gone = _pairs(track) & (track.areas == 0) & (_before(track.areas) > 0)
    places = np.flatnonzero(gone)
    if not len(places):
        return
    last, earlier = places - 1, np.maximum(places - 2, 0)
    # As far as it moved in its last frame it may have moved once more.
    moved = np.abs(track.boxes[last, :2] - track.boxes[earlier, :2])
    moved = np.maximum(moved, np.abs(_far(track.boxes[last]) - _far(track.boxes[earlier])))
    known = (track.areas[earlier] > 0) & (track.frames[last] - track.frames[earlier] <= 1)
    left = _at_edge(track.boxes[last], width, height, np.where(known[:, None], 1.5 * moved, 0.0))
    for place in _firsts(track, places[~left]):
        yield Problem(
            int(track.frames[place]),
            track.obj_id,
            "vanished",
            "Its mask is gone from here on, and it was not at the picture's edge.",
        )


def _far(boxes: Floats) -> Floats:
    """The lower right corners (N, 2)."""
    return boxes[:, :2] + boxes[:, 2:]


def _swaps(one: Track, other: Track) -> Iterator[Problem]:
    # Both ascend, so a mask finds what they share faster than sorting would.
    mine = np.flatnonzero(np.isin(one.frames, other.frames, assume_unique=True, kind="table"))
    theirs = np.searchsorted(other.frames, one.frames[mine])
    if len(mine) < 2:
        return
    both = (one.areas[mine] > 0) & (other.areas[theirs] > 0)
    pairs = _pairs(one)[mine] | _pairs(other)[theirs]
    now = both & pairs
    now[1:] &= both[:-1] & (np.diff(one.frames[mine]) == 1)
    now[0] = False
    at = np.flatnonzero(now)
    a, b = one.boxes[mine], other.boxes[theirs]
    own = np.maximum(_iou(a[at], a[at - 1]), _iou(b[at], b[at - 1]))
    crossed = np.minimum(_iou(a[at], b[at - 1]), _iou(b[at], a[at - 1]))
    for place in _firsts(one, mine[at[(own < OWN) & (crossed > CROSSED)]]):
        frame = int(one.frames[place])
        for track, with_whom in ((one, other), (other, one)):
            if track.judged[np.searchsorted(track.frames, frame)]:
                sentence = f"It may have changed places with object {with_whom.obj_id}."
                yield Problem(frame, track.obj_id, "swap", sentence)


def _iou(a: Floats, b: Floats) -> Floats:
    """The overlap (N,) of boxes (N, 4)."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(_far(a), _far(b))
    inside = np.prod(np.maximum(high - low, 0.0), axis=1)
    return np.asarray(inside / np.maximum(np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - inside, 1e-12))
