"""Masks taken apart, and a part found again on the next frame."""

import numpy as np

from backend.masks import encode, mask_box
from backend.masks.parts import carried_on, pieces, pieces_at
from backend.masks.rle import area, areas, rle_box, united


def mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Rectangles (left, top, right, bottom) on 60 × 40."""
    out = np.zeros((40, 60), np.bool_)
    for x0, y0, x1, y1 in boxes:
        out[y0:y1, x0:x1] = True
    return out


LEFT, RIGHT, LOW = (5, 5, 15, 15), (40, 5, 50, 15), (20, 30, 30, 36)


def test_points_mean_the_nearest_pieces():
    whole = mask(LEFT, RIGHT, LOW)
    assert pieces(whole)[0] == 3
    # One is beside its piece, one on it; the negative one keeps its piece out.
    points = [(0.0, 0.0), (45 / 60, 10 / 40), (25 / 60, 39 / 40)]
    assert (pieces_at(whole, points, [1, 1, 0]) == mask(LEFT, RIGHT)).all()
    assert not pieces_at(whole, [points[0], points[0]], [1, 0]).any()


def test_a_piece_goes_to_the_part_that_it_overlaps_or_lies_nearer_to():
    part, rest = mask(LEFT), mask(RIGHT)
    moved = mask((8, 7, 18, 17), (37, 3, 47, 13), LOW)
    assert (carried_on(moved, part, rest) == mask((8, 7, 18, 17), LOW)).all()
    assert not carried_on(mask((37, 3, 47, 13)), part, rest).any()
    assert not carried_on(mask(), part, rest).any()
    assert (carried_on(moved, part, mask()) == moved).all()


def test_two_that_touch_are_cut_between():
    part, rest = mask((5, 5, 25, 25)), mask((30, 5, 50, 25))
    found = carried_on(mask((7, 6, 52, 26)), part, rest)
    # In the middle between where they were, at column 27.
    assert found[15, 8:27].all()
    assert not found[15, 28:].any()
    assert not (found & ~mask((7, 6, 52, 26))).any()


def test_what_is_worked_out_on_codes_is_what_masks_say():
    some = [mask(LEFT), mask((10, 10, 45, 20), LOW), mask(), np.ones((40, 60), np.bool_)]
    codes = [encode(m) for m in some]
    assert areas(codes * 100).tolist() == [area(c) for c in codes] * 100
    assert areas([]).shape == (0,)
    for m, c in zip(some, codes, strict=True):
        assert rle_box(c) == mask_box(m)
        for other, code in zip(some, codes, strict=True):
            assert united([c, code]) == encode(m | other)
