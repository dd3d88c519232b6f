"""Follows a sequence's objects from exact masks, and holds what comes against the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from backend.domain import BoolMask, Leg, Seed, Snapshot, Span
from backend.engines.lite import LiteEngine
from backend.masks import encode
from benchmarks.lite.data import Sequence
from benchmarks.lite.measures import boundary, region

Masks = Mapping[int, BoolMask]
Given = Mapping[int, Masks]
"""Exact masks by frame and object; the first frame's are among them."""
Follow = Callable[[Sequence, Given], Iterator[tuple[Masks, Mapping[int, float]]]]
"""Yields each frame's masks by object, from frame 0 on, and the scores where it has any."""


@dataclass
class Score:
    """What came of one sequence: J and F of each frame of each object, in order."""

    regions: dict[int, list[float]] = field(default_factory=dict)
    boundaries: dict[int, list[float]] = field(default_factory=dict)
    scores: list[tuple[float, float]] = field(default_factory=list)
    """The follower's own score, and J, of each mask."""
    milliseconds: float = 0.0
    """CPU time a frame."""

    @property
    def region(self) -> float:
        return float(np.mean([np.mean(values) for values in self.regions.values()]))

    @property
    def boundary(self) -> float:
        return float(np.mean([np.mean(values) for values in self.boundaries.values()]))

    @property
    def last(self) -> float:
        """J of the last quarter of the frames."""
        return float(np.mean([np.mean(values[-max(len(values) // 4, 1) :]) for values in self.regions.values()]))


def by_lite(engine: LiteEngine) -> Follow:
    """The embedded engine, through its public protocol."""

    def follow(sequence: Sequence, given: Given) -> Iterator[tuple[Masks, Mapping[int, float]]]:
        seeds = tuple(
            Seed(frame, obj_id, encode(mask), prompted=True)
            for frame, masks in given.items()
            for obj_id, mask in masks.items()
        )
        ids = tuple(sorted({seed.obj_id for seed in seeds}))
        span = Span("forward", (Leg(range(len(sequence))),), ids, seeds, max(ids) + 1)
        handle = engine.open(sequence.video(), sequence, Snapshot())
        for result in engine.propagate(handle, span):
            masks = dict(zip(result.obj_ids, result.masks, strict=True))
            yield masks, dict(zip(result.obj_ids, result.scores, strict=True))
        engine.close(handle)

    return follow


def measure(follow: Follow, sequence: Sequence, marked: tuple[int, ...] = (0,), skip: tuple[int, ...] = ()) -> Score:
    """Follow a sequence's objects; the marked frames, the last one and those to skip don't count.

    What is measured are the objects of the first frame, each until the truth has it no more.
    """
    given = {frame: sequence.truth(frame)[0] for frame in marked}
    ids = tuple(given[0])
    given = {frame: {i: mask for i, mask in masks.items() if i in ids} for frame, masks in given.items()}
    score = Score({i: [] for i in ids}, {i: [] for i in ids})
    spent, sequence.seconds = 0.0, 0.0
    results = follow(sequence, given)
    for frame in range(len(sequence)):
        began = time.process_time()
        masks, sure = next(results)
        # What happens on the first frame is no step.
        spent += time.process_time() - began if frame else 0.0
        if frame in marked or frame in skip or frame == len(sequence) - 1:
            continue
        truth, known = sequence.truth(frame)
        for obj_id in ids:
            there = truth.get(obj_id, np.zeros_like(known))
            found = masks.get(obj_id, np.zeros_like(known)) & known
            score.regions[obj_id].append(region(found, there))
            score.boundaries[obj_id].append(boundary(found, there))
            if obj_id in sure:
                score.scores.append((sure[obj_id], score.regions[obj_id][-1]))
    score.milliseconds = 1000 * (spent - sequence.seconds) / (len(sequence) - 1)
    return score
