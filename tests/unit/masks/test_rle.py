"""Run-length codes: exact against pycocotools' own way, and safe with hostile strings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from backend.domain import BoolMask, Rle
from backend.errors import InvalidInput
from backend.masks import area, decode, empty, encode, parse
from backend.masks.rle import runs

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(masks)
def test_codes_are_those_of_pycocotools_and_come_back(mask: BoolMask) -> None:
    rle = encode(mask)
    assert rle.counts == coco.encode(np.asfortranarray(mask.view(np.uint8)))["counts"].decode()
    assert rle.size == list(mask.shape)
    back = decode(rle)
    assert back.dtype == np.bool_
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, mask)
    assert area(rle) == mask.sum()


@given(masks)
def test_a_mask_need_not_be_contiguous(mask: BoolMask) -> None:
    assert encode(mask[::2, ::-1]) == encode(np.ascontiguousarray(mask[::2, ::-1]))
    np.testing.assert_array_equal(decode(encode(mask.T)), mask.T)


@given(masks)
def test_runs_read_what_pycocotools_wrote(mask: BoolMask) -> None:
    lengths = runs(encode(mask).counts)
    assert sum(lengths) == mask.size
    assert sum(lengths[1::2]) == mask.sum()
    assert parse(encode(mask).counts, *mask.shape) == encode(mask)


def test_long_runs_survive() -> None:
    mask = np.zeros((1080, 1920), np.bool_)
    mask[3, 5] = mask[1079, 1919] = True
    assert parse(encode(mask).counts, 1080, 1920) == encode(mask)
    np.testing.assert_array_equal(decode(encode(mask)), mask)


def test_empty() -> None:
    rle = empty(7, 9)
    assert area(rle) == 0
    assert not decode(rle).any()
    assert decode(rle).shape == (7, 9)


@pytest.mark.parametrize(
    "counts",
    ["", "!!!", "hello world", "\x00", "é", "ooooooooooooooooooo", "o", "0" * 50, "@", "  ", "O" * 40, "1\n", "😀"],
    ids=lambda counts: ascii(counts)[:12],
)
def test_hostile_strings_are_refused(counts: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(counts, 10, 10)
    assert caught.value.code == "invalid_mask"


def test_a_mask_of_another_size_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidInput, match="covers 120 pixels, the frame has 99"):
        parse(encode(np.ones((10, 12), np.bool_)).counts, 9, 11)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30), st.integers(1, 30), st.integers(1, 30))
def test_whatever_parse_accepts_is_safe_to_decode(counts: str, height: int, width: int) -> None:
    try:
        rle = parse(counts, height, width)
    except InvalidInput:
        return
    assert decode(rle).sum() == sum(runs(counts)[1::2])


@given(masks, st.data())
def test_a_damaged_code_is_refused_or_still_one_mask(mask: BoolMask, data: st.DataObject) -> None:
    counts = encode(mask).counts
    at = data.draw(st.integers(0, len(counts) - 1))
    damaged = counts[:at] + data.draw(st.characters(min_codepoint=0, max_codepoint=300)) + counts[at + 1 :]
    try:
        rle = parse(damaged, *mask.shape)
    except InvalidInput:
        return
    assert decode(rle).shape == mask.shape


def test_rle_is_a_value() -> None:
    assert Rle("abc", 2, 3) == Rle("abc", 2, 3)
    assert Rle("abc", 2, 3).size == [2, 3]
