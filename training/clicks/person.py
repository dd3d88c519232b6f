"""A simulated annotator: clicks into the largest mistake, boxes drawn a little carelessly.

Iterative training after Sofiiuk et al. (RITM): the network meets its own mistakes of some rounds before.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.clicks.network import MAPS, POINTS
from training.clicks.samples import SIDE, Mask

Floats = NDArray[np.float32]

DISC = 4
"""Radius of a click's disc in pixels of what the network sees."""
_ON, _OFF, _SO_FAR, _BOX, _HAS_BOX = range(MAPS)
_BOXED, _CLICKED = 0.25, 0.82
"""Shares of samples that begin with a box, and with a click."""


class Person:
    """The prompts of a batch of objects, `masks` bool (SIDE, SIDE) each."""

    def __init__(self, masks: list[Mask], rng: np.random.Generator) -> None:
        self._masks, self._rng = masks, rng
        self._maps = np.zeros((len(masks), MAPS, SIDE, SIDE), np.float32)
        self._points = np.zeros((2, len(masks), POINTS, 3), np.float32)
        self._counts = np.zeros((2, len(masks)), np.int64)
        for i, mask in enumerate(masks):
            boxed = rng.random() < _BOXED
            if boxed:
                self._draw_box(i, mask)
            if not boxed or rng.random() > _CLICKED:
                self._click(i, np.zeros_like(mask), first=True)

    def look(self, shares: Floats) -> None:
        """Take the network's answers (B, SIDE, SIDE) in [0, 1] as the masks so far, and click once more."""
        for i, share in enumerate(shares):
            answered = share > 0.5
            # The engine hands back masks; only its close look goes on from shares.
            self._maps[i, _SO_FAR] = answered if self._rng.random() < 0.6 else share
            self._click(i, answered)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (B, MAPS, SIDE, SIDE), points on and off the object (B, POINTS, 3)."""
        return torch.from_numpy(self._maps), torch.from_numpy(self._points[0]), torch.from_numpy(self._points[1])

    def _draw_box(self, i: int, mask: Mask) -> None:
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        off = self._rng.uniform(-0.06, 0.06, 4) * [w, h, w, h] if self._rng.random() < 0.7 else np.zeros(4)
        x0, y0, x1, y1 = np.clip(np.array([x, y, x + w - 1, y + h - 1]) + off, 0, SIDE - 1).astype(int)
        self._maps[i, _BOX, y0 : y1 + 1, x0 : x1 + 1] = 1
        self._maps[i, _HAS_BOX] = 1

    def _click(self, i: int, answered: Mask, first: bool = False) -> None:
        truth = self._masks[i]
        depths = [self._depth(truth & ~answered), self._depth(answered & ~truth)]
        side = int(depths[1].max() > depths[0].max())
        depth = depths[side]
        count = self._counts[side, i]
        if depth.max() < 1.5 or count >= POINTS:
            return
        if self._rng.random() < 0.5:
            place = int(depth.argmax())
        else:
            deep = np.flatnonzero(depth > (0.3 if first else 0.5) * depth.max())
            place = int(self._rng.choice(deep))
        x, y = place % SIDE, place // SIDE
        self._points[side, i, count] = x + 0.5, y + 0.5, 1
        self._counts[side, i] += 1
        disc = np.ascontiguousarray(self._maps[i, side])
        cv2.circle(disc, (x, y), DISC, 1.0, -1)
        self._maps[i, side] = disc

    @staticmethod
    def _depth(wrong: Mask) -> Floats:
        padded = np.pad(wrong, 1).astype(np.uint8)
        return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)
