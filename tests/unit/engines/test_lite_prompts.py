"""The embedded engine's clicks, boxes, strokes and words."""

from __future__ import annotations

import numpy as np
import pytest

from backend.domain import BoolMask, Box, DenseResult, MaskPrompt, Points, Prompt, PromptRequest, Rle, Snapshot, Text
from backend.engines.lite import LiteEngine
from backend.errors import EngineError, InvalidInput, Unsupported
from backend.masks import encode, mask_box
from tests.unit.engines.clips import Clip, crossing_clip, easy_clip, iou, make_clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    """One frame with a red shape (1) and a blue one (2)."""
    return crossing_clip(1)


def ask(
    engine: LiteEngine,
    clip: Clip,
    *prompts: Prompt,
    obj_id: int | None = None,
    history: tuple[Prompt, ...] = (),
    current: BoolMask | None = None,
    others: dict[int, BoolMask] | None = None,
) -> DenseResult:
    seen: dict[int, Rle] = {i: encode(m) for i, m in (others or {}).items()}
    now = None if current is None else encode(current)
    handle = engine.open(clip.video, clip, Snapshot())
    result = engine.apply(handle, PromptRequest(0, prompts, obj_id, 10, history, now, seen))
    engine.close(handle)
    assert result.masks.shape == (len(result.obj_ids), *clip.pictures[0].shape[:2])
    assert result.masks.dtype == np.bool_
    assert all(0 <= s <= 1 for s in result.scores)
    return result


def click(*points: tuple[float, float, int], replace: bool = False) -> Points:
    """Clicks in pixels of the 240 × 180 clip."""
    return Points(tuple(((x + 0.5) / 240, (y + 0.5) / 180) for x, y, _ in points), tuple(p[2] for p in points), replace)


def whole_box(mask: BoolMask) -> Box:
    box = mask_box(mask)
    assert box is not None
    return Box(box)


def test_a_click_finds_the_object(engine: LiteEngine, clip: Clip) -> None:
    result = ask(engine, clip, click((50, 85, 1)))
    assert result.obj_ids == (10,)
    assert iou(result.masks[0], clip.masks[1][0]) > 0.8
    assert result.scores[0] > 0.5


def test_a_box_finds_the_object_in_it(engine: LiteEngine, clip: Clip) -> None:
    result = ask(engine, clip, whole_box(clip.masks[2][0]))
    assert result.obj_ids == (10,)
    assert iou(result.masks[0], clip.masks[2][0]) > 0.8


def test_boxes_make_one_object_each_and_points_another(engine: LiteEngine, clip: Clip) -> None:
    boxes = [whole_box(clip.masks[i][0]) for i in (1, 2)]
    result = ask(engine, clip, *boxes, click((120, 20, 1)))
    assert result.obj_ids == (10, 11, 12)
    assert iou(result.masks[0], clip.masks[1][0]) > 0.8
    assert iou(result.masks[1], clip.masks[2][0]) > 0.8


def test_clicked_pixels_are_honoured(engine: LiteEngine, clip: Clip) -> None:
    rng = np.random.default_rng(3)
    mask: BoolMask | None = None
    held: tuple[Prompt, ...] = ()
    for _ in range(5):
        x, y, label = int(rng.integers(240)), int(rng.integers(180)), int(rng.integers(2))
        new = click((x, y, label))
        result = ask(engine, clip, new, obj_id=4, history=held, current=mask)
        assert result.obj_ids == (4,)
        assert bool(result.masks[0][y, x]) == bool(label)
        mask, held = result.masks[0], (*held, new)


def test_a_click_acts_near_itself_only(engine: LiteEngine, clip: Clip) -> None:
    first = click((50, 85, 1))
    start = clip.masks[1][0].copy()
    start[60:110, 20:34] = False
    grown = ask(engine, clip, click((28, 85, 1)), obj_id=1, history=(first,), current=start).masks[0]
    assert not (start & ~grown).any()
    assert iou(grown, clip.masks[1][0]) > iou(start, clip.masks[1][0])
    start = clip.masks[1][0] | clip.masks[2][0]
    cut = ask(engine, clip, click((190, 100, 0)), obj_id=1, history=(first,), current=start).masks[0]
    assert not (cut & ~start).any()
    assert iou(cut, clip.masks[1][0]) > 0.85


def test_a_click_takes_nothing_from_others_unless_on_them(engine: LiteEngine, clip: Clip) -> None:
    others = {2: clip.masks[2][0]}
    result = ask(engine, clip, click((50, 85, 1), (120, 90, 1)), others=others)
    assert not (result.masks[0] & others[2]).any()
    result = ask(engine, clip, click((190, 100, 1)), others=others)
    assert iou(result.masks[0], others[2]) > 0.8


def test_strokes_are_exact_and_come_last(engine: LiteEngine, clip: Clip) -> None:
    brush, rubber = np.zeros((2, 180, 240), np.bool_)
    brush[3:9, 200:230] = True
    rubber[80:90, 45:55] = True
    strokes = MaskPrompt(encode(brush), "add"), MaskPrompt(encode(rubber), "subtract")
    plain = ask(engine, clip, click((50, 85, 1))).masks[0]
    result = ask(engine, clip, *strokes, click((50, 85, 1))).masks[0]
    assert np.array_equal(result, (plain | brush) & ~rubber)
    alone = ask(engine, clip, *strokes, obj_id=1, current=plain)
    assert np.array_equal(alone.masks[0], (plain | brush) & ~rubber)
    replaced = ask(engine, clip, MaskPrompt(encode(brush)), obj_id=1, current=plain)
    assert np.array_equal(replaced.masks[0], brush)
    assert replaced.scores == (1.0,)
    rubbed = ask(engine, clip, MaskPrompt(encode(plain), "subtract"), obj_id=1, current=plain)
    assert rubbed.obj_ids == (1,)
    assert not rubbed.masks.any()


def test_a_stroke_outlives_later_clicks(engine: LiteEngine, clip: Clip) -> None:
    rubber = np.zeros((180, 240), np.bool_)
    rubber[80:90, 45:55] = True
    first = click((50, 85, 1))
    mask = ask(engine, clip, first).masks[0] & ~rubber
    held = first, MaskPrompt(encode(rubber), "subtract")
    after = ask(engine, clip, click((190, 100, 1)), obj_id=1, history=held, current=mask).masks[0]
    assert not (after & rubber).any()


def test_replacing_clicks_starts_over(engine: LiteEngine, clip: Clip) -> None:
    first = click((50, 85, 1))
    current = ask(engine, clip, first).masks[0]
    again = click((190, 100, 1), replace=True)
    result = ask(engine, clip, again, obj_id=1, history=(first,), current=current)
    assert iou(result.masks[0], clip.masks[2][0]) > 0.8


def test_the_same_request_gives_the_same_mask(engine: LiteEngine, clip: Clip) -> None:
    for prompt in (click((50, 85, 1)), whole_box(clip.masks[2][0])):
        first, second = (ask(engine, clip, prompt) for _ in range(2))
        assert np.array_equal(first.masks, second.masks)
        assert first.scores == second.scores


def test_a_new_object_needs_a_pixel(engine: LiteEngine, clip: Clip) -> None:
    assert ask(engine, clip, click((50, 85, 0))).obj_ids == ()


@pytest.mark.parametrize("text", ["unicorn", "person in red shirt", "Faces", "the dogs", "bus"])
def test_words_that_find_nothing(engine: LiteEngine, clip: Clip, text: str) -> None:
    result = ask(engine, clip, Text(text))
    assert result.obj_ids == ()
    assert result.masks.shape == (0, 180, 240)


def test_a_text_with_a_box_takes_the_box_for_one(engine: LiteEngine, clip: Clip) -> None:
    result = ask(engine, clip, Text("red thing"), whole_box(clip.masks[1][0]))
    assert iou(result.masks[0], clip.masks[1][0]) > 0.8


def test_clicks_beside_words_that_find_nothing_start_an_object(engine: LiteEngine, clip: Clip) -> None:
    result = ask(engine, clip, Text("unicorn"), click((50, 85, 1)))
    assert result.obj_ids == (10,)
    assert iou(result.masks[0], clip.masks[1][0]) > 0.8


def test_what_it_says_it_cannot_do(engine: LiteEngine, clip: Clip) -> None:
    assert engine.info.capabilities.words
    with pytest.raises(Unsupported):
        ask(engine, clip, Box((0.1, 0.1, 0.5, 0.5), exemplar=True))
    with pytest.raises(InvalidInput):
        ask(engine, clip, MaskPrompt(encode(np.ones((5, 5), np.bool_))))


def test_a_reader_that_fails_becomes_an_engine_error(engine: LiteEngine) -> None:
    clip = easy_clip(1)
    handle = engine.open(clip.video, clip, Snapshot())
    with pytest.raises(EngineError):
        engine.apply(handle, PromptRequest(7, (click((1, 1, 1)),), None, 1))
    engine.close(handle)
    with pytest.raises(EngineError):
        engine.apply(handle, PromptRequest(0, (click((1, 1, 1)),), None, 1))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (24, 32), (700, 5), (1080, 1921)])
def test_odd_sizes(engine: LiteEngine, height: int, width: int) -> None:
    clip = make_clip([], 1, height, width)
    result = ask(engine, clip, Points(((0.5, 0.5), (1.0, 1.0)), (1, 0)))
    assert height * width == 1 or result.masks[0, height // 2, width // 2]
    assert ask(engine, clip, Box((0.0, 0.0, 1.0, 1.0))).masks.shape[1:] == (height, width)
    assert ask(engine, clip, Box((0.4, 0.4, 0.01, 0.01))).masks.shape[1:] == (height, width)
    ask(engine, clip, Text("face"))
