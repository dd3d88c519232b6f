"""What a session does for an engine, without one: requests, seeds and spans, and what all answers have to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.domain import (
    BoolMask,
    DenseResult,
    Direction,
    Follow,
    FrameResult,
    Leg,
    Prompt,
    PromptRequest,
    Seed,
    Snapshot,
    Span,
    Video,
)
from backend.engines.base import Engine, Handle
from backend.masks import decode, encode, mask_box
from backend.sessions.ranges import legs
from backend.workers.checks import Expected, encoded
from tests.unit.engines.clips import Clip

SAME = 0.5
"""Overlap (IoU) above which a find is an object that is there already."""


@dataclass
class Desk:
    """One handle of an engine over a clip; every answer that comes over it is checked.

    `known` holds the objects' masks as a session would have them stored.
    """

    engine: Engine
    clip: Clip
    handle: Handle = None
    next_obj_id: int = 1
    known: dict[tuple[int, int], Seed] = field(default_factory=dict)
    """By frame index and object."""

    def __post_init__(self) -> None:
        self.handle = self.engine.open(self.clip.video, self.clip, Snapshot())

    def again(self, engine: Engine | None = None) -> Desk:
        """The same stored masks on a new handle, of another engine if one is given."""
        return Desk(engine or self.engine, self.clip, None, self.next_obj_id, dict(self.known))

    def close(self) -> None:
        self.engine.close(self.handle)

    # --- prompts -----------------------------------------------------------------------------

    def ask(
        self, frame_index: int, *prompts: Prompt, obj_id: int | None = None, history: Sequence[Prompt] = ()
    ) -> DenseResult:
        """Answer prompts as a session asks them, and store what they gave."""
        request = self.request(frame_index, *prompts, obj_id=obj_id, history=history)
        result = self.engine.apply(self.handle, request)
        check(result, self.clip.video)
        # What the worker holds it against before anybody sees it.
        Expected.of_prompt(request).take(result, self.clip.video)
        assert result.frame_index == frame_index
        before = self.next_obj_id
        new = sorted(i for i in result.obj_ids if i >= before)
        assert new == list(range(before, before + len(new))), "new objects are numbered from next_obj_id on"
        assert set(result.born) <= set(new), "born holds new objects only"
        assert set(result.obj_ids) - set(new) <= {i for _, i in self.known}
        self._store(result, prompted=True)
        return result

    def request(
        self, frame_index: int, *prompts: Prompt, obj_id: int | None = None, history: Sequence[Prompt] = ()
    ) -> PromptRequest:
        current = self.known.get((frame_index, obj_id)) if obj_id is not None else None
        others = {i: s.rle for (f, i), s in self.known.items() if f == frame_index and i != obj_id}
        return PromptRequest(
            frame_index,
            prompts,
            obj_id,
            self.next_obj_id,
            tuple(history),
            None if current is None else current.rle,
            others,
        )

    def give(self, frame_index: int, obj_id: int, mask: BoolMask, *, prompted: bool = True) -> None:
        """Store a mask as if somebody had drawn it."""
        self.known[frame_index, obj_id] = Seed(frame_index, obj_id, encode(mask), prompted)
        self.next_obj_id = max(self.next_obj_id, obj_id + 1)

    def mask(self, frame_index: int, obj_id: int) -> BoolMask:
        return decode(self.known[frame_index, obj_id].rle)

    # --- propagation -------------------------------------------------------------------------

    def span(
        self,
        direction: Direction = "forward",
        start: int = 0,
        max_frames: int | None = None,
        obj_ids: Iterable[int] | None = None,
        follows: tuple[Follow, ...] = (),
        removed: tuple[Seed, ...] = (),
        over: tuple[Leg, ...] | None = None,
    ) -> Span:
        """A span over everything that is stored."""
        chosen = tuple(sorted({i for _, i in self.known} if obj_ids is None else obj_ids))
        seeds = tuple(self.known[key] for key in sorted(self.known) if key[1] in chosen)
        way = over or legs(direction, start, len(self.clip), max_frames)
        return Span(direction, way, chosen, seeds, self.next_obj_id, follows, removed)

    def step(self, span: Span) -> Iterator[DenseResult]:
        """Propagate, a checked result at a time; nothing is stored."""
        known, expected = set(span.obj_ids), Expected.of_span(span)
        for result in self.engine.propagate(self.handle, span):
            check(result, self.clip.video)
            expected.take(result, self.clip.video)
            new = {i for i in result.obj_ids if i not in known}
            assert all(i >= span.next_obj_id for i in new), "new objects are numbered from next_obj_id on"
            assert set(result.born) <= set(result.obj_ids) - set(span.obj_ids)
            yield result

    def run(self, span: Span) -> list[DenseResult]:
        """Propagate over the whole span; nothing is stored."""
        results = list(self.step(span))
        assert [r.frame_index for r in results] == [frame for leg in span.legs for frame in leg.frames]
        return results

    def keep(self, results: Iterable[DenseResult]) -> None:
        """Store what a propagation gave; prompted masks stand."""
        for result in results:
            self._store(result, prompted=False)

    def _store(self, result: DenseResult, *, prompted: bool) -> None:
        for obj_id, mask in zip(result.obj_ids, result.masks, strict=True):
            self.next_obj_id = max(self.next_obj_id, obj_id + 1)
            seen = self.known.get((result.frame_index, obj_id))
            if prompted or seen is None or not seen.prompted:
                self.give(result.frame_index, obj_id, mask, prompted=prompted)


def check(dense: DenseResult, video: Video) -> FrameResult:
    """What every answer of an engine has to be, and as it is stored."""
    assert dense.masks.dtype == np.bool_
    assert dense.masks.shape == (len(dense.obj_ids), video.height, video.width)
    assert len(set(dense.obj_ids)) == len(dense.obj_ids) == len(dense.scores)
    # Plain numbers, nothing of a model's own: they cross into another process.
    assert {type(i) for i in dense.obj_ids} <= {int}
    assert {type(s) for s in dense.scores} <= {float}
    assert all(0 <= score <= 1 for score in dense.scores)
    frame = encoded(dense.frame_index, list(dense.obj_ids), dense, video)
    assert frame.frame_index == dense.frame_index
    for obj, mask, score in zip(frame.objects, dense.masks, dense.scores, strict=True):
        assert (decode(obj.rle) == mask).all()
        assert obj.box == mask_box(mask)
        if obj.box is None:
            assert not mask.any()
            assert score == 0
        else:
            rows, cols = np.nonzero(mask)
            x, y, w, h = obj.box
            edges = (cols.min() / video.width, rows.min() / video.height)
            assert np.allclose((x, y), edges)
            far = ((cols.max() + 1) / video.width, (rows.max() + 1) / video.height)
            assert np.allclose((x + w, y + h), far)
    return frame


def by_id(result: DenseResult) -> Mapping[int, BoolMask]:
    """A result's masks by object."""
    return dict(zip(result.obj_ids, result.masks, strict=True))


def scores(result: DenseResult) -> Mapping[int, float]:
    """A result's scores by object."""
    return dict(zip(result.obj_ids, result.scores, strict=True))


def same(one: Sequence[DenseResult], other: Sequence[DenseResult]) -> None:
    """Assert that two runs gave the same."""
    assert [r.frame_index for r in one] == [r.frame_index for r in other]
    for a, b in zip(one, other, strict=True):
        assert a.obj_ids == b.obj_ids, f"frame {a.frame_index}"
        assert (a.masks == b.masks).all(), f"frame {a.frame_index}"
        assert np.allclose(a.scores, b.scores, atol=1e-6), f"frame {a.frame_index}"
        assert dict(a.born) == dict(b.born), f"frame {a.frame_index}"


def differ(one: Sequence[DenseResult], other: Sequence[DenseResult]) -> bool:
    """Whether the masks of two runs over the same frames differ anywhere."""
    return any(a.obj_ids != b.obj_ids or (a.masks != b.masks).any() for a, b in zip(one, other, strict=True))
