"""The contract held against the engine, the weights and the GPU that the settings name: `make gpu-check`.

Everywhere else each of these says why it is skipped. `GPU_CHECK=anyway` holds what random weights can
hold against whatever engine there is, on the CPU too.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from backend.domain import BoolMask, Box, DenseResult, Leg, MaskPrompt, Points, Prompt, Text
from backend.engines.base import Engine
from backend.engines.devices import gpus
from backend.errors import EngineError
from backend.masks import encode, mask_box
from backend.sessions.ranges import legs, remaining
from backend.settings import Settings
from benchmarks.gpu_check import CHECK, loaded
from tests.contract.engines.desk import Desk, by_id, scores
from tests.contract.engines.scene import click, inside
from tests.contract.engines.test_memory import full
from tests.unit.engines.clips import Clip, iou

ASKED = os.environ.get(CHECK, "")
RUNS = bool(ASKED) and (ASKED == "anyway" or bool(gpus()))

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not RUNS, reason="needs an NVIDIA GPU and a model's weights: make gpu-check"),
]
trained = pytest.mark.skipif(ASKED == "anyway", reason="needs real weights")

HEIGHT, WIDTH, FRAMES = 360, 640, 12
DISC, SQUARE = 1, 2


def make_clip() -> Clip:
    """A red disc that moves right and a blue square that moves up, on a plain ground."""
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    clip = Clip([], {DISC: [], SQUARE: []})
    for frame in range(FRAMES):
        picture = np.full((HEIGHT, WIDTH, 3), (70, 110, 70), np.uint8)
        disc = (columns - 150 - 6 * frame) ** 2 + (rows - 180) ** 2 < 60**2
        square = np.zeros((HEIGHT, WIDTH), np.bool_)
        square[220 - 4 * frame : 310 - 4 * frame, 430:520] = True
        picture[disc], picture[square] = (220, 40, 40), (40, 60, 200)
        clip.pictures.append(picture)
        clip.masks[DISC].append(disc)
        clip.masks[SQUARE].append(square)
    return clip


@pytest.fixture(scope="module")
def engine() -> Engine:
    engine, _ = loaded(Settings(), anyway=ASKED == "anyway")
    return engine


@pytest.fixture
def desk(engine: Engine) -> Iterator[Desk]:
    desk = Desk(engine, make_clip())
    yield desk
    desk.close()


def drawn(desk: Desk) -> Desk:
    """The desk with both objects drawn on the first frame."""
    for obj_id in (DISC, SQUARE):
        desk.give(0, obj_id, desk.clip.masks[obj_id][0])
    return desk


def alike(one: Sequence[DenseResult], other: Sequence[DenseResult]) -> None:
    """Assert that two runs gave nearly the same: a GPU does not add up in the same order each time."""
    assert [(r.frame_index, r.obj_ids) for r in one] == [(r.frame_index, r.obj_ids) for r in other]
    overlaps = [
        iou(a, b) for r, s in zip(one, other, strict=True) for a, b in zip(r.masks, s.masks, strict=True) if a.any()
    ]
    assert overlaps
    assert np.mean(overlaps) >= 0.95


def box_of(mask: BoolMask) -> Box:
    around = mask_box(mask)
    assert around is not None
    return Box(around)


def test_prompts_of_all_kinds_one_after_the_other_keep_every_object(engine: Engine, desk: Desk):
    square, disc = desk.clip.masks[SQUARE][0], desk.clip.masks[DISC][0]
    asked: list[Prompt] = [click(disc), MaskPrompt(encode(square)), box_of(square), Points((inside(disc),), (1,))]
    if engine.info.capabilities.text:
        asked[1:1] = [Text("red circle")]
        asked.append(Text("blue square"))
    everybody: set[int] = set()
    for prompt in asked:
        # The desk checks types, shapes, ranges, boxes and ids of each answer.
        everybody |= set(desk.ask(0, prompt).obj_ids)
    assert everybody
    for result in desk.run(desk.span()):
        assert everybody <= set(result.obj_ids)


def test_every_frame_comes_once_in_both_directions(desk: Desk):
    desk.give(5, 1, desk.clip.masks[DISC][5])
    results = desk.run(desk.span("both", 5))
    assert [r.frame_index for r in results] == [*range(5, FRAMES), *range(4, -1, -1)]
    assert all(r.obj_ids == (1,) for r in results)


def test_a_run_that_was_cancelled_goes_on_and_loses_no_frame(desk: Desk):
    whole = drawn(desk).run(desk.span())
    run = desk.step(desk.span())
    first = list(itertools.islice(run, 5))
    run.close()  # type: ignore[attr-defined]
    desk.keep(first)
    rest = desk.run(desk.span(over=remaining(legs("forward", 0, FRAMES), 5)))
    assert [r.frame_index for r in [*first, *rest]] == [r.frame_index for r in whole]
    alike(first, whole[:5])


def test_a_state_built_again_from_stored_masks_goes_on_alike(desk: Desk):
    desk.keep(drawn(desk).run(desk.span("forward", 0, 6)))
    goes_on = desk.span(over=(Leg(range(6, FRAMES), anchor=5),))
    expected = desk.run(goes_on)
    again = desk.again()
    alike(again.run(goes_on), expected)
    again.close()


def test_two_sessions_step_by_step_are_like_two_one_after_the_other(engine: Engine, desk: Desk):
    other = Desk(engine, make_clip())
    other.give(2, 1, other.clip.masks[SQUARE][2])
    spans = drawn(desk).span(), other.span("forward", 2)
    alone = desk.run(spans[0]), other.run(spans[1])
    mixed = list(itertools.zip_longest(desk.step(spans[0]), other.step(spans[1])))
    alike([m[0] for m in mixed], alone[0])
    alike([m[1] for m in mixed if m[1] is not None], alone[1])
    other.close()


def test_a_score_follows_the_object(desk: Desk):
    given = [scores(r)[DISC] for r in drawn(desk).run(desk.span()) if by_id(r)[DISC].any()]
    assert len(set(given)) > 2


def test_a_full_memory_is_an_answer_and_the_next_attempt_is_as_before(engine: Engine, desk: Desk):
    before = drawn(desk).run(desk.span())
    with full(engine), pytest.raises(EngineError) as raised:
        desk.run(desk.span())
    assert raised.value.code == "out_of_memory"
    alike(desk.run(desk.span()), before)


def test_what_was_held_comes_back(engine: Engine, desk: Desk):
    drawn(desk).run(desk.span())
    assert engine.memory_bytes(desk.handle) > 0
    desk.close()
    assert engine.memory_bytes(desk.handle) == 0


@pytest.mark.skipif(ASKED == "anyway", reason="needs a GPU")
def test_it_runs_on_the_gpu_in_the_numbers_that_suit_it(engine: Engine):
    import torch

    assert torch.cuda.memory_allocated() > 100e6
    model = vars(engine)["_model"]
    features = model.encode(make_clip().pictures[0])
    assert model.nbytes(features) < 150e6
    if engine.info.name == "transformers" and torch.cuda.is_bf16_supported(including_emulation=False):
        assert features.maps[0].dtype == torch.bfloat16


@trained
def test_a_click_and_a_box_cut_out_what_they_mean(desk: Desk):
    for obj_id in (DISC, SQUARE):
        mask = desk.clip.masks[obj_id][0]
        for prompt in (click(mask), box_of(mask)):
            assert iou(desk.engine.apply(desk.handle, desk.request(0, prompt)).masks[0], mask) > 0.85


@trained
def test_words_find_what_they_name(engine: Engine, desk: Desk):
    if not engine.info.capabilities.text:
        pytest.skip("this checkpoint knows no words")
    found = desk.ask(0, Text("red circle"))
    assert max(iou(mask, desk.clip.masks[DISC][0]) for mask in found.masks) > 0.85


@trained
def test_objects_are_really_followed(desk: Desk):
    for result in drawn(desk).run(desk.span()):
        for obj_id in (DISC, SQUARE):
            assert iou(by_id(result)[obj_id], desk.clip.masks[obj_id][result.frame_index]) > 0.8
