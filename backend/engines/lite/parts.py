"""An object's parts lie close together: one that has moved away from the rest is another thing that was taken along."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NEAR = 0.4
"""How far a part may be from the largest one, over the root of that one's area, in any case."""
_SLACK = 1.5
"""How much farther than on the frames that a person marked."""


def _distances(
    inside: NDArray[np.bool_], own: Sequence[tuple[int, int]] = ()
) -> tuple[NDArray[np.int32], list[float], float]:
    """Labels of the parts, how far each is from the object's own, in cells, and the root of their area.

    The object's own are those that hold one of the (column, row) given, or else the largest one.
    """
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    labels = np.asarray(numbered, np.int32)
    if count <= 2:
        return labels, [], 1.0
    areas = stats[:, cv2.CC_STAT_AREA]
    main = {int(labels[y, x]) for x, y in own} - {0} or {1 + int(areas[1:].argmax())}
    away = cv2.distanceTransform((~np.isin(labels, list(main))).astype(np.uint8), cv2.DIST_L2, 3)
    nearest = [0.0 if part in main else float(away[labels == part].min()) for part in range(1, count)]
    return labels, nearest, float(sum(areas[part] for part in main)) ** 0.5


def spread(soft: Floats) -> float:
    """How far the parts of a mask (h, w) are from the largest one, over the root of its area; 0 of a single part."""
    _, nearest, size = _distances(soft > 0.5)
    return max(nearest, default=0.0) / size


def drop_strays(soft: Floats, known: float, own: Sequence[tuple[int, int]] = ()) -> None:
    """Empty a soft mask's (h, w) parts in place that are too far from the object's own.

    Args:
        known: `spread` where a person marked the object.
        own: (column, row) of cells whose parts are the object's for certain; none: its largest part is.
    """
    labels, nearest, size = _distances(soft > 0.5, own)
    reach = max(_NEAR, _SLACK * known) * size
    for part, distance in enumerate(nearest, start=1):
        if distance > reach:
            soft[labels == part] = 0
