"""What the adapter promises as a `SamModel`: shapes, types, ranges, coordinates, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.domain import Box
from backend.engines.sam.model import Clicks, Found
from backend.engines.sam3.clicks import arrange
from backend.engines.sam3.model import Sam3Model
from backend.errors import InvalidInput
from tests.models.conftest import Clip, mask, pictures


def check(found: Found) -> None:
    assert found.mask.dtype == np.bool_
    assert found.mask.shape == Clip.size
    assert isinstance(found.score, float)
    assert 0 <= found.score <= 1


def same(one: dict[int, Found], other: dict[int, Found]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[i].mask, other[i].mask) and one[i].score == pytest.approx(other[i].score, abs=1e-5)
        for i in one
    )


def test_introduces_itself(model: Sam3Model) -> None:
    assert (model.name, model.title, model.checkpoint) == ("sam3", "SAM 3", "facebook/sam3")
    assert model.capabilities.text
    assert model.capabilities.exemplar


def test_encodes_any_shape_of_picture(model: Sam3Model) -> None:
    sizes = {model.nbytes(model.encode(np.zeros((h, w, 3), np.uint8))) for h, w in ((3, 500), (64, 48))}
    assert len(sizes) == 1


def test_features_tell_their_bytes(model: Sam3Model) -> None:
    features = model.encode(pictures(1)[0])
    held = [*features.detector["backbone_fpn"], *features.tracker["backbone_fpn"]]
    assert model.nbytes(features) == sum(t.nbytes for t in held)


def test_position_codes_are_shared_between_pictures(model: Sam3Model) -> None:
    one, other = (model.encode(p) for p in pictures(2))
    assert one.detector["vision_pos_enc"][0] is other.detector["vision_pos_enc"][0]


@pytest.mark.parametrize(
    "clicks",
    [
        Clicks(((0.5, 0.5),), (1,)),
        Clicks(((0.5, 0.5), (0.1, 0.1)), (1, 0)),
        Clicks(box=(0.1, 0.1, 0.5, 0.4)),
        Clicks(((0.5, 0.5),), (1,), box=(0.1, 0.1, 0.5, 0.4)),
        Clicks(((0.5, 0.5),), (1,), start=mask(10, 10)),
        Clicks(tuple((i / 40, 0.5) for i in range(40)), (1,) * 40),
    ],
)
def test_segments(model: Sam3Model, clip: Clip, clicks: Clicks) -> None:
    check(model.segment(clip.features(0), clip.size, clicks))


def test_segments_without_a_click_gives_the_mask_before(model: Sam3Model, clip: Clip) -> None:
    found = model.segment(clip.features(0), clip.size, Clicks(start=mask(10, 10)))
    assert np.array_equal(found.mask, mask(10, 10))


def test_a_mask_before_changes_the_answer(model: Sam3Model, clip: Clip) -> None:
    click = ((0.5, 0.5),), (1,)
    without = model.segment(clip.features(0), clip.size, Clicks(*click))
    refined = model.segment(clip.features(0), clip.size, Clicks(*click, start=mask(10, 10)))
    assert not np.array_equal(without.mask, refined.mask)


def test_clicks_reach_the_model_in_its_own_pixels(
    model: Sam3Model, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = model._video.tracker
    seen: list[dict[str, torch.Tensor]] = []
    inner = tracker._forward_sam_heads

    def spy(**kwargs: object) -> object:
        seen.append(kwargs["point_inputs"])
        return inner(**kwargs)

    monkeypatch.setattr(tracker, "_forward_sam_heads", spy)
    model.segment(clip.features(0), clip.size, Clicks(((0.5, 0.25),), (0,), box=(0.25, 0.5, 0.25, 0.5)))
    assert seen[0]["point_coords"].tolist() == [[[28, 56], [56, 112], [56, 28]]]
    assert seen[0]["point_labels"].tolist() == [[2, 3, 0]]


def test_too_many_clicks_lose_the_middle_ones() -> None:
    clicks = Clicks(tuple((i / 100, 0.5) for i in range(20)), (1,) * 20, box=(0, 0, 1, 1))
    kept = arrange(clicks, 16)
    assert len(kept) == 16
    assert [label for *_, label in kept[:2]] == [2, 3]
    assert kept[-1][0] == pytest.approx(0.19)


def test_detects_best_first(model: Sam3Model, clip: Clip) -> None:
    found = model.detect(clip.features(0), clip.size, "cat", ())
    assert len(found) > 1
    for one in found:
        check(one)
        assert one.mask.any()
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)


def test_words_and_exemplars_both_count(model: Sam3Model, clip: Clip) -> None:
    def scores(text: str, *boxes: Box) -> list[float]:
        return [f.score for f in model.detect(clip.features(0), clip.size, text, boxes)]

    like, unlike = Box((0.1, 0.1, 0.3, 0.3)), Box((0.1, 0.1, 0.3, 0.3), label=False)
    every = [scores("cat"), scores("dog"), scores("cat", like), scores("", like), scores("cat", unlike)]
    assert len({tuple(s) for s in every}) == len(every)


def test_exemplars_reach_the_model_by_their_centre(
    model: Sam3Model, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    inner = model._video.detector.forward_grounding

    def spy(**kwargs: object) -> object:
        seen.append(kwargs["geometric_prompt"])
        return inner(**kwargs)

    monkeypatch.setattr(model._video.detector, "forward_grounding", spy)
    boxes = [Box((0.25, 0.5, 0.5, 0.25)), Box((0, 0, 0.5, 0.5), label=False)]
    model.detect(clip.features(0), clip.size, "cat", boxes)
    assert seen[0].box_embeddings[:, 0].tolist() == [[0.5, 0.625, 0.5, 0.25], [0.25, 0.25, 0.5, 0.5]]
    assert seen[0].box_labels[:, 0].tolist() == [1, 0]


def test_a_long_text_is_refused_not_cut(model: Sam3Model, clip: Clip) -> None:
    text = "a very long text " * 11
    with pytest.raises(InvalidInput) as refused:
        model.detect(clip.features(0), clip.size, text, ())
    assert refused.value.code == "text_too_long"
    with pytest.raises(InvalidInput):
        model.follow(clip, text, 16)


def test_tracks_objects_in_both_directions(model: Sam3Model, clip: Clip) -> None:
    for reverse, frames in ((False, range(7)), (True, range(6, -1, -1))):
        tracker = model.track(clip, 16)
        tracker.add(1, {frames[0]: mask(10, 10)})
        tracker.add(2, {frames[0]: mask(40, 20)})
        for frame_index in frames:
            found = tracker.step(frame_index, reverse=reverse)
            assert list(found) == [1, 2]
            for one in found.values():
                check(one)
        assert tracker.nbytes > 0
        tracker.close()
        tracker.close()
        assert tracker.nbytes == 0


def test_a_given_mask_is_the_answer_on_its_frame_and_changes_those_after(model: Sam3Model, clip: Clip) -> None:
    plain, corrected = model.track(clip, 16), model.track(clip, 16)
    plain.add(1, {0: mask(10, 10)})
    corrected.add(1, {0: mask(10, 10), 3: mask(50, 30)})
    for frame_index in range(7):
        one, other = plain.step(frame_index, reverse=False), corrected.step(frame_index, reverse=False)
        if frame_index == 3:
            assert np.array_equal(other[1].mask, mask(50, 30))
            assert other[1].score > 0.9
    assert not same(one, other)


def test_a_score_follows_the_object(model: Sam3Model, clip: Clip) -> None:
    tracker = model.track(clip, 16)
    tracker.add(1, {0: mask(10, 10)})
    assert len({round(tracker.step(i, reverse=False)[1].score, 5) for i in range(5)}) == 5


def test_objects_join_and_leave_on_the_way(model: Sam3Model, clip: Clip) -> None:
    tracker = model.track(clip, 16)
    tracker.add(1, {0: mask(10, 10)})
    tracker.add(2, {0: mask(40, 20)})
    tracker.step(0, reverse=False)
    tracker.add(3, {1: mask(5, 5)})
    assert set(tracker.step(1, reverse=False)) == {1, 2, 3}
    tracker.remove(1)
    tracker.remove(99)
    assert set(tracker.step(2, reverse=False)) == {2, 3}
    tracker.remove(2)
    tracker.remove(3)
    assert tracker.step(3, reverse=False) == {}


def test_an_object_leaves_no_trace_when_it_goes_before_it_was_tracked(model: Sam3Model, clip: Clip) -> None:
    alone, left = model.track(clip, 16), model.track(clip, 16)
    left.add(7, {0: mask(30, 30)})
    for tracker in (alone, left):
        tracker.add(1, {0: mask(10, 10)})
    left.remove(7)
    for frame_index in range(4):
        assert same(alone.step(frame_index, reverse=False), left.step(frame_index, reverse=False))


def test_an_object_that_comes_again_is_replaced(model: Sam3Model, clip: Clip) -> None:
    again, fresh = model.track(clip, 16), model.track(clip, 16)
    again.add(1, {0: mask(50, 30)})
    again.step(0, reverse=False)
    for tracker in (again, fresh):
        tracker.add(1, {1: mask(10, 10)})
        tracker.step(1, reverse=False)
    assert same(again.step(2, reverse=False), fresh.step(2, reverse=False))


def test_follows_a_concept_in_both_directions(model: Sam3Model, clip: Clip) -> None:
    for reverse, frames in ((False, range(2, 7)), (True, range(4, -1, -1))):
        follower = model.follow(clip, "cat", 16)
        ids: set[int] = set()
        for frame_index in frames:
            found = follower.step(frame_index, reverse=reverse)
            assert found
            assert ids <= set(found)
            ids = set(found)
            for one in found.values():
                check(one)
        assert follower.nbytes > 0
        follower.close()
        follower.close()
        assert follower.nbytes == 0


def test_a_follower_finds_on_its_first_frame_what_a_prompt_finds(model: Sam3Model, clip: Clip) -> None:
    found = model.follow(clip, "cat", 16).step(0, reverse=False)
    asked = model.detect(clip.features(0), clip.size, "cat", ())
    masks = {round(f.score, 5): f.mask for f in found.values()}
    assert len(asked) > 1
    for one in asked:
        assert np.array_equal(masks[round(one.score, 5)], one.mask)


def test_knows_when_memory_is_full(model: Sam3Model) -> None:
    assert model.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert model.is_out_of_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"))
    assert not model.is_out_of_memory(RuntimeError("shape mismatch"))
    assert not model.is_out_of_memory(ValueError("CUDA error: out of memory"))
    model.release_memory()


def test_compiles_after_a_pass_that_fills_what_is_computed_once(
    model: Sam3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda picture: done.append("encode") or encode(picture))
    monkeypatch.setattr(model._video, "_compile_model", lambda: done.append("compile"))
    # Without it, the package's own method does nothing.
    monkeypatch.setattr(model._video, "compile_model", False)
    model.compile()
    assert done == ["encode", "compile"]
    assert model._video.compile_model


def test_a_launcher_s_environment_makes_nobody_wait(model: Sam3Model) -> None:
    assert (model._video.rank, model._video.world_size) == (0, 1)
    assert (model._video.detector.rank, model._video.detector.world_size) == (0, 1)
