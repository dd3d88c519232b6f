"""The embedded engine's words: what a text means, and which of several finds it chooses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.domain import BoolMask, Box, Image, PromptRequest, Snapshot, Text
from backend.engines.lite import LiteEngine
from backend.engines.lite.agreement import agreed
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.clicknet import ClickNetwork
from backend.engines.lite.evidence import Evidence, Sight, Survey
from backend.engines.lite.filters import FILTERS, Filters, chosen, colour_shares
from backend.engines.lite.finds import box_of
from backend.engines.lite.nouns import NOUNS
from backend.engines.lite.still import Still
from backend.engines.lite.words import WORDS, chance, known_word, understood
from tests.unit.engines.clips import Clip, crossing_clip, iou, texture

CLASSES = 1000


class Seer:
    """Stands for the classifier: sees a class where the picture is red."""

    def __init__(self, number: int) -> None:
        self._number = number

    def activations(self, picture: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        small = cv2.resize(picture, (9, 9), interpolation=cv2.INTER_AREA).astype(np.float32)
        out = np.zeros((9, 9, CLASSES), np.float32)
        out[..., self._number] = (small[..., 0] - small[..., 2]) / 8
        return out


def painted(*things: tuple[int, int, int, int, tuple[int, int, int]]) -> tuple[Image, list[BoolMask]]:
    """A grey picture of 200 × 100 with rectangles (x0, y0, x1, y1, colour), and their masks."""
    picture = np.full((100, 200, 3), 128, np.uint8)
    masks = []
    for x0, y0, x1, y1, colour in things:
        mask = np.zeros((100, 200), np.bool_)
        mask[y0:y1, x0:x1] = True
        picture[mask] = colour
        masks.append(mask)
    return picture, masks


def filters(*words: str) -> Filters:
    out = Filters()
    for word in words:
        out = out.also(word)
    return out


@pytest.mark.parametrize(
    ("text", "word"),
    [("dogs", "dog"), ("buses", "bus"), ("puppies", "dog"), ("plane", "airplane"), ("face", "face"), ("s", None)],
)
def test_known_words(text: str, word: str | None) -> None:
    assert known_word(text) == word


def test_every_advertised_word_is_known() -> None:
    assert all(known_word(word) == word for word in WORDS)
    assert not FILTERS & {part for word in WORDS for part in word.split()}


@pytest.mark.parametrize(
    ("text", "word", "means"),
    [
        ("the Dogs", "dog", filters()),
        ("a plane.", "airplane", filters()),
        ("The red bus on the left!", "bus", filters("red", "left")),
        ("largest face", "face", filters("largest")),
        ("small white dog", "dog", filters("small", "white")),
        ("black and white cat", "cat", filters("black", "white")),
        ("left-hand traffic lights", "traffic light", filters("left")),
        ("gray elephant in the centre", "elephant", filters("grey", "middle")),
    ],
)
def test_what_a_text_means(text: str, word: str, means: Filters) -> None:
    wanted = understood(text)
    assert wanted is not None
    assert (wanted.word, wanted.filters) == (word, means)


@pytest.mark.parametrize(
    "text", ["", " ", "red", "unicorn", "red unicorn", "dog collar", "not a dog", "dog with a hat", "the", "dog cat"]
)
def test_one_unknown_word_is_enough_to_mean_nothing(text: str) -> None:
    assert understood(text) is None


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((200, 30, 30), "red"),
        ((240, 130, 20), "orange"),
        ((240, 215, 50), "yellow"),
        ((40, 140, 60), "green"),
        ((40, 80, 190), "blue"),
        ((120, 50, 160), "purple"),
        ((245, 160, 190), "pink"),
        ((110, 70, 40), "brown"),
        ((20, 20, 22), "black"),
        ((240, 240, 235), "white"),
        ((128, 130, 128), "grey"),
    ],
)
def test_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    picture, (mask,) = painted((20, 20, 80, 80, rgb))
    shares = colour_shares(picture, mask)
    assert shares[name] == 1
    assert [n for n, share in shares.items() if share > 0.5] == [name]


def test_colours_keep_what_is_mostly_of_them() -> None:
    red, blue, black, white = (200, 30, 30), (40, 80, 190), (15, 15, 15), (245, 245, 245)
    picture, masks = painted((10, 10, 60, 60, red), (100, 10, 150, 60, blue), (10, 70, 30, 90, black))
    assert chosen(filters(), picture, masks) == [0, 1, 2]
    assert chosen(filters("red"), picture, masks) == [0]
    assert chosen(filters("blue"), picture, masks) == [1]
    assert chosen(filters("green"), picture, masks) == []
    picture[70:90, 10:20] = white
    assert chosen(filters("black", "white"), picture, masks) == [2]
    assert chosen(filters("black", "red"), picture, masks) == []


def test_sizes_and_places_keep_one() -> None:
    grey = (90, 90, 90)
    picture, masks = painted((5, 5, 35, 35, grey), (90, 40, 110, 60, grey), (150, 60, 190, 95, grey))
    assert chosen(filters("largest"), picture, masks) == [2]
    assert chosen(filters("smallest"), picture, masks) == [1]
    assert chosen(filters("left"), picture, masks) == [0]
    assert chosen(filters("rightmost"), picture, masks) == [2]
    assert chosen(filters("top"), picture, masks) == [0]
    assert chosen(filters("bottom", "right"), picture, masks) == [2]
    assert chosen(filters("upper", "left"), picture, masks) == [0]
    assert chosen(filters("middle"), picture, masks) == [1]
    assert chosen(filters("largest", "left"), picture, masks) == [0]
    assert chosen(filters("small", "right"), picture, masks) == [1]
    assert chosen(filters("large"), picture, []) == []


def test_a_thing_alone_has_to_be_on_the_side_named() -> None:
    picture, masks = painted((5, 40, 45, 60, (90, 90, 90)))
    assert chosen(filters("left"), picture, masks) == [0]
    assert chosen(filters("right"), picture, masks) == []
    assert chosen(filters("middle"), picture, masks) == []


def test_empty_masks_are_never_chosen() -> None:
    picture, masks = painted((5, 5, 35, 35, (200, 30, 30)))
    assert chosen(filters(), picture, [np.zeros_like(masks[0]), masks[0]]) == [1]


def test_nouns_are_classes_that_there_are() -> None:
    for noun in NOUNS.values():
        assert len(noun.numbers)
        assert len(set(noun.numbers.tolist())) == len(noun.numbers)
        assert noun.numbers.min() >= 0
        assert noun.numbers.max() < CLASSES
        assert 0 < noun.bar < 1
    spoken = [*WORDS, *(also for noun in NOUNS.values() for also in noun.also)]
    assert len(set(spoken)) == len(spoken)


@pytest.mark.parametrize(("height", "width"), [(180, 320), (300, 200), (1080, 1920), (1, 1), (3, 400)])
def test_the_heart_of_the_evidence_is_where_the_thing_is(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    y0, y1, x0, x1 = height // 2, height * 9 // 10 + 1, width // 10, width * 4 // 10 + 1
    picture[y0:y1, x0:x1] = (220, 40, 40)
    survey = Survey(Seer(7), picture)  # type: ignore[arg-type]
    nobodys = np.zeros((height, width), np.bool_)
    sight = Evidence(survey, np.array([7])).sight(nobodys)
    for x, y in (sight.heart, sight.close_heart):
        assert min(height, width) < 100 or (x0 <= x < x1 and y0 <= y < y1)
        assert 0 <= x < width
        assert 0 <= y < height
    left, top, right, low = sight.box
    assert 0 <= left < right <= width
    assert 0 <= top < low <= height
    other = Evidence(survey, np.array([8])).sight(nobodys)
    assert other.evidence < sight.evidence <= 1


def test_the_next_thing_is_outside_what_is_taken() -> None:
    picture = np.full((240, 480, 3), 90, np.uint8)
    picture[80:160, 60:140] = (220, 40, 40)
    picture[80:160, 340:420] = (220, 40, 40)
    evidence = Evidence(Survey(Seer(7), picture), np.array([7]))  # type: ignore[arg-type]
    taken = np.zeros((240, 480), np.bool_)
    first = evidence.sight(taken).heart[0]
    taken[:, :240] = first < 240
    taken[:, 240:] = first >= 240
    assert (evidence.sight(taken).heart[0] < 240) is (first >= 240)


def test_prompts_that_agree_give_the_mask(tmp_path_factory: pytest.TempPathFactory) -> None:
    clip = crossing_clip(1)
    cache = tmp_path_factory.mktemp("words")
    still = Still(clip.pictures[0], Backbone(cache), ClickNetwork(cache))
    truth = clip.masks[1][0]
    nobodys = np.zeros_like(truth)
    cut, agreement = agreed(still, Sight((50, 85), (45, 80), box_of(truth), 0.9), nobodys)
    assert iou(cut.mask, truth) > 0.8
    assert agreement > 0.8
    _, apart = agreed(still, Sight((50, 85), (190, 100), (100, 5, 140, 40), 0.9), nobodys)
    assert apart < 0.3
    assert agreed(still, Sight((50, 85), (45, 80), box_of(truth), 0.9), truth)[1] == 0


def test_a_score_grows_with_what_speaks_for_a_find() -> None:
    assert 0 < chance(1, 0) < chance(1, 0.5) < chance(1.5, 0.5) < chance(2, 1) < 1
    assert chance(1.5, 0.6, later=True) < chance(1.5, 0.6)


def ask(engine: LiteEngine, clip: Clip, text: str, *boxes: Box) -> tuple[int, ...]:
    handle = engine.open(clip.video, clip, Snapshot())
    result = engine.apply(handle, PromptRequest(0, (Text(text), *boxes), None, 10))
    engine.close(handle)
    assert result.masks.shape == (len(result.obj_ids), *clip.pictures[0].shape[:2])
    assert all(0 <= s <= 1 for s in result.scores)
    return result.obj_ids


@pytest.mark.parametrize(
    "text", ["unicorn", "red", "person in red shirt", "Faces", "the dogs", "largest red bus", *WORDS]
)
def test_words_find_nothing_where_nothing_is(engine: LiteEngine, text: str) -> None:
    plain = Clip([texture(4, 180, 240, (90, 120, 80), 30)], {})
    assert ask(engine, plain, text) == ()


def test_the_engine_says_what_it_knows(engine: LiteEngine) -> None:
    can = engine.info.capabilities
    assert can.words == WORDS
    assert set(can.filters) == FILTERS
