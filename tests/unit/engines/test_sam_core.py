"""The engine around a SAM model: who is who in a run, what is kept, what an error becomes."""

from __future__ import annotations

import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from backend.domain import Follow, Leg, MaskPrompt, Points, PromptRequest, Seed, Snapshot, Span, Text, Video
from backend.engines.sam.engine import HELD, LEAST_HELD, SamEngine
from backend.engines.sam.views import FeatureCache
from backend.errors import EngineError, InvalidInput
from backend.masks import encode
from tests.unit.engines.scripted import SIZE, ScriptedFrames, ScriptedModel, block


def clip(frames: int = 8) -> Video:
    return Video("v", Path("v.mp4"), "v", SIZE[1], SIZE[0], Fraction(25), frames, frames / 25)


class Case:
    """An engine on a script, with one session open."""

    def __init__(self, frames: int = 8, **engine: float) -> None:
        self.model = ScriptedModel()
        self.engine = SamEngine(self.model, **engine)
        self.handle = self.open(frames)

    def open(self, frames: int = 8, first: int = 0):
        return self.engine.open(clip(frames), ScriptedFrames(frames, first), Snapshot())

    def run(self, span: Span):
        return list(self.engine.propagate(self.handle, span))

    def prompt(self, *prompts, frame: int = 0, obj_id=None, **more):
        return self.engine.apply(self.handle, PromptRequest(frame, prompts, obj_id, more.pop("next_obj_id", 1), **more))


@pytest.fixture
def case() -> Case:
    return Case()


def seed(obj_id: int, mask, frame: int = 0, prompted: bool = True) -> Seed:
    return Seed(frame, obj_id, encode(mask), prompted)


def forward(obj_ids=(), seeds=(), follows=(), removed=(), frames=range(8), next_obj_id=10, anchor=None) -> Span:
    return Span("forward", (Leg(frames, anchor),), obj_ids, seeds, next_obj_id, follows, removed)


def ids(results) -> list[tuple[int, ...]]:
    return [r.obj_ids for r in results]


# --- prompts -----------------------------------------------------------------------------------


def test_finds_get_ids_and_their_words(case):
    case.model.finds = {"dog": [block(0), block(20)], "cat": [block(40), block(0)]}
    result = case.prompt(Text("dog"), Text("cat"), next_obj_id=4)
    # The second cat is where a dog is already.
    assert result.obj_ids == (4, 5, 6)
    assert result.born == {4: "dog", 5: "dog", 6: "cat"}
    assert result.concept_kept
    assert result.masks.shape == (3, *SIZE)


def test_a_find_over_a_known_object_is_that_object(case):
    case.model.finds = {"dog": [block(1), block(20)]}
    result = case.prompt(Text("dog"), next_obj_id=4, others={2: encode(block(0))})
    assert result.obj_ids == (2, 4)
    assert (result.masks[0] == block(0)).all()


def test_words_with_an_object_say_what_that_object_is(case):
    case.model.finds = {"dog": [block(20), block(0)]}
    result = case.prompt(Text("dog"), obj_id=3, next_obj_id=4)
    assert result.obj_ids == (3,)
    assert result.born == {}
    assert (result.masks[0] == block(20)).all()


def test_clicks_go_to_the_model_with_all_earlier_ones_and_the_mask_before(case):
    history = (Points(((0.1, 0.5),), (1,)),)
    case.prompt(Points(((0.2, 0.5),), (0,)), obj_id=1, next_obj_id=2, history=history, current=encode(block(5)))
    (clicks,) = case.model.clicks
    assert clicks.points == ((0.1, 0.5), (0.2, 0.5))
    assert clicks.labels == (1, 0)
    assert (clicks.start == block(5)).all()


def test_strokes_need_no_model(case):
    drawn = case.prompt(MaskPrompt(encode(block(7))))
    assert (drawn.masks[0] == block(7)).all()
    assert case.model.encoded == 0
    assert drawn.cache_hit is None


def test_a_negative_click_on_nothing_makes_no_object(case):
    assert case.prompt(Points(((0.5, 0.5),), (0,))).obj_ids == ()


# --- runs: objects -----------------------------------------------------------------------------


def test_an_object_joins_where_it_is_first_met_and_is_conditioned_by_all_its_masks(case):
    seeds = (seed(1, block(0), 2), seed(1, block(5), 6), seed(2, block(20), 4, prompted=False))
    results = case.run(forward((1, 2), seeds))
    assert ids(results) == [()] * 2 + [(1,)] * 2 + [(1, 2)] * 4
    (tracker,) = case.model.trackers
    assert {i: sorted(m) for i, m in tracker.masks.items()} == {1: [2, 6], 2: [4]}
    assert tracker.closed


def test_what_a_person_made_stands_on_its_frame(case):
    results = case.run(forward((1,), (seed(1, block(0)), seed(1, block(33), 5))))
    assert (results[5].masks[0] == block(33)).all()


def test_a_mask_that_was_emptied_is_no_place_to_start_from_but_stands(case):
    empty = np.zeros(SIZE, np.bool_)
    results = case.run(forward((1,), (seed(1, empty, 0), seed(1, block(0), 2), seed(1, empty, 4))))
    assert ids(results) == [(), ()] + [(1,)] * 6
    assert not results[4].masks.any()
    assert results[4].scores == (0.0,)
    assert results[5].masks.any()


def test_both_ways_the_anchor_is_where_the_second_leg_starts_from(case):
    legs = (Leg(range(3, 8)), Leg(range(2, -1, -1), anchor=3))
    results = case.run(Span("both", legs, (1,), (seed(1, block(0), 3),), 2))
    assert [r.frame_index for r in results] == [3, 4, 5, 6, 7, 2, 1, 0]
    assert [t.steps for t in case.model.trackers] == [
        [(f, False) for f in range(3, 8)],
        [(f, True) for f in (3, 2, 1, 0)],
    ]


def test_frames_are_encoded_once_for_all_that_follow(case):
    case.model.script = {"dog": {f: {0: block(20)} for f in range(8)}, "cat": {f: {0: block(40)} for f in range(8)}}
    follows = (Follow("dog", (0,)), Follow("cat", (0,)))
    results = case.run(forward((1,), (seed(1, block(0)),), follows))
    assert ids(results) == [(1, 10, 11)] * 8
    assert case.model.encoded == 8


# --- runs: concepts ----------------------------------------------------------------------------


def test_finds_that_are_known_keep_their_ids_and_new_ones_get_the_next(case):
    case.model.script = {"dog": {f: {7: block(1 + f), **({9: block(40)} if f >= 3 else {})} for f in range(8)}}
    results = case.run(forward((4,), (seed(4, block(0)),), (Follow("dog", (0,), (4,)),)))
    assert ids(results) == [(4,)] * 3 + [(4, 10)] * 5
    assert [r.born for r in results][2:5] == [{}, {10: "dog"}, {10: "dog"}]
    # On the frame where a person asked, their mask; after it, the follower's.
    assert (results[0].masks[0] == block(0)).all()
    assert (results[1].masks[0] == block(2)).all()
    assert case.model.trackers == []
    assert case.model.followers[0].closed


def test_a_known_object_that_its_concept_does_not_see_is_tracked_instead(case):
    case.model.script = {"dog": {f: {7: block(40)} for f in range(8)}}
    results = case.run(forward((4,), (seed(4, block(0)),), (Follow("dog", (0,), (4,)),)))
    assert ids(results) == [(4, 10)] * 8
    assert all((r.masks[0] == block(0)).all() for r in results)


def test_a_find_over_a_clicked_object_is_not_shown_twice(case):
    case.model.script = {"dog": {f: {7: block(1)} for f in range(8)}}
    results = case.run(forward((4,), (seed(4, block(0)),), (Follow("dog", (0,)),)))
    assert ids(results) == [(4,)] * 8


def test_a_removed_find_stays_away_for_the_whole_run_and_the_others_stay(case):
    case.model.script = {"dog": {f: {7: block(1), 8: block(40)} for f in range(8)}}
    removed = (seed(5, block(0), 0),)
    results = case.run(forward((4,), (seed(4, block(40)),), (Follow("dog", (0,), (4,)),), removed))
    assert ids(results) == [(4,)] * 8


def test_without_find_new_there_are_no_new_ids(case):
    case.model.script = {"dog": {f: {7: block(1), 8: block(40)} for f in range(8)}}
    follow = Follow("dog", (), (4,), find_new=False)
    assert ids(case.run(forward((4,), (seed(4, block(0)),), (follow,)))) == [(4,)] * 8


def test_a_find_that_is_gone_for_a_while_is_listed_empty(case):
    case.model.script = {"dog": {f: {7: block(0)} for f in (0, 1, 4, 5, 6, 7)}}
    results = case.run(forward((), (), (Follow("dog", (0,)),)))
    assert ids(results) == [(10,)] * 8
    assert [r.masks.any() for r in results] == [True, True, False, False] + [True] * 4
    assert results[2].scores == (0.0,)


def test_a_concept_begins_where_it_was_asked_for(case):
    case.model.script = {"dog": {f: {7: block(0)} for f in range(8)}}
    assert ids(case.run(forward((), (), (Follow("dog", (3,)),)))) == [()] * 3 + [(10,)] * 5


def test_an_object_born_in_an_earlier_run_is_itself_again(case):
    case.model.script = {"dog": {f: {7: block(20)} for f in range(8)}}
    # It was born on frame 4 then; this time the follower sees it two frames earlier.
    seeds = (seed(6, block(20), 4, prompted=False),)
    results = case.run(forward((6,), seeds, (Follow("dog", (2,), (6,)),)))
    assert ids(results)[4:] == [(6,)] * 4


def test_removing_an_object_while_a_run_goes_on_ends_it_there(case):
    case.model.script = {"dog": {f: {7: block(20)} for f in range(8)}}
    run = case.engine.propagate(case.handle, forward((1,), (seed(1, block(0)),), (Follow("dog", (0,)),)))
    assert next(run).obj_ids == (1, 10)
    case.engine.remove(case.handle, 10)
    assert next(run).obj_ids == (1,)
    case.engine.remove(case.handle, 1)
    assert next(run).obj_ids == ()


# --- what is kept ------------------------------------------------------------------------------


def test_closing_frees_everything_and_ends_runs(case):
    run = case.engine.propagate(case.handle, forward((1,), (seed(1, block(0)),)))
    next(run)
    assert case.engine.memory_bytes(case.handle) >= 1000
    case.engine.close(case.handle)
    case.engine.close(case.handle)
    assert next(run, None) is None
    assert case.model.trackers[0].closed
    assert case.engine.memory_bytes(case.handle) == 0
    with pytest.raises(EngineError, match="closed"):
        case.prompt(Text("dog"))


def test_a_run_that_is_closed_frees_its_tracker(case):
    run = case.engine.propagate(case.handle, forward((1,), (seed(1, block(0)),)))
    next(run)
    run.close()
    assert case.model.trackers[0].closed
    assert ids(case.run(forward((1,), (seed(1, block(0)),)))) == [(1,)] * 8


def test_prompts_on_one_frame_encode_it_once(case):
    for x in (0.1, 0.3, 0.5):
        case.prompt(Points(((x, 0.5),), (1,)), frame=3)
    assert case.model.encoded == 1


def test_a_still_image_s_features_outlive_its_session():
    case = Case(frames=1, cache_bytes=1000)
    first = case.prompt(Text("dog"))
    case.engine.close(case.handle)
    case.handle = case.open(1)
    second = case.prompt(Text("cat"))
    case.handle = case.open(1, first=99)
    other = case.prompt(Text("cat"))
    assert [r.cache_hit for r in (first, second, other)] == [False, True, False]
    assert case.model.encoded == 2
    assert not second.concept_kept


def test_a_still_image_s_features_go_in_time_though_only_videos_are_opened():
    now = [0.0]
    case = Case(frames=1, cache_bytes=1000, cache_seconds=10)
    case.engine._cache._clock = lambda: now[0]
    case.prompt(Text("dog"))
    case.engine.close(case.handle)
    assert case.engine._cache.nbytes == 100
    now[0] = 11
    case.open(8)
    assert case.engine._cache.nbytes == 0


def test_without_a_cache_every_call_encodes():
    case = Case(frames=1, cache_bytes=0)
    hits = []
    for _ in range(3):
        case.handle = case.open(1)
        hits.append(case.prompt(Text("dog")).cache_hit)
    assert hits == [False] * 3
    assert case.model.encoded == 3


def test_the_cache_holds_to_its_bytes_and_its_time():
    now = [0.0]
    cache = FeatureCache(250, 10, clock=lambda: now[0])
    keys = [FeatureCache.key(ScriptedFrames(1, i).read(0)) for i in range(3)]
    assert len(set(keys)) == 3
    for i, key in enumerate(keys):
        cache.put(key, i, 100)
    assert [cache.get(key) for key in keys] == [None, 1, 2]
    assert cache.nbytes == 200
    now[0] = 6
    assert cache.get(keys[1]) == 1
    now[0] = 12
    # Asked for six seconds ago; the other twelve.
    assert [cache.get(key) for key in keys[1:]] == [1, None]
    cache.put(keys[0], "large", 251)
    assert cache.get(keys[0]) is None


def test_a_picture_of_another_shape_is_another_picture():
    flat = np.zeros((4, 6, 3), np.uint8)
    assert FeatureCache.key(flat) != FeatureCache.key(flat.reshape(6, 4, 3))


# --- errors ------------------------------------------------------------------------------------


def test_what_the_package_raises_becomes_a_sentence(case):
    case.model.raises = AssertionError("tensor shapes")
    with pytest.raises(EngineError, match="The model failed on this") as raised:
        case.prompt(Text("dog"))
    assert raised.value.code == "engine_failed"
    assert "tensor" not in raised.value.sentence


def test_what_a_person_can_mend_is_passed_on(case):
    case.model.raises = InvalidInput("The text is too long.", "text_too_long")
    with pytest.raises(InvalidInput, match="too long"):
        case.prompt(Text("dog"))


def test_out_of_memory_is_said_and_the_next_attempt_holds_fewer_frames(case):
    span = forward((1,), (seed(1, block(0)),))
    case.run(span)
    case.prompt(Points(((0.5, 0.5),), (1,)), frame=0)
    case.model.raises = RuntimeError("CUDA out of memory")
    with pytest.raises(EngineError, match="memory is full") as raised:
        case.prompt(Points(((0.5, 0.5),), (1,)), frame=3)
    assert raised.value.code == "out_of_memory"
    assert case.model.released == 1
    assert case.engine.memory_bytes(case.handle) == 0
    case.model.raises = None
    assert len(case.run(span)) == 8
    assert case.model.held == [HELD, HELD // 2]
    assert case.engine.memory_bytes(case.handle) == 100


def test_what_filled_the_memory_is_free_before_memory_is_given_back(case):
    class Activations:
        """What a model holds while it works on a frame."""

    held, free = [], []

    def encode(picture):
        activations = Activations()
        held.append(weakref.ref(activations))
        raise MemoryError

    case.model.encode = encode
    case.model.release_memory = lambda: free.append(held[-1]() is None)
    with pytest.raises(EngineError):
        case.prompt(Text("dog"))
    with pytest.raises(EngineError):
        case.run(forward((1,), (seed(1, block(0)),)))
    assert free == [True, True]


def test_fewer_than_the_model_s_own_memory_is_never_asked_for(case):
    case.model.raises = MemoryError()
    for _ in range(6):
        with pytest.raises(EngineError):
            case.prompt(Text("dog"), frame=2)
    with pytest.raises(EngineError, match="close other sessions"):
        case.prompt(Text("dog"), frame=2)
    case.model.raises = None
    case.run(forward((1,), (seed(1, block(0)),)))
    assert case.model.held == [LEAST_HELD]


def test_the_engine_introduces_itself_with_why_it_was_chosen():
    info = SamEngine(ScriptedModel(), reason="SAM 3 needs an NVIDIA GPU.").info
    assert info.note == "SAM 3 needs an NVIDIA GPU. From a script."
    assert info.capabilities.features
