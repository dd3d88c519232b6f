"""What an engine makes of prompts on one frame."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from backend.domain import Box, MaskPrompt, Points, Prompt, Text
from backend.errors import Unsupported
from backend.masks import encode, mask_box
from tests.contract.engines.cases import Case
from tests.contract.engines.desk import SAME, Desk, by_id, same
from tests.contract.engines.scene import DISC, FACE, HEIGHT, WIDTH, click, inside
from tests.unit.engines.clips import Clip, iou

KINDS: Mapping[str, tuple[str, ...]] = {
    "point": ("points",),
    "points of both kinds": ("points",),
    "box": ("box",),
    "box with points": ("box", "points"),
    "mask": ("mask",),
    "stroke added": ("mask",),
    "stroke subtracted": ("mask",),
    "text": ("text",),
    "text with points": ("text", "points"),
    "exemplar": ("exemplar",),
    "text with exemplars": ("text", "exemplar"),
}
"""Kinds of prompts, and the capabilities that each needs."""


def box_of(scene: Clip, obj_id: int, frame: int = 0, **more: bool) -> Box:
    around = mask_box(scene.masks[obj_id][frame])
    assert around is not None
    return Box(around, **more)


def stroke(mode: str = "replace", left: int = 10) -> MaskPrompt:
    drawn = np.zeros((HEIGHT, WIDTH), np.bool_)
    drawn[20:30, left : left + 30] = True
    return MaskPrompt(encode(drawn), mode)  # type: ignore[arg-type]


def prompts_of(kind: str, word: str, scene: Clip) -> tuple[Prompt, ...]:
    face, disc = inside(scene.masks[FACE][0]), inside(scene.masks[DISC][0])
    made: Mapping[str, tuple[Prompt, ...]] = {
        "point": (click(scene.masks[DISC][0]),),
        "points of both kinds": (Points((face, disc), (1, 0)),),
        "box": (box_of(scene, DISC),),
        "box with points": (box_of(scene, FACE), Points((face, (0.99, 0.99)), (1, 0))),
        "mask": (stroke(),),
        "stroke added": (stroke("add"),),
        "stroke subtracted": (stroke("subtract"),),
        "text": (Text(word),),
        "text with points": (Text(word), Points((face,), (1,))),
        "exemplar": (box_of(scene, FACE, exemplar=True),),
        "text with exemplars": (Text(word), box_of(scene, FACE), box_of(scene, DISC, label=False)),
    }
    return made[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_prompt_is_answered_or_refused_before_anything_is_touched(case: Case, desk: Desk, kind: str):
    word = case.word if case.can.text else "face"
    prompts = prompts_of(kind, word, desk.clip)
    if all(getattr(case.can, need) for need in KINDS[kind]):
        # The desk checks types, shapes, ranges, boxes and ids of each answer.
        found = desk.ask(0, *prompts)
        # What random weights make of a click or a box may well be empty.
        if kind in ("mask", "stroke added", "text") or not (case.model or kind == "stroke subtracted"):
            assert found.masks.any()
        return
    held = desk.engine.memory_bytes(desk.handle)
    desk.clip.reads.clear()
    with pytest.raises(Unsupported) as caught:
        desk.engine.apply(desk.handle, desk.request(0, *prompts))
    # The sentence says what to do instead.
    assert str(caught.value).count(".") >= 2
    assert desk.clip.reads == []
    assert desk.engine.memory_bytes(desk.handle) == held


def test_one_kind_that_is_unknown_refuses_the_whole_request(case: Case, desk: Desk):
    if case.can.text and case.can.exemplar:
        pytest.skip(f"{case.name} knows every kind of prompt")
    unknown = Text("face") if not case.can.text else box_of(desk.clip, FACE, exemplar=True)
    desk.clip.reads.clear()
    with pytest.raises(Unsupported):
        desk.engine.apply(desk.handle, desk.request(0, click(desk.clip.masks[DISC][0]), unknown))
    assert desk.clip.reads == []


@pytest.mark.parametrize("frame", [0, 3, 5])
def test_prompts_are_answered_on_their_own_frame(desk: Desk, frame: int):
    desk.clip.reads.clear()
    desk.ask(frame, click(desk.clip.masks[DISC][frame]))
    assert set(desk.clip.reads) == {frame}


def test_a_new_object_gets_the_next_id_and_a_refined_one_keeps_its_own(desk: Desk):
    desk.next_obj_id = 5
    first = click(desk.clip.masks[DISC][0])
    assert desk.ask(0, first).obj_ids == (5,)
    assert desk.ask(0, click(desk.clip.masks[FACE][0])).obj_ids == (6,)
    further = Points(((0.7, 0.3),), (1,))
    assert desk.ask(0, further, obj_id=5, history=[first]).obj_ids == (5,)
    assert desk.next_obj_id == 7


def test_several_boxes_make_an_object_each(case: Case, desk: Desk):
    case.need("box")
    boxes = box_of(desk.clip, FACE), box_of(desk.clip, DISC)
    alone = [desk.engine.apply(desk.handle, desk.request(0, box)).masks for box in boxes]
    found = desk.ask(0, *boxes)
    # A new object that has no pixel is none.
    expected = [masks[0] for masks in alone if masks.any()]
    assert expected
    assert found.obj_ids == tuple(range(1, len(expected) + 1))
    assert all((mask == other).all() for mask, other in zip(found.masks, expected, strict=True))


def test_clicks_change_the_mask_that_they_refine(desk: Desk):
    first = click(desk.clip.masks[FACE][0])
    before = desk.ask(0, first)
    away = Points(tuple(inside(mask) for mask in (before.masks[0], desk.clip.masks[DISC][0])), (0, 0))
    after = desk.ask(0, away, obj_id=1, history=[first])
    assert (after.masks[0] != before.masks[0]).any()


def test_a_drawn_mask_stands_exactly(case: Case, desk: Desk):
    case.need("mask")
    drawn = desk.clip.masks[DISC][0]
    found = desk.ask(0, MaskPrompt(encode(drawn)))
    assert (found.masks[0] == drawn).all()


def test_strokes_add_to_what_was_there_and_take_from_it(case: Case, desk: Desk):
    case.need("mask")
    was = desk.clip.masks[FACE][0]
    desk.give(0, 1, was)
    one, other = np.zeros_like(was), np.zeros_like(was)
    one[:20, :30] = True
    other[10:60, 20:] = True
    added = desk.ask(0, MaskPrompt(encode(one), "add"), obj_id=1)
    assert (by_id(added)[1] == was | one).all()
    left = desk.ask(0, MaskPrompt(encode(other), "subtract"), obj_id=1)
    assert (by_id(left)[1] == (was | one) & ~other).all()


def test_an_object_that_was_wiped_out_is_listed_empty(case: Case, desk: Desk):
    case.need("mask")
    desk.give(0, 1, desk.clip.masks[FACE][0])
    everything = np.ones((HEIGHT, WIDTH), np.bool_)
    # That an empty mask has no box and no score is checked of every answer.
    found = desk.ask(0, MaskPrompt(encode(everything), "subtract"), obj_id=1)
    assert found.obj_ids == (1,)
    assert not found.masks.any()


def test_strokes_come_after_clicks(case: Case, desk: Desk):
    case.need("mask", "points")
    corner = np.zeros((HEIGHT, WIDTH), np.bool_)
    corner[-5:, -5:] = True
    found = desk.ask(0, click(desk.clip.masks[DISC][0]), MaskPrompt(encode(corner), "add"))
    assert found.obj_ids == (1,)
    assert found.masks[0][corner].all()
    assert (found.masks[0] & ~corner).any()


def test_the_same_request_gives_the_same_answer_whatever_came_before(case: Case, desk: Desk, fresh):
    asked = click(desk.clip.masks[DISC][2])
    alone = desk.ask(2, asked)
    busy = fresh()
    busy.ask(2, click(busy.clip.masks[FACE][2]))
    busy.ask(0, click(busy.clip.masks[FACE][0]))
    busy.known.clear()
    busy.next_obj_id = 1
    same([busy.ask(2, asked)], [alone])
    desk.known.clear()
    desk.next_obj_id = 1
    same([desk.ask(2, asked)], [alone])


# --- words ---------------------------------------------------------------------------------------


def test_words_make_objects_and_are_named_as_what_found_them(case: Case, desk: Desk):
    case.need("text")
    desk.next_obj_id = 4
    found = desk.ask(0, Text(case.word))
    assert found.obj_ids
    assert dict(found.born) == dict.fromkeys(found.obj_ids, case.word)
    masks = list(found.masks)
    assert all(mask.any() for mask in masks)
    assert all(iou(a, b) <= SAME for i, a in enumerate(masks) for b in masks[:i])


def test_a_click_is_born_of_no_words(desk: Desk):
    assert dict(desk.ask(0, click(desk.clip.masks[DISC][0])).born) == {}


def test_words_that_find_nothing_make_no_object(case: Case, desk: Desk):
    case.need("text")
    with case.blind() if case.model else nullcontext():
        found = desk.ask(0, Text("unicorn"))
    assert found.obj_ids == ()
    assert dict(found.born) == {}
    assert found.masks.shape == (0, HEIGHT, WIDTH)


def test_words_over_objects_that_are_there_make_no_others(case: Case, desk: Desk):
    case.need("text")
    if case.stand_in:
        pytest.skip("the stand-in looks at nothing")
    first = desk.ask(0, Text(case.word))
    again = desk.ask(0, Text(case.word))
    assert set(again.obj_ids) <= set(first.obj_ids)
    assert dict(again.born) == {}
    for obj_id, mask in by_id(again).items():
        assert (mask == by_id(first)[obj_id]).all()


def test_words_with_an_object_make_their_best_find_that_object(case: Case, desk: Desk):
    case.need("text")
    desk.give(0, 3, desk.clip.masks[DISC][0])
    best = replace(desk.request(0, Text(case.word)), others={})
    expected = desk.engine.apply(desk.handle, best).masks[0]
    found = desk.ask(0, Text(case.word), obj_id=3)
    assert found.obj_ids == (3,)
    assert (found.masks[0] == expected).all()


def test_a_click_beside_words_goes_to_the_find_under_it(case: Case, desk: Desk):
    case.need("text", "points")
    found = desk.engine.apply(desk.handle, desk.request(0, Text(case.word)))
    # A pixel that belongs to the last find alone.
    others = found.masks[:-1].any(axis=0)
    own = found.masks[-1] & ~others
    if not own.any():
        pytest.skip("the finds lie over each other")
    both = desk.ask(0, Text(case.word), Points((inside(own),), (1,)))
    assert both.obj_ids == found.obj_ids


def test_several_words_at_once_are_each_found(case: Case, desk: Desk, fresh):
    case.need("text", "multi_concept")
    if case.other_word is None:
        pytest.skip(f"{case.name} finds one word only")
    found = desk.ask(0, Text(case.word), Text(case.other_word))
    assert found.born
    alone = fresh().ask(0, Text(case.word))
    assert set(found.born.values()) <= {case.word, case.other_word}
    assert {i for i, words in found.born.items() if words == case.word} == set(alone.obj_ids)
