"""Any text as a mask: it is exactly one mask of the frame's size, or refused; no crash, no huge memory."""

from __future__ import annotations

import resource
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from backend.domain import MaskPrompt, Video
from backend.errors import InvalidInput
from backend.masks import area, decode, encode, parse
from backend.masks.rle import runs
from backend.sessions.wire import prompts_in
from tests.fuzz.counting import feed
from tests.report import record

VIDEO = Video("v", Path("v.mp4"), "v.mp4", 7, 5, Fraction(24), 12, 0.5)
SIZES = ((1, 1), (5, 7), (48, 64), (1, 4096), (1080, 1920))


def number(value: int, digits: int) -> str:
    """A number as the format writes it, in so many characters: canonical or not."""
    out = ""
    for place in range(digits):
        more = 32 if place < digits - 1 else 0
        out += chr(48 + ((value >> (5 * place)) & 31 | more))
    return out


_small = st.integers(0, 40)
_large = st.sampled_from([0, 1, 35, 3072, 2**15, 2**25, 2**29, 2**30, 2**31, 2**32, 2**34, -1, -36, -(2**29), -(2**31)])
_numbers = st.builds(number, _small | _large | st.integers(-(2**40), 2**40), st.integers(1, 9))
_alphabet = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=60)
counts = (
    st.lists(_numbers, max_size=12).map("".join)
    | _alphabet
    | st.text(max_size=40)
    | st.builds(lambda text, times: text * times, _alphabet, st.integers(1, 400))
)


def check_mask(text: str, size: tuple[int, int]) -> None:
    height, width = size
    try:
        rle = parse(text, height, width)
    except InvalidInput:
        return
    mask = decode(rle)
    assert mask.shape == size
    lengths = runs(text)
    # Exactly the mask that the lengths describe, column by column; so pycocotools read them as we did.
    told = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T
    np.testing.assert_array_equal(mask, told)
    assert area(rle) == told.sum()
    assert np.array_equal(decode(encode(mask)), mask)


def fitting(drawn: tuple[tuple[int, int], list[int], list[int]]) -> tuple[str, tuple[int, int]]:
    """A string for a size whose lengths add up, written with more characters than needed here and there."""
    size, cuts, wide = drawn
    pixels = size[0] * size[1]
    ends = sorted({min(c, pixels) for c in cuts})
    lengths = np.diff([0, *ends, pixels]).tolist()
    out = ""
    for i, length in enumerate(lengths):
        value = length - lengths[i - 2] if i > 2 else length
        digits = next(n for n in range(1, 9) if -(1 << (5 * n - 1)) <= value < 1 << (5 * n - 1))
        out += number(value, digits + wide[i % len(wide)])
    return out, size


fits = st.tuples(
    st.sampled_from(SIZES[:4]), st.lists(st.integers(0, 4096), max_size=20), st.lists(st.integers(0, 6), min_size=1)
).map(fitting)


def check_fitting(drawn: tuple[str, tuple[int, int]]) -> None:
    check_mask(*drawn)


def check_door(text: str) -> None:
    """The same string as a client sends it."""
    try:
        (prompt,) = prompts_in([{"type": "mask", "mask": text}], VIDEO)
    except InvalidInput:
        return
    assert isinstance(prompt, MaskPrompt)
    assert decode(prompt.rle).shape == (5, 7)


def check_text(text: str) -> None:
    for size in SIZES:
        check_mask(text, size)
    check_door(text)


def fuzz(count: int) -> int:
    """At least `count` strings for a frame of some size."""
    half = count // 2
    texts = feed(half // (len(SIZES) + 1) + 1, check_text, counts)
    return texts * (len(SIZES) + 1) + feed(half, check_fitting, fits)


@pytest.mark.slow
def test_any_text_is_a_mask_or_refused():
    tried = fuzz(4_000)
    print(f"{tried} masks")
    record("masks_under_arbitrary_text", inputs=tried)
    assert tried >= 4_000


@pytest.mark.long
def test_a_great_many_texts_are_masks_or_refused():
    tried = fuzz(90_000)
    print(f"{tried} masks")
    record("masks_under_arbitrary_text", inputs=tried)
    assert tried >= 90_000


@pytest.mark.parametrize(
    "text",
    [number(10, 7) + number(25, 1) + number(-1, 2), number(10, 1) + number(-5, 1) + number(30, 1), number(35, 8)],
    ids=["seven characters", "negative run", "eight characters"],
)
def test_numbers_that_readers_disagree_on_are_refused(text: str):
    with pytest.raises(InvalidInput):
        parse(text, 5, 7)


def test_a_long_text_is_refused_before_it_takes_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = "0" * 40_000_000
    with pytest.raises(InvalidInput, match="too long"):
        parse(text, 480, 640)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 3 * sys.getsizeof(text)
