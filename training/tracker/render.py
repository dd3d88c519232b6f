"""Video with exact masks, made from photographs: cut-out objects move over other pictures.

An object follows a smooth path; it turns, grows, shears and bends, and its parts swing. The camera
drifts. Look-alikes (the object itself again, or one of its class's picture) keep it company, others
pass before it, light changes, motion blurs, and the whole is compressed as cameras do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import Photograph, Picture, Target

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIZE = (288, 512)
"""Height and width of a frame."""


@dataclass(frozen=True, slots=True)
class Clip:
    """`frames` RGB (H, W, 3) and the object's `masks` (H, W) on them."""

    frames: list[Picture]
    masks: list[Mask]


class _Wander:
    """A smooth random curve of time in [0, 1]: a sum of slow waves about a value."""

    def __init__(self, rng: np.random.Generator, middle: float, reach: float, speed: float = 1.0) -> None:
        self._middle = middle
        self._waves = [
            (reach * rng.uniform(0.2, 1) / (k + 1), speed * rng.uniform(0.3, 1.2) * (k + 1), rng.uniform(0, 2 * np.pi))
            for k in range(3)
        ]

    def at(self, time: float) -> float:
        return float(self._middle + sum(a * np.sin(2 * np.pi * f * time + p) for a, f, p in self._waves))


class _Layer:
    """A cut-out and how it moves."""

    def __init__(self, rng: np.random.Generator, photograph: Photograph, target: Target, share: float) -> None:
        x0, y0, x1, y1 = target.box
        pad = 6
        top, left = max(y0 - pad, 0), max(x0 - pad, 0)
        self.picture = photograph.picture[top : y1 + pad, left : x1 + pad]
        cover = (photograph.labels[top : y1 + pad, left : x1 + pad] == target.value).astype(np.float32)
        # One pixel less: at its outline a polygon takes in what lies behind.
        self.cover = np.asarray(cv2.GaussianBlur(cv2.erode(cover, np.ones((3, 3), np.uint8)), (0, 0), 0.7), np.float32)
        height, width = SIZE
        size = float(np.sqrt(share * height * width / target.area))
        pace = np.exp(rng.uniform(np.log(0.3), np.log(3.0)))
        self.x = _Wander(rng, rng.uniform(0.2, 0.8) * width, rng.uniform(0.05, 0.35) * width, pace)
        self.y = _Wander(rng, rng.uniform(0.25, 0.75) * height, rng.uniform(0.03, 0.25) * height, pace)
        self.size = _Wander(rng, np.log(size), rng.uniform(0.05, 0.5), pace)
        self.turn = _Wander(rng, rng.uniform(-0.2, 0.2), rng.uniform(0, 0.9), pace)
        self.shear = _Wander(rng, 0, rng.uniform(0, 0.5), pace)
        self.bend = [_Wander(rng, 0, rng.uniform(0, 0.16), 1.5 * pace) for _ in range(4)]
        self.light = [_Wander(rng, 1, rng.uniform(0, 0.3), pace) for _ in range(3)]
        self.shade = _Wander(rng, 0, rng.uniform(0, 0.6), pace)
        self._wave = rng.uniform(3, 9, 2)
        self._mirror = -1 if rng.random() < 0.5 else 1

    def at(self, time: float) -> tuple[Floats, Floats]:
        """Colours (H, W, 3) and cover (H, W) over the frame."""
        height, width = SIZE
        own_h, own_w = self.cover.shape
        scale = np.exp(self.size.at(time))
        cos, sin = np.cos(self.turn.at(time)), np.sin(self.turn.at(time))
        forth = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[self._mirror, self.shear.at(time)], [0, 1]])
        back = np.linalg.inv(forth)
        rows, cols = np.mgrid[:height, :width].astype(np.float32)
        dx, dy = cols - np.float32(self.x.at(time)), rows - np.float32(self.y.at(time))
        u = np.asarray(back[0, 0] * dx + back[0, 1] * dy + own_w / 2, np.float32)
        v = np.asarray(back[1, 0] * dx + back[1, 1] * dy + own_h / 2, np.float32)
        # Waves along the object, and its far ends swing more than its middle.
        a, b, c, d = (np.float32(w.at(time)) for w in self.bend)
        along, across = v / own_h - 0.5, u / own_w - 0.5
        u = u + own_w * (a * np.sin(self._wave[0] * along) + c * along * np.abs(along) * 4).astype(np.float32)
        v = v + own_h * (b * np.sin(self._wave[1] * across) + d * across * np.abs(across) * 4).astype(np.float32)
        colours = cv2.remap(self.picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.remap(self.cover, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        # It comes into other light, from another side: nothing looks the same for long.
        lit = np.array([w.at(time) for w in self.light], np.float32)
        side = 1 + np.float32(self.shade.at(time)) * np.clip(u / own_w - 0.5, -0.5, 0.5)[..., None]
        return np.asarray(colours, np.float32) * lit * side, np.asarray(cover, np.float32)


class Renderer:
    """Endless clips, the same for the same seed."""

    def __init__(self, photographs: list[Photograph], seed: int) -> None:
        self._all = photographs
        self._rng = np.random.default_rng(seed)

    def _pick(self, least: int = 1500) -> tuple[Photograph, Target]:
        while True:
            photograph = self._all[self._rng.integers(len(self._all))]
            large = [t for t in photograph.targets if t.area >= least]
            if large:
                return photograph, large[self._rng.integers(len(large))]

    def clip(self, length: int) -> Clip:
        rng = self._rng
        photograph, target = self._pick()
        share = np.exp(rng.uniform(np.log(0.01), np.log(0.2)))
        layers = [_Layer(rng, photograph, target, share)]
        before: list[_Layer] = []
        for _ in range(rng.integers(0, 3)):
            other = (photograph, target) if rng.random() < 0.3 else self._pick()
            same = share * np.exp(rng.uniform(-0.7, 0.7))
            (before if rng.random() < 0.5 else layers).append(_Layer(rng, *other, same))
        # Those that pass behind come first.
        order = [*layers[1:], layers[0], *before]
        backdrop = self._all[rng.integers(len(self._all))].picture
        pan_x, pan_y = _Wander(rng, 0, rng.uniform(0, 40)), _Wander(rng, 0, rng.uniform(0, 25))
        zoom, roll = _Wander(rng, 0.12, rng.uniform(0, 0.1)), _Wander(rng, 0, rng.uniform(0, 0.06))
        step = rng.uniform(0.3, 1.0) / 24
        noise, blurred, quality = rng.uniform(0, 5), rng.random() < 0.4, int(rng.integers(55, 96))
        frames, masks = [], []
        for number in range(length):
            moments = [number * step + k * step * 0.25 for k in range(3)] if blurred else [number * step]
            pictures, covers = [], []
            for moment in moments:
                picture = self._backdrop(backdrop, pan_x.at(moment), pan_y.at(moment), zoom.at(moment), roll.at(moment))
                mine = np.zeros(SIZE, np.float32)
                for layer in order:
                    colours, cover = layer.at(moment)
                    picture += (colours - picture) * cover[..., None]
                    mine = np.maximum(mine, cover) if layer is layers[0] else mine * (1 - cover)
                pictures.append(picture)
                covers.append(mine)
            frame = np.mean(pictures, 0) + rng.normal(0, noise, (*SIZE, 3))
            _, packed = cv2.imencode(
                ".jpg", np.clip(frame, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )
            frames.append(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8))
            masks.append(np.asarray(np.mean(covers, 0) > 0.5))
        return Clip(frames, masks)

    @staticmethod
    def _backdrop(picture: Picture, x: float, y: float, zoom: float, roll: float) -> Floats:
        height, width = SIZE
        own_h, own_w = picture.shape[:2]
        scale = min(own_w / width, own_h / height) * (1 - zoom)
        cos, sin = scale * np.cos(roll), scale * np.sin(roll)
        matrix = np.array([[cos, -sin, 0], [sin, cos, 0]])
        matrix[:, 2] = np.array([own_w / 2 + x, own_h / 2 + y]) - matrix[:, :2] @ np.array([width / 2, height / 2])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(out, np.float32)
