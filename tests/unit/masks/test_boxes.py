"""Boxes of masks, by the wire contract's formula."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from backend.domain import BoolMask
from backend.masks import mask_box
from backend.masks.boxes import mask_box_xyxy_px

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(masks)
def test_the_box_is_tight_and_normalised(mask: BoolMask) -> None:
    px, box = mask_box_xyxy_px(mask), mask_box(mask)
    if not mask.any():
        assert px is None
        assert box is None
        return
    assert px is not None
    rows, cols = np.nonzero(mask)
    assert px == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    height, width = mask.shape
    assert box == (px[0] / width, px[1] / height, (px[2] - px[0]) / width, (px[3] - px[1]) / height)


def test_one_pixel_has_the_size_of_one_pixel() -> None:
    mask = np.zeros((10, 20), np.bool_)
    mask[9, 19] = True
    assert mask_box(mask) == (0.95, 0.9, 0.05, 0.1)
