"""The embedded engine's ways back: from the next marked frame, and from anywhere on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from backend.domain import BoolMask, DenseResult, Leg, Seed, Snapshot, Span
from backend.engines.lite import LiteEngine, parts, search
from backend.engines.lite.between import gaps
from backend.masks import encode
from tests.unit.engines.clips import Clip, Shape, iou, texture

HEIGHT, WIDTH = 180, 320


def jumping(places: list[tuple[float, float] | None], blue_from: int = 1000) -> Clip:
    """A red disc at these places; None: it is not there. From a frame on it is blue, and a red one stays behind."""
    ground = texture(99, HEIGHT, WIDTH, (90, 120, 80), 40)
    clip = Clip([], {1: []})
    for number, place in enumerate(places):
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        picture = ground.copy()
        if number >= blue_from and (left := places[blue_from - 1]) is not None:
            other = Shape(1, *left, 0, 0, 24, (190, 60, 50))
            there = other.mask(0, HEIGHT, WIDTH)
            picture[there] = other.look(0, HEIGHT, WIDTH)[there]
        if place is not None:
            shape = Shape(1, *place, 0, 0, 24, (50, 70, 190) if number >= blue_from else (190, 60, 50))
            mask = shape.mask(0, HEIGHT, WIDTH)
            picture[mask] = shape.look(0, HEIGHT, WIDTH)[mask]
        clip.pictures.append(picture)
        clip.masks[1].append(mask)
    return clip


def follow(engine: LiteEngine, clip: Clip, marked: tuple[int, ...], leg: Leg | None = None) -> list[DenseResult]:
    seeds = tuple(Seed(f, 1, encode(clip.masks[1][f]), prompted=True) for f in marked)
    handle = engine.open(clip.video, clip, Snapshot())
    results = list(engine.propagate(handle, Span("forward", (leg or Leg(range(len(clip))),), (1,), seeds, 2)))
    engine.close(handle)
    return results


def overlap(clip: Clip, result: DenseResult) -> float:
    return iou(result.masks[0], clip.masks[1][result.frame_index])


# It goes to the right, and is at once at the other end of the picture, where it goes on.
TELEPORT: list[tuple[float, float] | None] = [(60.0 + 4 * i, 70.0) for i in range(5)]
TELEPORT += [(270.0 - 4 * i, 110.0) for i in range(7)]


def test_the_half_before_a_marked_frame_is_followed_from_it(engine: LiteEngine) -> None:
    clip = jumping(TELEPORT, blue_from=5)
    last = len(clip) - 1
    alone = follow(engine, clip, (0,))
    assert max(overlap(clip, r) for r in alone[6:9]) < 0.5, "it has to be lost, or this shows nothing"
    results = follow(engine, clip, (0, last))
    assert [r.frame_index for r in results] == list(range(len(clip)))
    assert min(overlap(clip, r) for i, r in enumerate(results) if i != 5) > 0.8
    assert np.array_equal(results[last].masks[0], clip.masks[1][last])
    assert results[7].scores[0] > 0.5


def test_a_run_backwards_does_the_same(engine: LiteEngine) -> None:
    clip = jumping(TELEPORT, blue_from=5)
    last = len(clip) - 1
    results = follow(engine, clip, (0, last), Leg(range(last, -1, -1)))
    assert min(overlap(clip, r) for r in results if r.frame_index not in (5, 6)) > 0.8


def test_each_frame_is_followed_once(engine: LiteEngine) -> None:
    clip = jumping([(60.0 + 3 * i, 80.0) for i in range(40)])
    follow(engine, clip, (0, 39))
    # The far half is read again to be drawn, the marked frames to be learnt from.
    assert len(clip.reads) <= 40 + 20 + 4
    # No long wait for the first results: a few frames against the run's way come with each few along it.
    assert clip.reads.index(2) < 20


def test_what_is_between_goes_with_its_object(engine: LiteEngine) -> None:
    clip = jumping([(60.0 + 3 * i, 80.0) for i in range(12)])
    seeds = tuple(Seed(f, 1, encode(clip.masks[1][f]), prompted=True) for f in (0, 11))
    handle = engine.open(clip.video, clip, Snapshot())
    run = engine.propagate(handle, Span("forward", (Leg(range(12)),), (1,), seeds, 2))
    for _ in range(3):
        next(run)
    assert engine.memory_bytes(handle) > 0
    engine.remove(handle, 1)
    assert [r.obj_ids for r in run] == [()] * 9
    engine.close(handle)
    assert engine.memory_bytes(handle) == 0


def test_gaps_lie_before_marked_frames_and_are_worth_it() -> None:
    mask = encode(np.ones((4, 4), np.bool_))

    def seeds(*frames: tuple[int, bool]) -> list[Seed]:
        return [Seed(frame, 1, mask, prompted) for frame, prompted in frames]

    def none() -> None:
        raise AssertionError("nothing is followed before it is asked for")

    def found(order: list[int], *frames: tuple[int, bool]) -> int:
        return len(gaps(order, {1: seeds(*frames)}, none))  # type: ignore[arg-type]

    order = list(range(20))
    assert found(order, (0, True)) == 0
    assert found(order, (0, True), (10, True)) == 1
    assert found(order, (0, False), (10, True), (19, True)) == 2
    assert found(order, (0, True), (10, False)) == 0
    assert found(order, (0, True), (3, True)) == 0
    assert found(order[::-1], (0, True), (10, True)) == 1
    assert found(list(range(5)), (0, True), (10, True)) == 0


@pytest.mark.parametrize("away", [6, 9])
def test_an_object_that_comes_back_elsewhere_is_found(engine: LiteEngine, away: int) -> None:
    places: list[tuple[float, float] | None] = [(60.0 - 16 * i, 60.0) for i in range(6)]
    places += [None] * away + [(250.0, 120.0)] * 8
    clip = jumping(places)
    results = follow(engine, clip, (0,))
    gone = range(6 + 1, 6 + away)
    assert not any(results[i].masks[0].any() for i in gone)
    assert all(results[i].scores[0] == 0 for i in gone)
    assert overlap(clip, results[-1]) > 0.8


def test_what_is_not_there_is_not_found(engine: LiteEngine) -> None:
    places: list[tuple[float, float] | None] = [(60.0 - 16 * i, 60.0) for i in range(6)]
    clip = jumping(places + [None] * 14)
    assert not any(r.masks[0].any() for r in follow(engine, clip, (0,))[7:])


@pytest.mark.parametrize("size", [(180, 320), (1080, 1920), (64, 640), (50, 50)])
@pytest.mark.parametrize("length", [4.0, 40.0, 400.0])
def test_tiles_cover_the_picture(size: tuple[int, int], length: float) -> None:
    covered: BoolMask = np.zeros(size, np.bool_)
    for tile in search.tiles(size, length):
        assert tile.side <= max(search._FINEST * length, 64) + 1
        covered[max(tile.y, 0) : tile.y + tile.side, max(tile.x, 0) : tile.x + tile.side] = True
    assert covered.mean() > 0.99


def blobs(*places: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A soft mask of discs (x, y, radius)."""
    rows, cols = np.mgrid[:256, :256]
    out = np.zeros((256, 256), np.float32)
    for x, y, radius in places:
        out[np.hypot(cols - x, rows - y) <= radius] = 0.9
    return out


def test_a_part_that_moved_away_is_no_longer_the_object_s() -> None:
    near, far = (140, 60, 12), (220, 60, 15)
    soft = blobs((100, 60, 24), near, far)
    parts.drop_strays(soft, 0.0)
    assert np.array_equal(soft, blobs((100, 60, 24), near))
    alone = blobs((100, 60, 24))
    parts.drop_strays(alone, 0.0)
    assert np.array_equal(alone, blobs((100, 60, 24)))
    nothing = blobs()
    parts.drop_strays(nothing, 0.0)
    assert not nothing.any()


def test_parts_near_a_click_are_the_object_s_and_a_larger_one_far_away_is_not() -> None:
    small, large = (60, 60, 15), (200, 190, 30)
    soft = blobs(small, large)
    parts.drop_strays(soft, 0.0, [(60, 60)])
    assert np.array_equal(soft, blobs(small))
    both = blobs(small, large)
    parts.drop_strays(both, 0.0, [(60, 60), (200, 190)])
    assert np.array_equal(both, blobs(small, large))


def test_parts_may_be_as_far_apart_as_a_person_marked_them() -> None:
    soft = blobs((100, 60, 24), (220, 60, 15))
    known = parts.spread(soft)
    assert known == pytest.approx((220 - 15 - 100 - 24) / (24 * np.pi**0.5), rel=0.05)
    parts.drop_strays(soft, known)
    assert np.array_equal(soft, blobs((100, 60, 24), (220, 60, 15)))
    assert parts.spread(blobs((100, 60, 24))) == parts.spread(blobs()) == 0


def test_what_is_marked_in_two_places_is_followed_in_both(engine: LiteEngine) -> None:
    clip = jumping([(60.0, 80.0)] * 5)
    for number, picture in enumerate(clip.pictures):
        other = Shape(1, 260, 90 + number, 0, 0, 20, (190, 60, 50))
        mask = other.mask(0, HEIGHT, WIDTH)
        picture[mask] = other.look(0, HEIGHT, WIDTH)[mask]
        clip.masks[1][number] |= mask
    assert min(overlap(clip, r) for r in follow(engine, clip, (0,))) > 0.8
