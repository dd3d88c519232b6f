"""Words that an engine goes on looking for through a video: who is who, who is new, and who stays away."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from backend.domain import DenseResult, Follow, Leg, Seed, Text
from backend.masks import encode
from tests.contract.engines.cases import LATE_WORD, Case
from tests.contract.engines.desk import SAME, Desk, by_id, same, scores
from tests.contract.engines.scene import FRAMES, HEIGHT, WIDTH
from tests.unit.engines.clips import iou

LAST = FRAMES - 1


@pytest.fixture(autouse=True)
def _only_who_follows(case: Case) -> None:
    case.need_following()


@pytest.fixture
def word(case: Case) -> str:
    return LATE_WORD if case.stand_in else case.word


@pytest.fixture
def found(case: Case, desk: Desk) -> Desk:
    """Words were asked for on frame 0, and what they found is known."""
    if case.stand_in:
        pytest.skip("the stand-in follows nothing that it found on the prompted frame by its words")
    desk.ask(0, Text(case.word))
    return desk


def ids(desk: Desk) -> tuple[int, ...]:
    return tuple(sorted({obj_id for _, obj_id in desk.known}))


def births(results: Sequence[DenseResult]) -> dict[int, int]:
    """The frame on which each object is first listed."""
    out: dict[int, int] = {}
    for result in results:
        for obj_id in result.obj_ids:
            out.setdefault(obj_id, result.frame_index)
    return out


def masks_of(results: Sequence[DenseResult], obj_id: int) -> tuple[Seed, ...]:
    """An object's masks as stored ones, where it is on the frame."""
    return tuple(
        Seed(r.frame_index, obj_id, encode(by_id(r)[obj_id]), False)
        for r in results
        if obj_id in r.obj_ids and by_id(r)[obj_id].any()
    )


# --- new ones ------------------------------------------------------------------------------------


def test_finds_are_numbered_on_and_named_by_their_words(desk: Desk, word: str):
    corner = np.zeros((HEIGHT, WIDTH), np.bool_)
    corner[-4:, -4:] = True
    desk.give(0, 6, corner)
    results = desk.run(desk.span(follows=(Follow(word, (0,)),)))
    new = births(results)
    assert new.pop(6) == 0
    assert new
    assert list(new) == list(range(7, 7 + len(new)))
    for obj_id, frame in new.items():
        first = results[frame]
        assert first.born[obj_id] == word
        assert by_id(first)[obj_id].any()
        # From then on it is listed, on the frame or not.
        assert all(obj_id in r.obj_ids for r in results[frame:])
    assert all(6 not in r.born for r in results)


def test_without_a_wish_for_new_ones_there_are_none(desk: Desk, word: str):
    desk.give(0, 1, desk.clip.masks[2][0])
    results = desk.run(desk.span(follows=(Follow(word, (0,), (1,), find_new=False),)))
    assert all(r.obj_ids == (1,) for r in results)
    assert all(dict(r.born) == {} for r in results)


def test_words_that_find_nothing_at_first_find_what_comes_into_the_picture(case: Case, desk: Desk, word: str):
    if case.stand_in:
        assert desk.ask(0, Text(word)).concept_kept
        results = desk.run(desk.span(follows=(Follow(word, (0,)),)))
    else:
        with case.blind():
            asked = desk.ask(0, Text(word))
            assert asked.obj_ids == ()
            assert asked.concept_kept
            run = desk.step(desk.span(follows=(Follow(word, (0,)),)))
            results = list(itertools.islice(run, 2))
        results += run
    assert results[0].obj_ids == results[1].obj_ids == ()
    assert births(results)
    assert [r.frame_index for r in results] == list(range(FRAMES))


def test_words_are_looked_for_from_the_frame_on_which_they_were_asked_for(case: Case, desk: Desk):
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    results = desk.run(desk.span(follows=(Follow(case.word, (2,)),)))
    assert [bool(r.obj_ids) for r in results] == [False] * 2 + [True] * (FRAMES - 2)


def test_nothing_is_looked_for_that_the_frames_do_not_meet(case: Case, desk: Desk):
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    results = desk.run(desk.span("forward", 3, follows=(Follow(case.word, (0,)),)))
    assert all(r.obj_ids == () for r in results)


def test_several_words_are_followed_side_by_side(case: Case, desk: Desk, fresh):
    case.need("multi_concept")
    assert case.other_word
    results = desk.run(desk.span(follows=(Follow(case.word, (0,)), Follow(case.other_word, (1,)))))
    words = {w for r in results for w in r.born.values()}
    assert words == {case.word, case.other_word}
    assert set(results[0].born.values()) == {case.word}
    # What one has found already is not found anew by the other.
    for obj_id, frame in births(results).items():
        born, there = results[frame].born, by_id(results[frame])
        for other in born:
            if born[other] != born[obj_id] and other < obj_id:
                assert iou(there[other], there[obj_id]) <= SAME


@pytest.mark.parametrize("start", [2, LAST])
def test_words_are_followed_backwards(case: Case, desk: Desk, start: int):
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    results = desk.run(desk.span("backward", start, follows=(Follow(case.word, (start,)),)))
    assert results[0].born
    assert all(set(results[0].obj_ids) <= set(r.obj_ids) for r in results)


def test_what_is_new_on_the_start_frame_is_the_same_in_both_directions(case: Case, desk: Desk):
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    follow = (Follow(case.word, (2,)),)
    alone = desk.run(desk.span("backward", 2, follows=follow))
    both = desk.run(desk.span("both", 2, follows=follow))
    new = both[0].obj_ids
    assert new == alone[0].obj_ids != ()
    ahead, back = both[: FRAMES - 2], both[FRAMES - 2 :]
    for mine, expected in zip(back, alone[1:], strict=True):
        for obj_id in new:
            assert (by_id(mine)[obj_id] == by_id(expected)[obj_id]).all()
    # Nobody else is new on the way back, other than who is new when it is gone alone.
    assert len(set(births(back)) - set(births(ahead))) == len(set(births(alone)) - set(new))


# --- known ones ----------------------------------------------------------------------------------


def test_what_the_words_found_keeps_its_ids_and_its_prompted_masks(found: Desk, word: str):
    known = ids(found)
    results = found.run(found.span(follows=(Follow(word, (0,), known),)))
    assert set(known) <= set(results[0].obj_ids)
    for obj_id in known:
        assert (by_id(results[0])[obj_id] == found.mask(0, obj_id)).all()
        assert all(obj_id in r.obj_ids for r in results)
    for obj_id in results[0].born:
        assert all(iou(by_id(results[0])[obj_id], found.mask(0, i)) <= SAME for i in known)


def test_known_ones_are_followed_alone_where_no_new_ones_are_wanted(found: Desk, word: str):
    known = ids(found)
    results = found.run(found.span(follows=(Follow(word, (), known, find_new=False),)))
    assert all(r.obj_ids == known for r in results)


def test_one_of_several_can_be_followed_alone(found: Desk, word: str):
    chosen = ids(found)[-1]
    follow = Follow(word, (), (chosen,), find_new=False)
    results = found.run(found.span(obj_ids=[chosen], follows=(follow,)))
    assert all(r.obj_ids == (chosen,) for r in results)


def test_going_on_from_an_anchor_keeps_the_ids(found: Desk, word: str):
    known = ids(found)
    first = found.run(found.span("forward", 0, 3, follows=(Follow(word, (0,), known),)))
    found.keep(first)
    # As a session does it: what was stored last on each object's way conditions what comes.
    there = {i: found.known[2, i] for i in ids(found) if by_id(first[2])[i].any()}
    seeds = {k: s for k, s in found.known.items() if s.prompted}
    found.known = seeds | {(2, i): s for i, s in there.items()}
    follow = Follow(word, (0,), ids(found), find_new=False)
    rest = found.run(found.span(over=(Leg(range(3, FRAMES), anchor=2),), follows=(follow,)))
    for result in rest:
        assert set(there) <= set(result.obj_ids) <= set(ids(found))


def test_a_find_over_an_object_that_is_there_is_no_other(case: Case, desk: Desk):
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    follow = (Follow(case.word, (0,)),)
    free = desk.run(desk.span(follows=follow))
    taken = by_id(free[0])[free[0].obj_ids[0]]
    desk.give(0, 1, taken)
    results = desk.run(desk.span(follows=follow))
    assert 1 in results[0].obj_ids
    assert all(iou(by_id(results[0])[i], taken) <= SAME for i in results[0].born)
    assert len(results[0].born) < len(free[0].born)


# --- removed ones --------------------------------------------------------------------------------


def test_what_was_removed_stays_away_and_all_others_stay(desk: Desk, word: str):
    follow = (Follow(word, (0,)),)
    before = desk.run(desk.span(follows=follow))
    gone = min(births(before))
    after = desk.run(desk.span(follows=follow, removed=masks_of(before, gone)))
    left = []
    for obj_id, frame in births(before).items():
        there = by_id(before[frame])
        # Who was found right over it stays away as well.
        if gone not in there or iou(there[gone], there[obj_id]) <= SAME:
            left.append(obj_id)
    for then, now in zip(before, after, strict=True):
        # Ids close up: nobody stands between.
        renamed = {1 + left.index(i): mask for i, mask in by_id(then).items() if i in left}
        assert renamed.keys() == by_id(now).keys()
        assert all((by_id(now)[i] == mask).all() for i, mask in renamed.items())


def test_what_was_removed_right_after_it_was_found_stays_away(found: Desk, word: str):
    known = ids(found)
    gone = known[0]
    mask = found.mask(0, gone)
    removed = (found.known.pop((0, gone)),)
    rest = Follow(word, (0,), known[1:])
    results = found.run(found.span(follows=(rest,), removed=removed))
    assert all(gone not in r.obj_ids for r in results)
    assert all(iou(by_id(results[0])[i], mask) <= SAME for i in results[0].born)


def test_what_is_removed_while_a_run_is_on_its_way_is_shown_no_more(found: Desk, word: str):
    known = ids(found)
    run = found.step(found.span(follows=(Follow(word, (0,), known),)))
    first = next(run)
    found.engine.remove(found.handle, known[0])
    rest = list(run)
    assert known[0] in first.obj_ids
    assert all(known[0] not in r.obj_ids for r in rest)
    born = {i for r in rest for i in r.born if births(rest)[i] == rest[0].frame_index}
    assert all(i not in known for i in born)


# --- as for clicks -------------------------------------------------------------------------------


def test_two_sessions_step_by_step_equal_two_one_after_the_other(desk: Desk, fresh, word: str):
    other = fresh()
    spans = desk.span(follows=(Follow(word, (0,)),)), other.span("forward", 1, follows=(Follow(word, (1,)),))
    alone = desk.run(spans[0]), other.run(spans[1])
    runs = desk.step(spans[0]), other.step(spans[1])
    mixed = list(itertools.zip_longest(*runs))
    same([m[0] for m in mixed], alone[0])
    same([m[1] for m in mixed if m[1] is not None], alone[1])


def test_an_engine_built_again_finds_and_follows_the_same(case: Case, desk: Desk, word: str):
    asked = desk.ask(0, Text(word))
    span = desk.span(follows=(Follow(word, (0,), asked.obj_ids),))
    expected = desk.run(span)
    again = desk.again(case.build())
    same(again.run(span), expected)
    again.close()


def test_the_score_follows_the_object_and_is_not_the_detection_s(case: Case, found: Desk, word: str):
    known = ids(found)
    detected = scores(found.engine.apply(found.handle, found.request(0, Text(word))))
    results = found.run(found.span(follows=(Follow(word, (0,), known),)))
    seen = 0
    for obj_id in known:
        given = [scores(r)[obj_id] for r in results[1:] if by_id(r)[obj_id].any()]
        if len(given) > 2:
            seen += 1
            assert len(set(given)) > 1
            assert detected[obj_id] not in given
    assert seen
