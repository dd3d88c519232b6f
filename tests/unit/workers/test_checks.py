"""What an engine yields is held against what it was asked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.domain import Box, DenseResult, Follow, Leg, Points, PromptRequest, Span, Text, Video
from backend.errors import EngineError
from backend.masks import encode
from backend.workers.checks import Expected, memory_of

VIDEO = Video("v", Path("v"), "v", 8, 6, Fraction(25), 20, 0.8)
EMPTY = encode(np.zeros((6, 8), np.bool_))
CLICK = Points(((0.5, 0.5),), (1,))


def dense(frame_index: int, *ids: int, **changes: Any) -> DenseResult:
    result = DenseResult(frame_index, ids, (0.5,) * len(ids), np.zeros((len(ids), 6, 8), np.bool_))
    return replace(result, **changes)


def span(*legs: Leg, follows: tuple[Follow, ...] = ()) -> Expected:
    return Expected.of_span(Span("both", legs, (1, 2), (), 5, follows))


def refused(expected: Expected, result: Any) -> None:
    with pytest.raises(EngineError) as caught:
        expected.take(result, VIDEO)
    assert caught.value.code == "engine_rubbish"


def test_a_run_s_frames_come_in_the_order_of_its_legs_all_of_them_and_no_more():
    expected = span(Leg(range(3, 5)), Leg(range(2, 0, -1), anchor=3))
    for frame_index in (3, 4, 2):
        assert expected.take(dense(frame_index, 1), VIDEO).frame_index == frame_index
    with pytest.raises(EngineError, match="before frame 1"):
        span(Leg(range(1, 2))).end()
    expected.take(dense(1), VIDEO)
    expected.end()
    refused(expected, dense(1))


@pytest.mark.parametrize("index", [0, 2, -1, 19, 1.0, "1", None, True, float("nan")])
def test_any_other_frame_is_refused(index: Any):
    refused(span(Leg(range(1, 4))), dense(index, 1))


def test_numpy_s_whole_numbers_are_taken_and_kept_as_plain_ones():
    frame = span(Leg(range(1))).take(dense(np.int64(0), np.int32(2)), VIDEO)
    assert type(frame.frame_index) is int
    assert type(frame.objects[0].obj_id) is int


def test_only_objects_that_were_asked_for_or_may_be_found_are_taken():
    refused(span(Leg(range(1))), dense(0, 3))
    refused(span(Leg(range(1))), dense(0, 5))
    looking = (Follow("cat", (0,)),)
    assert span(Leg(range(1)), follows=looking).take(dense(0, 1, 5), VIDEO).objects
    refused(span(Leg(range(1)), follows=looking), dense(0, 3))
    refused(span(Leg(range(1)), follows=looking), dense(0, 10**9))
    refused(span(Leg(range(1)), follows=(Follow("cat", (0,), (1,), find_new=False),)), dense(0, 5))
    refused(span(Leg(range(1))), dense(0, 1, 1))


def test_a_prompt_writes_its_object_and_new_ones_and_words_may_find_those_that_are_there():
    def expected(*prompts: Any, obj_id: int | None = None) -> Expected:
        return Expected.of_prompt(PromptRequest(4, prompts, obj_id, 7, others={3: EMPTY}))

    assert expected(CLICK, obj_id=2).take(dense(4, 2), VIDEO).objects
    assert expected(CLICK).take(dense(4, 7), VIDEO).objects
    refused(expected(CLICK, obj_id=2), dense(4, 3))
    refused(expected(CLICK, obj_id=2), dense(5, 2))
    assert expected(Text("cat")).take(dense(4, 3, 7), VIDEO).objects
    assert expected(Box((0.1, 0.1, 0.2, 0.2), exemplar=True)).take(dense(4, 3), VIDEO).objects
    refused(expected(Box((0.1, 0.1, 0.2, 0.2))), dense(4, 3))


@pytest.mark.parametrize(
    "changes",
    [
        {"masks": np.zeros((1, 8, 6), np.bool_)},
        {"masks": np.zeros((2, 6, 8), np.bool_)},
        {"masks": np.zeros((1, 6, 8), np.uint8)},
        {"masks": np.zeros((1, 6, 8), object)},
        {"masks": [[True]]},
        {"masks": None},
        {"scores": ()},
        {"scores": (0.5, 0.5)},
        {"scores": (float("nan"),)},
        {"scores": (float("inf"),)},
        {"scores": ("high",)},
        {"scores": None},
        {"scores": (None,)},
        {"obj_ids": None},
        {"obj_ids": (1.5,)},
        {"obj_ids": ("1",)},
        {"born": {2: "cat"}},
        {"born": {1: None}},
        {"born": {1: "x" * 1000}},
        {"born": None},
    ],
)
def test_what_no_client_could_use_is_refused(changes: dict[str, Any]):
    refused(span(Leg(range(1))), dense(0, 1, **changes))


def test_nothing_at_all_is_refused():
    refused(span(Leg(range(1))), None)


@pytest.mark.parametrize("value", [-1, 1.5, float("nan"), None, "much", True])
def test_a_size_that_is_none_is_refused(value: Any):
    with pytest.raises(EngineError):
        memory_of(value)
    assert memory_of(np.int64(7)) == 7
