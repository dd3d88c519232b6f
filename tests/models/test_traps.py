"""The traps of Meta's package that an engine over it falls into, each shown to be avoided."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from backend.domain import Box
from backend.engines.sam.model import Clicks, Found
from backend.engines.sam3 import memory
from backend.engines.sam3.model import Sam3Model
from tests.models.conftest import Clip, mask
from tests.models.test_model import same


def run(who: object, frames: range) -> list[dict[int, Found]]:
    """Step a tracker or follower over frames, in the direction they go."""
    return [dict(who.step(i, reverse=frames.step < 0)) for i in frames]  # type: ignore[attr-defined]


def equal(one: list[dict[int, Found]], other: list[dict[int, Found]]) -> bool:
    return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))


def tracked(model: Sam3Model, clip: Clip, frames: range, held: int = 16) -> list[dict[int, Found]]:
    tracker = model.track(clip, held)
    tracker.add(1, {frames[0]: mask(10, 10)})
    return run(tracker, frames)


def test_a_text_does_not_lose_other_objects(model: Sam3Model, clip: Clip) -> None:
    """In the package a text resets the session, objects and other texts included."""
    alone = [run(model.follow(clip, text, 16), range(5)) for text in ("cat", "red ball")]
    clicked = tracked(model, clip, range(5))
    tracker, cat, ball = model.track(clip, 16), model.follow(clip, "cat", 16), model.follow(clip, "red ball", 16)
    tracker.add(1, {0: mask(10, 10)})
    together: list[list[dict[int, Found]]] = [[], [], []]
    for frame_index in range(5):
        for out, who in zip(together, (tracker, cat, ball), strict=True):
            out.append(dict(who.step(frame_index, reverse=False)))
        # A prompt in between, as people make them while a run is on its way.
        model.detect(clip.features(frame_index), clip.size, "dog", ())
        model.segment(clip.features(frame_index), clip.size, Clicks(((0.5, 0.5),), (1,)))
    assert equal(together[0], clicked)
    assert equal(together[1], alone[0])
    assert equal(together[2], alone[1])


def test_clicks_on_a_fresh_session(model: Sam3Model) -> None:
    """The package asserts unless a propagation has filled its cache."""
    clip = Clip(model)
    assert model.segment(clip.features(5), clip.size, Clicks(((0.5, 0.5),), (1,))).mask.any()
    assert clip.encoded == [5]


def test_a_run_after_a_cancelled_one_is_complete(model: Sam3Model, clip: Clip) -> None:
    """The package's history takes the next run for a replay of what was never computed."""
    whole = run(model.follow(clip, "cat", 16), range(7)), tracked(model, clip, range(7))
    follower, tracker = model.follow(clip, "cat", 16), model.track(clip, 16)
    tracker.add(1, {0: mask(10, 10)})
    for who in (follower, tracker):
        run(who, range(2))
        who.close()
    assert equal(run(model.follow(clip, "cat", 16), range(7)), whole[0])
    assert equal(tracked(model, clip, range(7)), whole[1])


def test_a_run_after_a_failed_one_is_complete(model: Sam3Model, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the package's propagation, too, stays in its history."""
    whole = run(model.follow(clip, "cat", 16), range(4))
    follower = model.follow(clip, "cat", 16)
    run(follower, range(2))
    with monkeypatch.context() as broken:
        broken.setattr(model._video, "_tracker_update_memories", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            follower.step(2, reverse=False)
    follower.close()
    assert equal(run(model.follow(clip, "cat", 16), range(4)), whole)


def test_exactly_the_frames_that_are_asked_for(model: Sam3Model) -> None:
    """The package does one frame more than its maximum, and encodes the one after the last."""
    clip = Clip(model)
    run(model.follow(clip, "cat", 16), range(2, 5))
    tracked(model, clip, range(2, 5))
    assert clip.encoded == [2, 3, 4]


@pytest.mark.parametrize("start", [0, 6])
def test_backward_from_the_ends(model: Sam3Model, clip: Clip, start: int) -> None:
    """The package leaves the start out when it goes backward, and gives nothing from the last frame."""
    frames = range(start, -1, -1)
    for out in (tracked(model, clip, frames), run(model.follow(clip, "cat", 16), frames)):
        assert len(out) == start + 1
        assert all(out)


def test_the_first_answer_comes_with_the_first_frame(model: Sam3Model) -> None:
    """The package holds results back for 15 frames."""
    clip = Clip(model)
    assert model._video.hotstart_delay == 0
    assert model.follow(clip, "cat", 16).step(0, reverse=False)
    assert clip.encoded == [0]


def test_one_encoder_pass_a_frame(model: Sam3Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package encodes each frame again for each text."""
    passes = []
    inner = model._video.detector.backbone.forward_image
    monkeypatch.setattr(
        model._video.detector.backbone, "forward_image", lambda x: passes.append(len(x)) or inner(x), raising=True
    )
    clip = Clip(model, 4)
    who = [model.track(clip, 16), model.follow(clip, "cat", 16), model.follow(clip, "dog", 16)]
    who[0].add(1, {0: mask(10, 10)})
    for frame_index in range(4):
        for one in who:
            one.step(frame_index, reverse=False)
        for text in ("cat", "dog", "red ball"):
            model.detect(clip.features(frame_index), clip.size, text, ())
        model.segment(clip.features(frame_index), clip.size, Clicks(((0.5, 0.5),), (1,)))
    assert passes == [1] * 4


def test_the_package_may_pass_what_its_tracker_does_not_take(model: Sam3Model, clip: Clip) -> None:
    """sam3 0.1.4 fails with a TypeError where one object of several has nothing on a clicked frame."""
    tracker = model._video.tracker
    features = {i: (torch.zeros(1, 3, 1, 1), {"tracker_backbone_out": clip.features(i).tracker}) for i in range(2)}
    state = tracker.init_state(video_height=60, video_width=80, num_frames=7, cached_features=features)
    for obj_id, frame_index in ((1, 0), (2, 0), (1, 1)):
        tracker.add_new_points_or_box(state, frame_index, obj_id, points=[[0.5, 0.5]], labels=[1])
    tracker.propagate_in_video_preflight(state)
    assert set(state["output_dict"]["cond_frame_outputs"]) == {0, 1}


def test_two_sessions_share_nothing(model: Sam3Model) -> None:
    """All the package's predictors share one dictionary of sessions."""

    def who(clip: Clip) -> list[object]:
        tracker = model.track(clip, 16)
        tracker.add(1, {0: mask(10, 10)})
        return [tracker, model.follow(clip, "cat", 16)]

    clips = [Clip(model, seed=0), Clip(model, seed=1)]
    one_by_one = [[run(w, range(5)) for w in who(clip)] for clip in clips]
    both = [who(clip) for clip in clips]
    interleaved: list[list[list[dict[int, Found]]]] = [[[], []], [[], []]]
    for frame_index in range(5):
        for session in (0, 1):
            for out, w in zip(interleaved[session], both[session], strict=True):
                out.append(dict(w.step(frame_index, reverse=False)))
    assert all(equal(a, b) for x, y in zip(one_by_one, interleaved, strict=True) for a, b in zip(x, y, strict=True))
    from sam3.model.sam3_video_predictor import Sam3VideoPredictor

    assert Sam3VideoPredictor._ALL_INFERENCE_STATES == {}


def test_followers_in_opposite_directions(model: Sam3Model, clip: Clip) -> None:
    up, down = run(model.follow(clip, "cat", 16), range(5)), run(model.follow(clip, "cat", 16), range(6, 1, -1))
    forward, backward = model.follow(clip, "cat", 16), model.follow(clip, "cat", 16)
    pairs = [(dict(forward.step(i, reverse=False)), dict(backward.step(6 - i, reverse=True))) for i in range(5)]
    assert equal([a for a, _ in pairs], up)
    assert equal([b for _, b in pairs], down)


def test_exemplars_hold_for_one_call_only(model: Sam3Model, clip: Clip) -> None:
    """The package's own processor of images adds up the boxes of all calls."""

    def find(*boxes: Box) -> list[tuple[bytes, float]]:
        return [(f.mask.tobytes(), f.score) for f in model.detect(clip.features(0), clip.size, "cat", boxes)]

    box = Box((0.1, 0.1, 0.3, 0.3))
    plain, like = find(), find(box)
    assert like != plain
    assert (find(box), find()) == (like, plain)


def test_objects_do_not_cut_into_each_other(model: Sam3Model, clip: Clip) -> None:
    """The package takes from one object's mask what a later one covers."""
    tracker = model.track(clip, 16)
    tracker.add(1, {0: mask(10, 10, 30)})
    tracker.add(2, {0: mask(20, 20, 30)})
    found = tracker.step(0, reverse=False)
    assert np.array_equal(found[1].mask, mask(10, 10, 30))
    assert np.array_equal(found[2].mask, mask(20, 20, 30))


def test_scores_of_a_concept_are_each_frame_s_own(model: Sam3Model, clip: Clip) -> None:
    """The package gives the score of the first detection for ever."""
    out = run(model.follow(clip, "cat", 16), range(5))
    for own in out[0]:
        assert len({round(found[own].score, 5) for found in out}) == 5


def test_ids_are_never_used_twice_within_a_follower(model: Sam3Model, clip: Clip) -> None:
    follower = model.follow(clip, "cat", 16)
    newest = -1
    seen: set[int] = set()
    for found in run(follower, range(7)):
        fresh = set(found) - seen
        assert all(own > newest for own in fresh)
        seen |= fresh
        newest = max(seen, default=-1)


def test_memory_is_released(model: Sam3Model) -> None:
    """Closed sessions of the package live on in generators and dictionaries."""
    clip = Clip(model)
    tracker, follower = model.track(clip, 16), model.follow(clip, "cat", 16)
    tracker.add(1, {0: mask(10, 10)})
    run(tracker, range(3))
    run(follower, range(3))
    kept = [weakref.ref(clip), weakref.ref(tracker), weakref.ref(follower)]
    tensors = [
        weakref.ref(tracker._batches[0].followed[2]["maskmem_features"]),
        weakref.ref(follower._states[0]["output_dict"]["non_cond_frame_outputs"][2]["maskmem_features"]),
        weakref.ref(clip.features(0).detector["backbone_fpn"][0]),
    ]
    tracker.close()
    follower.close()
    del clip, tracker, follower
    gc.collect()
    assert [ref() for ref in kept + tensors] == [None] * 6


def test_memory_stays_bounded_on_a_long_video(model: Sam3Model) -> None:
    """The package keeps every frame: its features, its masks and what its tracker made of it."""
    frames = 60
    features = Clip(model).features(0)

    class Still(Clip):
        def __len__(self) -> int:
            return frames

        def features(self, frame_index: int) -> object:
            return features

    clip = Still(model)
    tracker, follower = model.track(clip, 7), model.follow(clip, "cat", 7)
    tracker.add(1, {0: mask(10, 10)})
    held = []
    for frame_index in range(frames):
        tracker.step(frame_index, reverse=False)
        follower.step(frame_index, reverse=False)
        held.append((tracker.nbytes, follower.nbytes))
    assert held[-1][0] <= held[10][0]
    assert held[-1][1] <= held[20][1] * 2
    about = follower._about
    assert len(about["obj_id_to_tracker_score_frame_wise"]) == 1
    assert all(len(s["frames_already_tracked"]) <= 30 for s in follower._states)


@pytest.mark.parametrize("disambiguated", [True, False])
def test_forgetting_changes_nothing(model: Sam3Model, monkeypatch: pytest.MonkeyPatch, disambiguated: bool) -> None:
    """What is dropped is what the model would not have looked at, with its choice of memories and without."""
    assert model._video.tracker.use_memory_selection
    monkeypatch.setattr(model._video.tracker, "use_memory_selection", disambiguated)
    clip = Clip(model, 24)
    bounded = tracked(model, clip, range(24)), run(model.follow(clip, "cat", 16), range(24))
    monkeypatch.setattr(memory, "_drop", lambda outputs, kept: [])
    endless = tracked(model, clip, range(24)), run(model.follow(clip, "cat", 16), range(24))
    assert equal(bounded[0], endless[0])
    assert equal(bounded[1], endless[1])


def test_masks_that_the_model_renews_are_bounded_too(model: Sam3Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so often the package gives a track a detection's mask, and keeps that for ever."""
    video = model._video
    inner = video._associate_det_trk

    def sure(**kwargs: object) -> tuple[object, ...]:
        out = list(inner(**kwargs))
        if len(kwargs["det_masks"]):  # type: ignore[arg-type]
            out[3] = {int(i): 0 for i in kwargs["trk_obj_ids"]}  # type: ignore[attr-defined]
        return tuple(out)

    monkeypatch.setattr(video, "_associate_det_trk", sure)
    monkeypatch.setattr(video, "recondition_every_nth_frame", 3)
    monkeypatch.setattr(video, "max_num_objects", 2)
    # Looking at fewer, so that a short clip is long enough.
    monkeypatch.setattr(video.tracker, "max_obj_ptrs_in_encoder", 6)
    clip = Clip(model, 30)
    follower = model.follow(clip, "cat", 7)
    bounded = run(follower, range(30))
    state = follower._states[0]
    given = state["output_dict"]["cond_frame_outputs"]
    assert 4 <= len(given) <= 6
    assert set(given) == state["consolidated_frame_inds"]["cond_frame_outputs"]
    assert all(set(masks) <= set(given) for masks in state["mask_inputs_per_obj"].values())
    monkeypatch.setattr(memory, "_drop", lambda outputs, kept: [])
    assert equal(run(model.follow(clip, "cat", 7), range(30)), bounded)
