"""How good a mask is: DAVIS's two measures (Perazzi et al., CVPR 2016)."""

from __future__ import annotations

import cv2
import numpy as np

from backend.domain import BoolMask


def region(a: BoolMask, b: BoolMask) -> float:
    """J: intersection over union; 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _outline(mask: BoolMask) -> BoolMask:
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return np.asarray((here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:]))


def boundary(a: BoolMask, b: BoolMask) -> float:
    """F: harmonic mean of the outlines' precision and recall, within 0.8 % of the diagonal."""
    reach = int(np.ceil(0.008 * np.hypot(*a.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    lines = _outline(a), _outline(b)
    counts = [int(line.sum()) for line in lines]
    if not all(counts):
        return float(not any(counts))
    near = [cv2.dilate(line.view(np.uint8), disc).astype(np.bool_) for line in lines]
    precision, recall = int((lines[0] & near[1]).sum()) / counts[0], int((lines[1] & near[0]).sum()) / counts[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
