"""An object's parts lie close together: one that has moved away from the rest is another thing that was taken along."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NEAR = 0.4
"""How far a part may be from the largest one, over the root of that one's area, in any case."""
_SLACK = 1.5
"""How much farther than on the frames that a person marked."""


def _distances(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[float], float]:
    """Labels of the parts, how far each is from the largest, in cells, and the root of that one's area."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    if count <= 2:
        return np.asarray(labels, np.int32), [], 1.0
    areas = stats[:, cv2.CC_STAT_AREA]
    main = 1 + int(areas[1:].argmax())
    away = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 3)
    nearest = [0.0 if part == main else float(away[labels == part].min()) for part in range(1, count)]
    return np.asarray(labels, np.int32), nearest, float(areas[main]) ** 0.5


def spread(soft: Floats) -> float:
    """How far the parts of a mask (h, w) are from the largest one, over the root of its area; 0 of a single part."""
    _, nearest, size = _distances(soft > 0.5)
    return max(nearest, default=0.0) / size


def drop_strays(soft: Floats, known: float) -> None:
    """Empty a soft mask's (h, w) parts in place that are too far from the largest one.

    Args:
        known: `spread` where a person marked the object.
    """
    labels, nearest, size = _distances(soft > 0.5)
    reach = max(_NEAR, _SLACK * known) * size
    for part, distance in enumerate(nearest, start=1):
        if distance > reach:
            soft[labels == part] = 0
