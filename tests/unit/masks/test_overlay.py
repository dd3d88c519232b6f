"""The overlay: what is painted, what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from backend.domain import BoolMask
from backend.errors import InvalidInput
from backend.masks.overlay import FILL, PALETTE, Layer, color_of, draw, rgb


def square(y0: int, y1: int, x0: int, x1: int, shape: tuple[int, int] = (720, 960)) -> BoolMask:
    mask = np.zeros(shape, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_colors_repeat_after_the_eighth() -> None:
    assert [color_of(i) for i in range(1, 9)] == list(PALETTE)
    assert color_of(9) == PALETTE[0]
    assert len({rgb(color) for color in PALETTE}) == 8


@pytest.mark.parametrize("color", ["", "#12345", "45B0FF", "#45B0FG", "#+1b0ff", "red", "#45B0FF "])
def test_a_color_that_is_none_is_refused(color: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rgb(color)
    assert caught.value.code == "invalid_color"


def test_inside_is_tinted_outside_untouched_and_the_input_too() -> None:
    image = np.full((720, 960, 3), 100, np.uint8)
    image.flags.writeable = False
    out = draw(image, [Layer(square(300, 500, 300, 600), "#FF0000")])
    assert (image == 100).all()
    np.testing.assert_allclose(out[400, 450], [100 * (1 - FILL) + 255 * FILL, 66, 66], atol=1)
    changed = (out != 100).any(axis=2)
    rows, cols = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert 290 <= rows[0] < 300
    assert 500 <= rows[-1] < 510
    assert 290 <= cols[0] < 300
    assert 600 <= cols[-1] < 610


def test_the_line_is_the_color_over_a_dark_halo() -> None:
    out = draw(np.full((720, 960, 3), 200, np.uint8), [Layer(square(300, 500, 300, 600), "#FF0000")])
    column = out[400, 290:312].astype(int)
    assert column[:, 0].max() == 255
    assert column[:, 1].min() < 40  # the line itself
    dark = column[: column[:, 1].argmin()]
    assert dark.sum(axis=1).min() < 0.55 * 600  # the halo outside it


def test_lines_grow_with_the_picture() -> None:
    def painted(scale: int) -> int:
        shape = (360 * scale, 480 * scale)
        mask = square(100 * scale, 200 * scale, 100 * scale, 300 * scale, shape)
        out = draw(np.zeros((*shape, 3), np.uint8), [Layer(mask, "#00FF00")])
        return int((out[150 * scale, : 150 * scale, 1] > 200).sum())

    assert painted(4) >= 2 * painted(1)


def test_where_masks_overlap_the_later_one_is_seen() -> None:
    image = np.zeros((720, 960, 3), np.uint8)
    low, high = Layer(square(100, 400, 100, 400), "#FF0000"), Layer(square(200, 500, 200, 500), "#0000FF")
    out = draw(image, [low, high])
    assert out[300, 300, 0] == 0
    assert out[300, 300, 2] == round(255 * FILL)
    assert out[150, 150, 0] == round(255 * FILL)
    hidden = draw(image, [low, Layer(np.ones((720, 960), np.bool_), "#0000FF")])
    assert (hidden[110:390, 110:390, 0] == 0).all()


def test_empty_masks_and_no_layers_leave_the_picture_as_it_is() -> None:
    image = np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8)
    np.testing.assert_array_equal(draw(image, []), image)
    np.testing.assert_array_equal(draw(image, [Layer(np.zeros((50, 60), np.bool_), "#FFFFFF", "1 x")]), image)
    assert draw(image, []) is not image


def test_a_chip_is_drawn_above_the_object_and_can_be_left_out() -> None:
    image = np.zeros((720, 960, 3), np.uint8)
    layer = Layer(square(300, 500, 300, 600), "#45B0FF", "1 Straße, Łódź")
    above = np.s_[270:292, 304:380]
    with_chip, without = draw(image, [layer]), draw(image, [layer], labels=False)
    assert (with_chip[above] == rgb("#45B0FF")).all(axis=2).mean() > 0.4
    assert (without[above] == 0).all()


def test_chips_of_objects_in_one_place_do_not_cover_each_other() -> None:
    image = np.zeros((720, 960, 3), np.uint8)
    mask = square(300, 500, 300, 600)
    other = mask.copy()
    other[300:302, 300:302] = False
    layers = [Layer(mask, "#FF0000", "1 one"), Layer(square(300, 302, 300, 302), "#00FF00", "2 two")]
    out = draw(image, layers).astype(int)
    for channel in (0, 1):
        assert ((out[..., channel] == 255) & (out.sum(axis=2) == 255)).sum() > 300


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (16, 16), (3, 5)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    out = draw(
        np.zeros((*shape, 3), np.uint8), [Layer(np.ones(shape, np.bool_), "#FFEF78", "1 A long name of a thing")]
    )
    assert out.shape == (*shape, 3)
    assert out.any()


def test_masks_at_the_edges_and_with_holes() -> None:
    mask = np.ones((200, 300), np.bool_)
    mask[80:120, 100:200] = False
    out = draw(np.full((200, 300, 3), 100, np.uint8), [Layer(mask, "#FFFFFF")])
    assert (out[100, 150] == 100).all()
    assert (out[40, 40] > 100).all()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        draw(np.zeros((20, 30, 3), np.uint8), [Layer(np.ones((30, 20), np.bool_), "#FFFFFF")])
    assert caught.value.code == "invalid_mask"
