"""Boxes of masks."""

from __future__ import annotations

import numpy as np

from backend.domain import BoolMask, NormBox


def mask_box(mask: BoolMask) -> NormBox | None:
    """The tight normalised box (x, y, w, h) of a bool mask (H, W); None where it is empty.

    `[xmin/W, ymin/H, (xmax+1-xmin)/W, (ymax+1-ymin)/H]`.
    """
    px = mask_box_xyxy_px(mask)
    if px is None:
        return None
    height, width = mask.shape
    x0, y0, x1, y1 = px
    return x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height


def mask_box_xyxy_px(mask: BoolMask) -> tuple[int, int, int, int] | None:
    """The tight pixel box (x0, y0, x1, y1) of a bool mask (H, W), ends exclusive; None if empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    cols = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1
