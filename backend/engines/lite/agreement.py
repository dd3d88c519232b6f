"""Turns a place where something is seen into a mask: prompts, and the mask that they agree on.

A click where the first look is surest, one where the closer look is, and a box around the most
evident cells: each misses now and then, seldom two in the same way. How far they agree says more
about whether the mask is right than anything else that is known of it.
"""

from __future__ import annotations

from itertools import combinations
from math import hypot

import numpy as np

from backend.domain import BoolMask
from backend.engines.lite.evidence import Sight
from backend.engines.lite.rules import Clicks, Pixel
from backend.engines.lite.still import Still
from backend.engines.prompter import Found, iou

_LONG_SIDE = 400
"""Longer side of the masks that are compared, about."""
_ENOUGH = 0.8
"""Agreement (IoU) of two prompts from which on no third is asked."""
_SHARED = 0.3
"""Share of a mask that earlier finds may hold."""
_APART = 0.02
"""Distance of two clicks over the picture's longer side from which on they are two opinions."""


def agreed(still: Still, sight: Sight, taken: BoolMask) -> tuple[Found, float]:
    """The mask that the others are most like, and how much they are, in [0, 1].

    `taken` pixels (H, W) belong to things found before; a mask that holds many of them is one of
    those again, and no other prompt is asked: then the agreement is 0.
    """
    height, width = still.picture.shape[:2]
    nobodys = np.zeros((height, width), np.bool_)

    def clicked(at: Pixel) -> Found:
        return still.by_clicks(Clicks((at,), (1,), 1), None, nobodys)

    # Overlaps are measured on every so many pixels: of a large frame that is plenty.
    step = max(max(height, width) // _LONG_SIDE, 1)
    held = taken[::step, ::step]
    cuts = [clicked(sight.heart)]
    masks = [cuts[0].mask[::step, ::step]]
    if _again(masks[0], held):
        return cuts[0], 0.0
    apart = hypot(sight.heart[0] - sight.close_heart[0], sight.heart[1] - sight.close_heart[1])
    near = apart < _APART * max(height, width)
    # Looks that mean the same place agree; a second click there would only say so again.
    cuts.append(cuts[0] if near else clicked(sight.close_heart))
    masks.append(cuts[1].mask[::step, ::step])
    if near or iou(masks[0], masks[1]) < _ENOUGH:
        cuts.append(still.by_box(sight.box, nobodys, quick=True))
        masks.append(cuts[2].mask[::step, ::step])
    alike = np.zeros((len(cuts), len(cuts)))
    for i, j in combinations(range(len(cuts)), 2):
        alike[i, j] = alike[j, i] = iou(masks[i], masks[j])
    agreement = alike.sum(1) / (len(cuts) - 1)
    best = int(np.argmax([agreement[i] * cut.score for i, cut in enumerate(cuts)]))
    return cuts[best], 0.0 if _again(masks[best], held) else float(agreement[best])


def _again(mask: BoolMask, taken: BoolMask) -> bool:
    return bool((mask & taken).sum() > _SHARED * mask.sum())
