"""The traps of `transformers` 5.23 that were measured, each with a test that shows it closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.domain import BoolMask
from backend.engines.sam.model import Found, SamModel
from tests.tiny import KINDS, make_checkpoint
from tests.tiny.views import PictureViews, pictures

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from backend.engines.transformers import load, memory, overlaps  # noqa: E402

SIZE = (90, 160)
HELD = 16


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SamModel]:
    folder = tmp_path_factory.mktemp("tiny")
    return {kind: load(str(make_checkpoint(folder / kind, kind)), "cpu", lambda stage: None) for kind in KINDS}


@pytest.fixture
def sam3(models: Mapping[str, SamModel]) -> SamModel:
    return models["sam3"]


def views(model: SamModel, count: int = 8) -> PictureViews:
    return PictureViews(model, pictures(count))


def box(x: int, y: int, width: int = 40, height: int = 24) -> BoolMask:
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + height, x : x + width] = True
    return mask


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def equal(a: Mapping[int, Found], b: Mapping[int, Found]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[i].mask, b[i].mask) and a[i].score == b[i].score for i in a)


def session_of(one: Any) -> Any:
    """The package's own session inside a tracker or follower."""
    return one._session


def conditioning(tracker: Any, place: int = 0) -> list[int]:
    return list(session_of(tracker).output_dict_per_obj[place]["cond_frame_outputs"])


def test_trap_1_a_correction_on_a_frame_already_tracked_is_kept(models: Mapping[str, SamModel]) -> None:
    left, right = box(20, 20), box(100, 40)
    for kind in ("sam3", "sam2"):
        tracker = models[kind].track(views(models[kind]), HELD)
        tracker.add(1, {0: left})
        for index in range(5):
            tracker.step(index, reverse=False)
        tracker.add(1, {0: left, 3: right})
        # Not before the next step, which works it out.
        assert 1 not in session_of(tracker).obj_ids
        assert np.array_equal(tracker.step(3, reverse=False)[1].mask, right)
        assert conditioning(tracker) == [0, 3]
        assert iou(tracker.step(4, reverse=False)[1].mask, right) > 0.2


def test_trap_2_objects_can_be_added_one_after_the_other(sam3: SamModel) -> None:
    tracker = sam3.track(views(sam3), HELD)
    for obj_id, x in ((1, 10), (2, 60), (3, 110)):
        tracker.add(obj_id, {0: box(x, 20), 2: box(x, 30)})
    tracker.add(2, {0: box(60, 50)})
    found = tracker.step(0, reverse=False)
    assert found.keys() == {1, 2, 3}
    assert np.array_equal(found[2].mask, box(60, 50))


def test_trap_3_the_callers_masks_and_ids_stay_the_callers(sam3: SamModel) -> None:
    tracker = sam3.track(views(sam3), HELD)
    masks = {0: box(10, 20), 3: box(20, 20)}
    tracker.add(1, masks)
    first = tracker.step(0, reverse=False)
    assert list(masks) == [0, 3]
    masks.clear()
    for index in (1, 2):
        tracker.step(index, reverse=False)
    assert np.array_equal(tracker.step(3, reverse=False)[1].mask, box(20, 20))
    assert np.array_equal(first[1].mask, box(10, 20))


def test_trap_4_only_given_masks_become_conditioning_frames(models: Mapping[str, SamModel]) -> None:
    for model in models.values():
        tracker = model.track(views(model), HELD)
        tracker.add(1, {5: box(20, 20)})
        tracker.add(2, {0: box(100, 20), 3: box(90, 20)})
        for index in range(7):
            tracker.step(index, reverse=False)
        assert [conditioning(tracker, place) for place in (0, 1)] == [[5], [0, 3]]


def test_trap_5_no_hotstart_so_ids_never_shift(sam3: SamModel, tmp_path: Path) -> None:
    import json

    folder = make_checkpoint(tmp_path, "sam3")
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["hotstart_delay"] == 15
    follower = sam3.follow(views(sam3), "red ball", HELD)
    first: dict[int, int] = {}
    for index in range(8):
        found = follower.step(index, reverse=False)
        assert index > 0 or found
        for own in found:
            first.setdefault(own, index)
        assert found.keys() == first.keys(), "none is removed, none renamed"
    assert session_of(follower).removed_obj_ids == set()


def test_trap_6_a_step_is_one_frame_its_own_in_both_directions(sam3: SamModel) -> None:
    for reverse, frames in ((False, range(8)), (True, range(7, -1, -1))):
        over = views(sam3)
        tracker, follower = sam3.track(over, HELD), sam3.follow(over, "dog", HELD)
        tracker.add(1, {frames[0]: box(20, 20)})
        for index in frames:
            assert tracker.step(index, reverse=reverse)
            assert follower.step(index, reverse=reverse)
        assert over.encoded == list(frames), "the first and the last frame included, no other"


def test_trap_7_overlapping_finds_are_dropped_and_nothing_is_downloaded(sam3: SamModel) -> None:
    from transformers.models.sam3_video import modeling_sam3_video as module

    assert sam3.follow(views(sam3), "dog", HELD).step(0, reverse=False)
    assert "kernels" not in sys.modules
    package: Any = module
    scores = torch.tensor([0.7, 0.9, 0.8, 0.2])
    masks = torch.full((4, 8, 8), -1.0)
    masks[0, :4] = masks[1, :4] = masks[3] = 1.0
    masks[2, 4:] = 1.0
    kept = package.nms_masks(scores, masks, prob_threshold=0.5, iou_threshold=0.5)
    assert kept.tolist() == [False, True, True, False]


def test_trap_7_small_holes_and_specks_are_filled() -> None:
    from transformers.models.sam3_video import modeling_sam3_video as module

    overlaps.install()
    package: Any = module
    logits = torch.full((2, 1, 9, 9), -5.0)
    logits[0, 0, 1:8, 1:8] = 5.0
    logits[0, 0, 4, 4] = -5.0
    logits[1, 0, 0:5, 0:5] = 5.0
    logits[1, 0, 8, 8] = 5.0
    out = package.fill_holes_in_mask_scores(logits, max_area=2) > 0
    assert out[0, 0, 4, 4]
    assert not out[1, 0, 8, 8]
    assert out[0].sum() == 49
    assert out[1].sum() == 25


def test_trap_8_overlaps_of_200_masks_need_no_memory_to_speak_of() -> None:
    from transformers.models.sam3_video import modeling_sam3_video as module

    overlaps.install()
    package: Any = module
    count, side = 200, 96
    masks = torch.rand((count, side, side), generator=torch.Generator().manual_seed(0)) > 0.5
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        ious = package.mask_iou(masks, masks)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < 4 * count * side * side + 4 * count * count + 1, "no N times N times a mask"
    a, b = masks[3], masks[150]
    assert ious[3, 150].item() == pytest.approx(((a & b).sum() / (a | b).sum()).item())
    assert torch.equal(ious.diagonal(), torch.ones(count))


def test_trap_8_empty_masks_overlap_nothing() -> None:
    empty = torch.zeros((2, 4, 4), dtype=torch.bool)
    assert overlaps.mask_iou(empty, empty).tolist() == [[0, 0], [0, 0]]
    assert overlaps.mask_iou(empty[:0], empty).shape == (0, 2)
    assert overlaps.apart(torch.zeros(0, 0), torch.zeros(0), 0.5).tolist() == []


def test_trap_9_each_follower_of_the_same_words_starts_afresh(sam3: SamModel) -> None:
    def run() -> list[Mapping[int, Found]]:
        follower = sam3.follow(views(sam3), "dog", HELD)
        return [follower.step(i, reverse=False) for i in range(5)]

    first, second = run(), run()
    assert all(equal(a, b) for a, b in zip(first, second, strict=True))


def test_trap_9_a_trackers_session_can_forget_an_object(models: Mapping[str, SamModel]) -> None:
    for model in models.values():
        tracker = model.track(views(model), HELD)
        for obj_id, x in ((1, 10), (2, 60), (3, 110)):
            tracker.add(obj_id, {0: box(x, 20)})
        tracker.step(0, reverse=False)
        tracker.remove(2)
        session = session_of(tracker)
        assert session.obj_ids == [1, 3]
        assert dict(session._obj_id_to_idx) == {1: 0, 3: 1}
        assert dict(session._obj_idx_to_id) == {0: 1, 1: 3}
        assert len(session.output_dict_per_obj) == 2
        tracker.add(4, {1: box(60, 50)})
        assert tracker.step(1, reverse=False).keys() == {1, 3, 4}


@pytest.mark.parametrize("kind", KINDS)
def test_trap_10_trimming_changes_no_result(
    kind: str, models: Mapping[str, SamModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models[kind]

    def run(held: int) -> tuple[list[Mapping[int, Found]], int]:
        tracker = model.track(views(model, 28), held)
        tracker.add(1, {0: box(20, 20), 22: box(30, 20)})
        tracker.add(2, {0: box(100, 20)})
        return [tracker.step(i, reverse=False) for i in range(28)], tracker.nbytes

    (bounded, small), (wider, wide) = run(1), run(HELD)
    monkeypatch.setattr(memory, "trim", lambda *_: None)
    unbounded, large = run(HELD)
    assert all(equal(a, b) for a, b in zip(bounded, unbounded, strict=True))
    assert all(equal(a, b) for a, b in zip(wider, unbounded, strict=True))
    assert small < wide < large


@pytest.mark.slow
def test_trap_10_a_long_run_does_not_grow(sam3: SamModel) -> None:
    over = PictureViews(sam3, pictures(200), kept=1)
    tracker, follower = sam3.track(over, HELD), sam3.follow(over, "dog", HELD)
    tracker.add(1, {0: box(20, 20), 150: box(60, 20)})
    held: list[int] = []
    for index in range(200):
        tracker.step(index, reverse=False)
        follower.step(index, reverse=False)
        held.append(tracker.nbytes + follower.nbytes)
    assert held[199] <= held[40] * 1.1
    for run in (tracker, follower):
        session = session_of(run)
        assert session.cache._vision_features == {}
        assert len(session.processed_frames) == 200
        assert dict(session.processed_frames) == {}, "no frame is kept"
        assert not any(session.mask_inputs_per_obj.values())
        assert not any(session.frames_tracked_per_obj.values())


def test_trap_10_what_a_follower_notes_of_frames_does_not_grow(sam3: SamModel) -> None:
    follower = sam3.follow(views(sam3, 24), "red ball", 7)
    for index in range(24):
        follower.step(index, reverse=False)
    session = session_of(follower)
    assert list(session.obj_id_to_tracker_score_frame_wise) == [23]
    assert set(session.suppressed_obj_ids) <= {23}
    model: Any = sam3
    package = model._network.model
    assert all(len(v) <= package.hotstart_unmatch_thresh for v in session.unmatched_frame_inds.values())
    assert all(len(v) <= package.hotstart_dup_thresh for v in session.overlap_pair_to_frame_inds.values())
    for outputs in session.output_dict_per_obj.values():
        assert len(outputs["cond_frame_outputs"]) <= 8


def test_trap_10_conditioning_frames_of_a_detector_are_thinned_out() -> None:
    given = dict.fromkeys(range(0, 400, 16))
    session = SimpleNamespace(output_dict_per_obj={0: {"cond_frame_outputs": given, "non_cond_frame_outputs": {}}})
    memory.thin(session, 7)
    assert list(given) == [0, *range(288, 400, 16)]
    memory.thin(session, 7)
    assert len(given) == 8


def test_trap_11_a_follower_never_gives_an_id_twice(sam3: SamModel) -> None:
    """Who was removed is known to the core alone, by the follower's ids: they must mean the same for ever."""
    follower = sam3.follow(views(sam3, 20), "red ball", HELD)
    born: list[int] = []
    for index in range(20):
        found = follower.step(index, reverse=False)
        assert set(born) <= set(found), "one that is out of sight is still listed, empty"
        fresh = sorted(set(found) - set(born))
        assert all(own > max(born, default=-1) for own in fresh)
        born += fresh
