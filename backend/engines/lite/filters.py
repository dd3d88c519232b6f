"""Words that choose among the things of a noun: colours, sizes and places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image

Floats = NDArray[np.float32]

_MOSTLY = 0.4
"""Share of a thing's pixels that have its colour, or its colours together."""
_PRESENT = 0.12
"""Share that each of several colours has at least."""
_LONG_SIDE = 256
"""Longer side of the picture on which colours are told."""
_HALF = 0.55
"""Share of the picture that counts as a side of it, a little more than half."""

_COLOURS: Mapping[str, Callable[[Floats, Floats, Floats], BoolMask]] = {
    "red": lambda h, s, v: ((h < 14) | (h > 335)) & (s > 0.45) & (v > 0.2),
    "orange": lambda h, s, v: (h >= 12) & (h < 42) & (s > 0.55) & (v > 0.5),
    "yellow": lambda h, s, v: (h >= 40) & (h < 70) & (s > 0.35) & (v > 0.45),
    "green": lambda h, s, v: (h >= 68) & (h < 170) & (s > 0.2) & (v > 0.12),
    "blue": lambda h, s, v: (h >= 180) & (h < 258) & (s > 0.25) & (v > 0.15),
    "purple": lambda h, s, v: (h >= 250) & (h < 320) & (s > 0.2) & (v > 0.15),
    "pink": lambda h, s, v: ((h >= 310) | (h < 12)) & (s > 0.15) & (s <= 0.65) & (v > 0.6),
    "brown": lambda h, s, v: (h >= 5) & (h < 48) & (s > 0.2) & (v > 0.12) & (v < 0.75),
    "black": lambda h, s, v: (v < 0.25) | ((v < 0.33) & (s < 0.25)),
    "white": lambda h, s, v: (s < 0.2) & (v > 0.65),
    "grey": lambda h, s, v: (s < 0.2) & (v >= 0.22) & (v < 0.75),
}
"""By hue in degrees, saturation and value in [0, 1]. Neighbours overlap, as their names do."""
_SIZES = {"biggest": 1, "largest": 1, "big": 1, "large": 1, "smallest": -1, "small": -1, "little": -1}
_PLACES = {
    "left": (-1, 0),
    "leftmost": (-1, 0),
    "right": (1, 0),
    "rightmost": (1, 0),
    "top": (0, -1),
    "upper": (0, -1),
    "topmost": (0, -1),
    "bottom": (0, 1),
    "lower": (0, 1),
    "bottommost": (0, 1),
    "middle": (0, 0),
    "center": (0, 0),
    "centre": (0, 0),
    "central": (0, 0),
}
_SPELT = {"gray": "grey", "violet": "purple"}

FILTERS = frozenset((*_COLOURS, *_SIZES, *_PLACES, *_SPELT))
"""All words that are known."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked of things: names of colours, +1 for large and -1 for small, steps to a place."""

    colours: tuple[str, ...] = ()
    size: int = 0
    places: tuple[tuple[int, int], ...] = ()

    def also(self, word: str) -> Filters:
        """The same with one of `FILTERS` more."""
        word = _SPELT.get(word, word)
        if word in _COLOURS:
            return replace(self, colours=(*self.colours, word))
        if word in _SIZES:
            return replace(self, size=_SIZES[word])
        return replace(self, places=(*self.places, _PLACES[word]))


def chosen(filters: Filters, picture: Image, masks: Sequence[BoolMask]) -> list[int]:
    """Numbers of the masks (H, W) on an RGB picture that are meant, in their order.

    Colours keep what is mostly of them. A size or a place keeps one: the largest, the leftmost. With
    both, the place names a side of the picture. A thing that is alone has to be on the side named.
    """
    kept = [i for i, mask in enumerate(masks) if mask.any()]
    if filters.colours:
        kept = [i for i in kept if _has(filters.colours, picture, masks[i])]
    if filters.places and kept:
        height, width = picture.shape[:2]
        middles = {i: _middle(masks[i], height, width) for i in kept}
        if filters.size or len(kept) == 1:
            kept = [i for i in kept if _beside(filters.places, middles[i])]
        else:
            kept = [min(kept, key=lambda i: (_distance(filters.places, middles[i]), i))]
    if filters.size and kept:
        kept = [max(kept, key=lambda i: (filters.size * int(masks[i].sum()), -i))]
    return kept


def colour_shares(picture: Image, mask: BoolMask) -> dict[str, float]:
    """The share of a mask's pixels (H, W), of an RGB picture, that each colour's name fits."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    scale = min(1.0, _LONG_SIDE / max(w, h, 1))
    size = max(round(w * scale), 1), max(round(h * scale), 1)
    small = cv2.resize(picture[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask[y : y + h, x : x + w].view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if not inside.any():
        inside[:] = True
    hsv = cv2.cvtColor(np.asarray(small, np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)[inside]
    hue, saturation, value = (np.asarray(hsv[:, i], np.float32) for i in range(3))
    return {name: float(fits(hue, saturation, value).mean()) for name, fits in _COLOURS.items()}


def _has(colours: tuple[str, ...], picture: Image, mask: BoolMask) -> bool:
    """Whether a thing is mostly of some colours, and of each of them in part."""
    shares = colour_shares(picture, mask)
    named = [shares[c] for c in dict.fromkeys(colours)]
    return sum(named) >= _MOSTLY and min(named) >= (_PRESENT if len(named) > 1 else 0)


def _middle(mask: BoolMask, height: int, width: int) -> tuple[float, float]:
    """The middle of a mask's box, each way in [-1, 1] from the picture's."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    return (2 * x + w) / width - 1, (2 * y + h) / height - 1


def _distance(places: tuple[tuple[int, int], ...], middle: tuple[float, float]) -> float:
    """How far a thing is from where it should be; only ways that are named count, for “middle” both."""
    total = 0.0
    for place in places:
        if place == (0, 0):
            total += abs(middle[0]) + abs(middle[1])
        else:
            total -= place[0] * middle[0] + place[1] * middle[1]
    return total


def _beside(places: tuple[tuple[int, int], ...], middle: tuple[float, float]) -> bool:
    """Whether a thing is on all the sides named."""
    reach = 2 * _HALF - 1
    return all(
        max(abs(v) for v in middle) <= _HALF
        if place == (0, 0)
        else place[0] * middle[0] + place[1] * middle[1] >= -reach
        for place in places
    )
