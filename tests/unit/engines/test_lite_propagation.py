"""The embedded engine follows objects, on clips whose masks are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from backend.domain import BoolMask, DenseResult, Leg, Seed, Snapshot, Span
from backend.engines.lite import LiteEngine
from backend.errors import EngineError
from backend.masks import decode, empty, encode
from tests.unit.engines.clips import Clip, Shape, crossing_clip, easy_clip, iou, make_clip, texture


def seed(frame: int, obj_id: int, mask: BoolMask, prompted: bool = True) -> Seed:
    return Seed(frame, obj_id, encode(mask), prompted)


def span(*legs: Leg, seeds: list[Seed]) -> Span:
    ids = tuple(sorted({s.obj_id for s in seeds}))
    return Span("forward", legs, ids, tuple(seeds), 100)


def follow(engine: LiteEngine, clip: Clip, wanted: Span) -> list[DenseResult]:
    handle = engine.open(clip.video, clip, Snapshot())
    try:
        return list(engine.propagate(handle, wanted))
    finally:
        engine.close(handle)


def test_both_directions_stay_on_the_object(engine: LiteEngine) -> None:
    clip = easy_clip(8)
    for frames, start in ((range(8), 0), (range(7, -1, -1), 7)):
        results = follow(engine, clip, span(Leg(frames), seeds=[seed(start, 1, clip.masks[1][start])]))
        assert [r.frame_index for r in results] == list(frames)
        for result in results:
            assert result.obj_ids == (1,)
            assert result.masks.shape == (1, 180, 240)
            assert result.masks.dtype == np.bool_
            assert iou(result.masks[0], clip.masks[1][result.frame_index]) > 0.8
            assert 0.5 < result.scores[0] <= 1


def test_legs_run_one_after_the_other_from_their_anchor(engine: LiteEngine) -> None:
    clip = easy_clip()
    legs = Leg(range(5, 8)), Leg(range(4, 1, -1), anchor=5)
    results = follow(engine, clip, span(*legs, seeds=[seed(5, 1, clip.masks[1][5])]))
    assert [r.frame_index for r in results] == [*range(5, 8), *range(4, 1, -1)]
    assert min(iou(r.masks[0], clip.masks[1][r.frame_index]) for r in results) > 0.8
    assert np.array_equal(results[0].masks[0], clip.masks[1][5])


def test_an_object_joins_where_its_seed_is(engine: LiteEngine) -> None:
    clip = crossing_clip()
    seeds = [seed(2, 1, clip.masks[1][2]), seed(4, 2, clip.masks[2][4], prompted=False)]
    results = follow(engine, clip, span(Leg(range(6)), seeds=seeds))
    assert [r.obj_ids for r in results] == [(), (), (1,), (1,), (1, 2), (1, 2)]
    assert results[0].masks.shape == (0, 180, 240)
    assert clip.reads == [2, 3, 4, 5]


def test_crossing_objects_never_share_a_pixel(engine: LiteEngine) -> None:
    clip = crossing_clip(9)
    results = follow(engine, clip, span(Leg(range(9)), seeds=[seed(0, i, clip.masks[i][0]) for i in (1, 2)]))
    for result in results:
        assert not (result.masks[0] & result.masks[1]).any()
    for result in (results[2], results[8]):
        for row, obj_id in enumerate(result.obj_ids):
            assert iou(result.masks[row], clip.masks[obj_id][result.frame_index]) > 0.6


def test_the_same_run_gives_the_same_masks(engine: LiteEngine) -> None:
    clip = crossing_clip(4)
    wanted = span(Leg(range(4)), seeds=[seed(0, i, clip.masks[i][0]) for i in (1, 2)])
    first, second = follow(engine, clip, wanted), follow(engine, clip, wanted)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.masks, b.masks)
        assert a.scores == b.scores


def test_a_correction_changes_what_follows(engine: LiteEngine) -> None:
    clip = crossing_clip(5)
    both = [clip.masks[1][f] | clip.masks[2][f] for f in range(5)]
    first = follow(engine, clip, span(Leg(range(4)), seeds=[seed(0, 1, clip.masks[1][0])]))
    assert iou(first[3].masks[0], clip.masks[1][3]) > 0.7
    # At frame 2 a person says: the other shape belongs to it too.
    seeds = [seed(0, 1, clip.masks[1][0]), seed(2, 1, both[2])]
    ahead = follow(engine, clip, span(Leg(range(2, 5)), seeds=seeds))
    assert np.array_equal(ahead[0].masks[0], both[2])
    assert min(iou(r.masks[0], both[r.frame_index]) for r in ahead[1:]) > 0.7
    # The same where the run passes the correction on its way.
    through = follow(engine, clip, span(Leg(range(5)), seeds=seeds))
    assert np.array_equal(through[2].masks[0], both[2])
    assert min(iou(r.masks[0], both[r.frame_index]) for r in through[3:]) > 0.7


def test_a_taken_back_part_stays_away(engine: LiteEngine) -> None:
    clip = crossing_clip(5)
    both = [clip.masks[1][f] | clip.masks[2][f] for f in range(5)]
    seeds = [seed(0, 1, both[0]), seed(2, 1, clip.masks[1][2])]
    results = follow(engine, clip, span(Leg(range(2, 5)), seeds=seeds))
    assert min(iou(r.masks[0], clip.masks[1][r.frame_index]) for r in results) > 0.7


def test_closing_the_run_cancels_and_frees(engine: LiteEngine) -> None:
    clip = easy_clip()
    handle = engine.open(clip.video, clip, Snapshot())
    run = engine.propagate(handle, span(Leg(range(12)), seeds=[seed(0, 1, clip.masks[1][0])]))
    next(run)
    next(run)
    held = engine.memory_bytes(handle)
    assert 0 < held < 64_000_000
    run.close()  # type: ignore[attr-defined]
    assert engine.memory_bytes(handle) == 0
    assert max(clip.reads) == 1
    again = list(engine.propagate(handle, span(Leg(range(2)), seeds=[seed(0, 1, clip.masks[1][0])])))
    assert len(again) == 2
    engine.close(handle)
    engine.close(handle)
    with pytest.raises(EngineError):
        next(engine.propagate(handle, span(Leg(range(2)), seeds=[seed(0, 1, clip.masks[1][0])])))


def test_closing_the_handle_ends_its_run(engine: LiteEngine) -> None:
    clip = easy_clip()
    handle = engine.open(clip.video, clip, Snapshot())
    run = engine.propagate(handle, span(Leg(range(12)), seeds=[seed(0, 1, clip.masks[1][0])]))
    next(run)
    engine.close(handle)
    assert list(run) == []


def test_memory_does_not_grow_with_the_video(engine: LiteEngine) -> None:
    clip = easy_clip(18)
    handle = engine.open(clip.video, clip, Snapshot())
    run = engine.propagate(handle, span(Leg(range(18)), seeds=[seed(0, 1, clip.masks[1][0])]))
    held = [engine.memory_bytes(handle) for _ in run]
    assert held[17] <= max(held[6:12]) * 1.05


def test_a_removed_object_leaves_the_run(engine: LiteEngine) -> None:
    clip = crossing_clip(4)
    handle = engine.open(clip.video, clip, Snapshot())
    run = engine.propagate(handle, span(Leg(range(4)), seeds=[seed(0, i, clip.masks[i][0]) for i in (1, 2)]))
    assert next(run).obj_ids == (1, 2)
    engine.remove(handle, 2)
    engine.remove(handle, 77)
    assert [r.obj_ids for r in run] == [(1,)] * 3


def test_an_object_that_leaves_is_empty_and_can_come_back(engine: LiteEngine) -> None:
    clip = make_clip([Shape(1, 200, 90, 14, 0, 24, (190, 60, 50))], 9)
    clip.pictures += clip.pictures[-2::-1]
    clip.masks[1] += clip.masks[1][-2::-1]
    results = follow(engine, clip, span(Leg(range(len(clip))), seeds=[seed(0, 1, clip.masks[1][0])]))
    gone = [r for r in results if not clip.masks[1][r.frame_index].any()]
    assert len(gone) > 5
    for result in gone[1:]:
        assert result.obj_ids == (1,)
        assert not result.masks.any()
        assert result.scores == (0.0,)
    assert iou(results[-1].masks[0], clip.masks[1][-1]) > 0.6


@pytest.mark.parametrize(("height", "width"), [(1, 1), (24, 32), (33, 517), (200, 9)])
def test_odd_sizes(engine: LiteEngine, height: int, width: int) -> None:
    clip = make_clip([Shape(1, width / 2, height / 2, 0.5, 0, min(height, width) / 3, (190, 60, 50))], 3, height, width)
    for mask in (clip.masks[1][0], np.zeros((height, width), np.bool_), np.ones((height, width), np.bool_)):
        results = follow(engine, clip, span(Leg(range(3)), seeds=[seed(0, 1, mask)]))
        assert [r.masks.shape for r in results] == [(1, height, width)] * 3


def test_one_pixel_and_nothing(engine: LiteEngine) -> None:
    clip = easy_clip(3)
    dot = np.zeros((180, 240), np.bool_)
    dot[90, 60] = True
    assert len(follow(engine, clip, span(Leg(range(3)), seeds=[seed(0, 1, dot)]))) == 3
    nothing = Span("forward", (Leg(range(3)),), (1,), (Seed(0, 1, empty(180, 240), True),), 2)
    results = follow(engine, clip, nothing)
    assert not any(r.masks.any() for r in results)
    assert decode(empty(180, 240)).shape == (180, 240)


@pytest.mark.slow
def test_4k(engine: LiteEngine) -> None:
    clip = make_clip([Shape(1, 1500, 1000, 30, 0, 500, (190, 60, 50))], 3, 2160, 3840)
    results = follow(engine, clip, span(Leg(range(3)), seeds=[seed(0, 1, clip.masks[1][0])]))
    assert iou(results[2].masks[0], clip.masks[1][2]) > 0.8


def test_a_cut_ends_the_track_until_the_scene_comes_back(engine: LiteEngine) -> None:
    clip = easy_clip(8)
    elsewhere = texture(5, 180, 240, (150, 90, 60), 70)
    for frame in (3, 4, 5):
        clip.pictures[frame] = elsewhere
        clip.masks[1][frame][:] = False
    results = follow(engine, clip, span(Leg(range(8)), seeds=[seed(0, 1, clip.masks[1][0])]))
    assert [bool(r.masks[0].any()) for r in results] == [True] * 3 + [False] * 3 + [True] * 2
    assert [r.scores[0] > 0 for r in results] == [True] * 3 + [False] * 3 + [True] * 2
    assert iou(results[7].masks[0], clip.masks[1][7]) > 0.6
