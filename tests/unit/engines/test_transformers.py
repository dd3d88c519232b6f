"""The adapter of `transformers`, with tiny random models of all three kinds over real frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.domain import BoolMask, Box
from backend.engines.sam.model import Clicks, Found, SamModel
from backend.errors import InvalidInput, Unsupported
from tests.tiny import KINDS, make_checkpoint
from tests.tiny.views import PictureViews, pictures

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from backend.engines.transformers import load  # noqa: E402

SIZE = (90, 160)
HELD = 16


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With layers so small, a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SamModel]:
    folder = tmp_path_factory.mktemp("tiny")
    return {kind: load(str(make_checkpoint(folder / kind, kind)), "cpu", lambda stage: None) for kind in KINDS}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, models: Mapping[str, SamModel]) -> SamModel:
    return models[request.param]


@pytest.fixture
def sam3(models: Mapping[str, SamModel]) -> SamModel:
    return models["sam3"]


def views(model: SamModel, count: int = 8, kept: int = 2) -> PictureViews:
    return PictureViews(model, pictures(count), kept)


def square(x: float, y: float, width: float = 0.25, height: float = 0.25) -> BoolMask:
    """A rectangle, placed and sized in parts of the picture."""
    mask = np.zeros(SIZE, np.bool_)
    rows, cols = SIZE
    mask[int(y * rows) : int((y + height) * rows), int(x * cols) : int((x + width) * cols)] = True
    return mask


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def check(found: Found) -> None:
    assert found.mask.shape == SIZE
    assert found.mask.dtype == np.bool_
    assert isinstance(found.score, float)
    assert 0 <= found.score <= 1


def equal(a: Mapping[int, Found], b: Mapping[int, Found]) -> bool:
    same = [np.array_equal(a[i].mask, b[i].mask) and a[i].score == b[i].score for i in a if i in b]
    return a.keys() == b.keys() and all(same)


# --- what it says of itself --------------------------------------------------------------------


def test_each_kind_introduces_itself(models: Mapping[str, SamModel]) -> None:
    assert {kind: m.title for kind, m in models.items()} == {"sam3": "SAM 3", "sam2": "SAM 2.1", "edgetam": "EdgeTAM"}
    for kind, m in models.items():
        assert m.name == "transformers"
        assert m.checkpoint == kind
        assert m.device == "CPU"
        assert m.note == ""


def test_only_sam3_finds_by_words_and_exemplars_need_torchvision(models: Mapping[str, SamModel]) -> None:
    try:
        from torchvision.ops import roi_align
    except (ImportError, RuntimeError, AttributeError):
        roi_align = None
    for kind, m in models.items():
        can = m.capabilities
        assert can.text is can.multi_concept is (kind == "sam3")
        assert can.exemplar is (kind == "sam3" and roi_align is not None)
        assert all((can.points, can.box, can.mask, can.backward, can.features))


def test_a_model_without_words_refuses_them(models: Mapping[str, SamModel]) -> None:
    model = models["sam2"]
    over = views(model)
    with pytest.raises(Unsupported, match="Click or draw a box"):
        model.detect(over.features(0), SIZE, "dog", [])
    with pytest.raises(Unsupported, match=r"SAM 2\.1"):
        model.follow(over, "dog", HELD)


# --- one picture -------------------------------------------------------------------------------


def test_features_are_weighed(model: SamModel) -> None:
    features = model.encode(pictures(8)[0])
    maps = sum(m.numel() * m.element_size() for m in features.maps)
    assert model.nbytes(features) >= maps > 0
    again = model.encode(pictures(8)[1])
    assert all(a is b for a, b in zip(features.positions, again.positions, strict=True)), "kept once for all pictures"


def test_clicks_give_masks_of_the_pictures_size(model: SamModel) -> None:
    features = model.encode(pictures(8)[0])
    asked = [Clicks(((x, y),), (1,)) for x, y in ((0.2, 0.2), (0.5, 0.5), (0.8, 0.2), (0.2, 0.8))]
    answers = [model.segment(features, SIZE, clicks) for clicks in asked]
    for answer in answers:
        check(answer)
    assert len({a.mask.tobytes() for a in answers}) == len(answers), "other clicks, other masks"
    assert 0.01 < np.mean([a.mask.mean() for a in answers]) < 0.99


def test_another_size_only_scales_the_mask(model: SamModel) -> None:
    features = model.encode(pictures(8)[0])
    clicks = Clicks(((0.5, 0.5),), (1,))
    small, large = (model.segment(features, size, clicks) for size in (SIZE, (SIZE[0] * 2, SIZE[1] * 2)))
    assert large.mask.shape == (180, 320)
    assert iou(large.mask[::2, ::2], small.mask) > 0.6
    assert large.score == small.score


def test_boxes_negative_clicks_and_the_mask_before_all_count(model: SamModel) -> None:
    features = model.encode(pictures(8)[0])
    click = Clicks(((0.5, 0.5),), (1,))
    base = model.segment(features, SIZE, click)
    others = [
        Clicks(box=(0.1, 0.2, 0.3, 0.3)),
        Clicks(((0.5, 0.5),), (1,), box=(0.1, 0.2, 0.3, 0.3)),
        Clicks(((0.5, 0.5), (0.1, 0.9)), (1, 0)),
        Clicks(((0.5, 0.5), (0.1, 0.9)), (1, 1)),
        Clicks(((0.5, 0.5),), (1,), start=square(0.1, 0.1)),
        Clicks(((0.5, 0.5),), (0,), start=square(0.1, 0.1)),
        Clicks(start=square(0.1, 0.1)),
    ]
    answers = [base, *(model.segment(features, SIZE, clicks) for clicks in others)]
    for answer in answers:
        check(answer)
    # Logits differ with every prompt; of masks some may agree by chance.
    assert len({(a.mask.tobytes(), a.score) for a in answers}) == len(answers)


def test_a_lone_click_takes_the_best_of_three_masks(model: SamModel) -> None:
    decoder: Any = model._network.tracker.mask_decoder  # type: ignore[attr-defined]
    asked: list[tuple[bool, list[float]]] = []

    def listen(_: Any, __: Any, given: Mapping[str, Any], out: Any) -> None:
        asked.append((given["multimask_output"], out[1].flatten().tolist()))

    hook = decoder.register_forward_hook(listen, with_kwargs=True)
    features = model.encode(pictures(8)[0])
    lone = model.segment(features, SIZE, Clicks(((0.3, 0.4),), (1,)))
    model.segment(features, SIZE, Clicks(((0.3, 0.4),), (1,), box=(0.1, 0.1, 0.5, 0.5)))
    model.segment(features, SIZE, Clicks(((0.3, 0.4),), (1,), start=square(0.2, 0.2)))
    hook.remove()
    assert [several for several, _ in asked] == [True, False, False]
    assert len(asked[0][1]) == 3
    assert lone.score == pytest.approx(max(asked[0][1]))


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["dog", "red ball", "person", "a cup"])
def test_words_find_a_few_things_best_first(sam3: SamModel, text: str) -> None:
    finds = sam3.detect(sam3.encode(pictures(8)[0]), SIZE, text, [])
    assert 1 <= len(finds) <= 4
    for find in finds:
        check(find)
        assert find.mask.any()
        assert find.score > 0.5
    assert [f.score for f in finds] == sorted((f.score for f in finds), reverse=True)


def test_other_words_find_otherwise(sam3: SamModel) -> None:
    features = sam3.encode(pictures(8)[0])
    assert len({sam3.detect(features, SIZE, text, [])[0].mask.tobytes() for text in ("dog", "person", "a cup")}) == 3


def test_a_text_of_too_many_tokens_is_refused_by_detector_and_follower(sam3: SamModel) -> None:
    over = views(sam3)
    long = "a very long description of something"
    for call in (lambda: sam3.detect(over.features(0), SIZE, long, []), lambda: sam3.follow(over, long, HELD)):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.code == "text_too_long"
    # 30 letters, the start and the end: as many as the model takes.
    assert sam3.detect(over.features(0), SIZE, "abcdefghijklmnopqrstuvwxyzabcd", []) is not None


def test_an_empty_text_is_refused(sam3: SamModel) -> None:
    over = views(sam3)
    for call in (lambda: sam3.detect(over.features(0), SIZE, "  ", []), lambda: sam3.follow(over, "", HELD)):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.code == "empty_text"


def test_exemplar_boxes_change_what_is_found(sam3: SamModel) -> None:
    if not sam3.capabilities.exemplar:
        pytest.skip("needs torchvision")
    features = sam3.encode(pictures(8)[0])
    here, there = (Box((x, 0.2, 0.3, 0.4), exemplar=True) for x in (0.1, 0.6))
    alone = sam3.detect(features, SIZE, "", [here])
    for finds in (alone, sam3.detect(features, SIZE, "dog", [here, there])):
        for find in finds:
            check(find)


# --- tracking ----------------------------------------------------------------------------------


def test_a_tracker_follows_forward_and_backward(model: SamModel) -> None:
    for frames, reverse in ((range(8), False), (range(7, -1, -1), True)):
        tracker = model.track(views(model), HELD)
        tracker.add(4, {frames[0]: square(0.25, 0.25)})
        seen = [tracker.step(i, reverse=reverse) for i in frames]
        assert all(s.keys() == {4} for s in seen)
        for step in seen:
            check(step[4])
        assert any(step[4].mask.any() for step in seen[1:])


def test_objects_keep_their_places(models: Mapping[str, SamModel]) -> None:
    for kind in ("sam3", "sam2"):
        model = models[kind]
        tracker = model.track(views(model), HELD)
        left, right = square(0.125, 0.25, 0.25, 0.5), square(0.6, 0.4, 0.25, 0.25)
        tracker.add(1, {0: left})
        tracker.add(2, {0: right})
        last = [tracker.step(i, reverse=False) for i in range(8)][-1]
        assert iou(last[1].mask, left) > 0.6
        assert iou(last[2].mask, right) > 0.4
        assert iou(last[1].mask, last[2].mask) < 0.1


def test_a_given_mask_comes_back_itself(model: SamModel) -> None:
    odd = np.random.default_rng(0).random(SIZE) > 0.5
    tracker = model.track(views(model), HELD)
    tracker.add(3, {0: square(0.2, 0.2), 4: odd})
    seen = {i: tracker.step(i, reverse=False)[3] for i in range(6)}
    assert np.array_equal(seen[0].mask, square(0.2, 0.2))
    assert np.array_equal(seen[4].mask, odd)
    assert seen[4].score > 0.99


def test_a_speck_is_followed_too(model: SamModel) -> None:
    """On the model's small square it would vanish, and an empty mask says that nothing is there."""
    speck = np.zeros(SIZE, np.bool_)
    speck[44, 80] = True
    tracker = model.track(views(model), HELD)
    tracker.add(1, {0: speck})
    first = tracker.step(0, reverse=False)[1]
    assert first.score > 0.99
    assert np.array_equal(first.mask, speck)


def test_masks_on_later_and_earlier_frames_condition(models: Mapping[str, SamModel]) -> None:
    for kind in ("sam3", "sam2"):
        model = models[kind]
        here, there = square(0.125, 0.25, 0.25, 0.5), square(0.6, 0.25, 0.25, 0.5)
        alone = model.track(views(model), HELD)
        alone.add(1, {2: here})
        both = model.track(views(model), HELD)
        both.add(1, {2: here, 7: there})
        for index in (2, 3, 4):
            a, b = alone.step(index, reverse=False)[1], both.step(index, reverse=False)[1]
        assert iou(b.mask, there) > iou(a.mask, there) + 0.2, f"{kind}: the later mask is known before it is reached"


def test_masks_far_off_are_read_first_so_that_the_next_frame_is_still_encoded(sam3: SamModel) -> None:
    over = views(sam3, kept=1)
    tracker = sam3.track(over, HELD)
    tracker.add(1, {2: square(0.2, 0.2), 7: square(0.3, 0.2)})
    tracker.add(2, {2: square(0.6, 0.2), 0: square(0.6, 0.3)})
    tracker.step(2, reverse=False)
    assert over.encoded == [7, 0, 2]


def test_an_object_that_joins_later_leaves_the_others_alone(model: SamModel) -> None:
    alone = model.track(views(model), HELD)
    alone.add(1, {0: square(0.2, 0.2)})
    joined = model.track(views(model), HELD)
    joined.add(1, {0: square(0.2, 0.2)})
    for index in range(6):
        if index == 3:
            joined.add(2, {3: square(0.6, 0.5), 5: square(0.5, 0.5)})
        a, b = alone.step(index, reverse=False), joined.step(index, reverse=False)
        assert b.keys() == ({1} if index < 3 else {1, 2})
        assert iou(a[1].mask, b[1].mask) > 0.99


def test_the_same_id_again_starts_afresh(model: SamModel) -> None:
    fresh = model.track(views(model), HELD)
    used = model.track(views(model), HELD)
    used.add(1, {0: square(0.1, 0.1)})
    for index in range(3):
        used.step(index, reverse=False)
    for tracker in (fresh, used):
        tracker.add(1, {3: square(0.6, 0.5)})
    for index in range(3, 6):
        assert equal(fresh.step(index, reverse=False), used.step(index, reverse=False))


def test_a_removed_object_leaves_no_trace(model: SamModel) -> None:
    alone, both = (model.track(views(model), HELD) for _ in range(2))
    both.add(5, {0: square(0.6, 0.5)})
    for tracker in (alone, both):
        tracker.add(1, {0: square(0.2, 0.2)})
    both.add(9, {0: square(0.4, 0.1)})
    both.remove(404)
    for index in range(6):
        if index == 2:
            both.remove(5)
        if index == 4:
            both.remove(9)
        a, b = alone.step(index, reverse=False), both.step(index, reverse=False)
        assert set(b) == {1} | ({5} if index < 2 else set()) | ({9} if index < 4 else set())
        assert iou(a[1].mask, b[1].mask) > 0.99
    both.remove(1)
    assert both.step(6, reverse=False) == {}


def test_a_closed_tracker_holds_nothing(model: SamModel) -> None:
    tracker = model.track(views(model), HELD)
    tracker.add(1, {0: square(0.2, 0.2)})
    tracker.step(0, reverse=False)
    assert tracker.nbytes > 0
    tracker.close()
    tracker.close()
    assert tracker.nbytes == 0


def test_scores_are_the_frames_own(model: SamModel) -> None:
    tracker = model.track(views(model), HELD)
    tracker.add(1, {0: square(0.2, 0.2)})
    scores = [tracker.step(i, reverse=False)[1].score for i in range(8)]
    assert len(set(scores)) > 4


def test_two_runs_are_equal_bit_for_bit(model: SamModel) -> None:
    runs = []
    for _ in range(2):
        over = views(model)
        tracker = model.track(over, HELD)
        tracker.add(1, {0: square(0.2, 0.2)})
        tracker.add(2, {0: square(0.5, 0.5), 5: square(0.4, 0.4)})
        runs.append([tracker.step(i, reverse=False) for i in range(8)])
    assert all(equal(a, b) for a, b in zip(*runs, strict=True))


def test_a_tracker_turned_round_goes_on(model: SamModel) -> None:
    tracker = model.track(views(model, 40), 7)
    tracker.add(1, {0: square(0.2, 0.2)})
    for index in (*range(30), 20, 19, 25, 3, 2, 1):
        check(tracker.step(index, reverse=index < 20)[1])


# --- following a concept -------------------------------------------------------------------------


def test_a_follower_finds_and_follows(sam3: SamModel) -> None:
    for frames, reverse in ((range(8), False), (range(7, -1, -1), True)):
        follower = sam3.follow(views(sam3), "dog", HELD)
        seen = [follower.step(i, reverse=reverse) for i in frames]
        assert seen[0], "the answer comes with the frame"
        assert set(seen[0]) <= set(seen[-1])
        for step in seen:
            for found in step.values():
                check(found)
        assert any(f.mask.any() for f in seen[-1].values())
        assert len({next(iter(s.values())).score for s in seen}) > 4, "the frame's own score"


def test_finds_of_one_concept_do_not_overlap(sam3: SamModel) -> None:
    follower = sam3.follow(views(sam3), "red ball", HELD)
    for index in range(8):
        masks = [f.mask for f in follower.step(index, reverse=False).values()]
        assert np.sum(masks, axis=0).max() <= 1


def test_two_followers_and_a_tracker_share_one_encoder_pass_a_frame(sam3: SamModel) -> None:
    encoder: Any = sam3._network.model.detector_model.vision_encoder  # type: ignore[attr-defined]
    passes: list[int] = []
    hook = encoder.register_forward_hook(lambda *_: passes.append(1))
    over = views(sam3)
    first, second = sam3.follow(over, "dog", HELD), sam3.follow(over, "person", HELD)
    tracker = sam3.track(over, HELD)
    tracker.add(1, {0: square(0.2, 0.2)})
    for index in range(6):
        tracker.step(index, reverse=False)
        first.step(index, reverse=False)
        second.step(index, reverse=False)
        sam3.detect(over.features(index), SIZE, "a cup", [])
        sam3.segment(over.features(index), SIZE, Clicks(((0.5, 0.5),), (1,)))
    hook.remove()
    assert over.encoded == list(range(6))
    assert len(passes) == 6


def test_followers_and_trackers_side_by_side_are_as_alone(sam3: SamModel) -> None:
    def run(kinds: str) -> list[list[Mapping[int, Found]]]:
        over = views(sam3)
        made: list[Any] = []
        for kind in kinds:
            made.append(sam3.track(over, HELD) if kind == "t" else sam3.follow(over, kind, HELD))
            if kind == "t":
                made[-1].add(1, {0: square(0.2, 0.2)})
        return (
            [[one.step(i, reverse=False) for i in range(6)] for one in made]
            if len(made) == 1
            else list(map(list, zip(*([one.step(i, reverse=False) for one in made] for i in range(6)), strict=True)))
        )

    together = run("tdp")
    for kind, beside in zip("tdp", together, strict=True):
        (alone,) = run(kind)
        assert all(equal(a, b) for a, b in zip(alone, beside, strict=True))


# --- half the numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_as_on_gpus_gives_nearly_the_same(
    kind: str, models: Mapping[str, SamModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.engines.transformers import devices

    monkeypatch.setattr(devices, "numbers", lambda device: torch.bfloat16)
    half = load(str(make_checkpoint(tmp_path, kind)), "cpu", lambda stage: None)  # type: ignore[arg-type]
    full = models[kind]
    clicks = Clicks(((0.5, 0.5),), (1,))
    a, b = (m.segment(m.encode(pictures(8)[0]), SIZE, clicks) for m in (full, half))
    assert half.nbytes(half.encode(pictures(8)[0])) * 2 == full.nbytes(full.encode(pictures(8)[0]))
    assert iou(a.mask, b.mask) > 0.8
    for m in (full, half):
        tracker = m.track(views(m), HELD)
        tracker.add(1, {0: square(0.25, 0.25)})
        for index in range(3):
            check(tracker.step(index, reverse=False)[1])
    if half.capabilities.text:
        assert len(half.detect(half.encode(pictures(8)[0]), SIZE, "dog", [])) >= 1
        assert half.follow(views(half), "dog", HELD).step(0, reverse=False)


# --- memory --------------------------------------------------------------------------------------


def test_memory_errors_are_told_from_others(sam3: SamModel) -> None:
    assert sam3.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert sam3.is_out_of_memory(MemoryError())
    assert sam3.is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert not sam3.is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    sam3.release_memory()
