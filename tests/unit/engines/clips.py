"""Small clips with exact masks: textured shapes that move over a textured ground."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, Video


def texture(seed: int, height: int, width: int, colour: tuple[int, int, int], contrast: float = 60) -> Image:
    """Blurred noise around an RGB colour, (height, width, 3)."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    calm = cv2.GaussianBlur(noise, (0, 0), 3)
    drawn = calm * (contrast / max(float(calm.std()), 1e-6) / 3) + np.array(colour, np.float32)
    return np.asarray(np.clip(drawn, 0, 255), np.uint8)


@dataclass
class Clip:
    """Frames, RGB, and for each object its exact masks by frame; a `FrameSource`."""

    pictures: list[Image]
    masks: dict[int, list[BoolMask]]
    reads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, frame_index: int) -> Image:
        self.reads.append(frame_index)
        return self.pictures[frame_index].copy()

    @property
    def video(self) -> Video:
        height, width = self.pictures[0].shape[:2]
        return Video("v", Path("clip.mp4"), "clip.mp4", width, height, Fraction(25), len(self), len(self) / 25)


@dataclass(frozen=True)
class Shape:
    """An ellipse or a bar that starts at (x, y) and moves by (dx, dy) a frame, turning."""

    obj_id: int
    x: float
    y: float
    dx: float
    dy: float
    radius: float
    colour: tuple[int, int, int]
    turn: float = 2.0

    def mask(self, frame: int, height: int, width: int) -> BoolMask:
        out = np.zeros((height, width), np.uint8)
        centre = self.x + self.dx * frame, self.y + self.dy * frame
        cv2.ellipse(out, (centre, (2 * self.radius, 1.4 * self.radius), self.turn * frame), 1, -1)
        return out.view(np.bool_)

    def look(self, frame: int, height: int, width: int) -> Image:
        """The shape's texture, moved and turned with it."""
        side = int(4 * self.radius) + 8
        skin = texture(self.obj_id, side, side, self.colour)
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), -self.turn * frame, 1)
        turn[:, 2] += np.array([self.x + self.dx * frame - side / 2, self.y + self.dy * frame - side / 2])
        return np.asarray(cv2.warpAffine(skin, turn, (width, height)), np.uint8)


def make_clip(shapes: list[Shape], frames: int, height: int = 180, width: int = 240) -> Clip:
    """Draw a clip; later shapes hide earlier ones, and the masks show what is visible."""
    ground = texture(99, height, width, (90, 120, 80), 40)
    clip = Clip([], {s.obj_id: [] for s in shapes})
    for frame in range(frames):
        picture = ground.copy()
        shown = {s.obj_id: s.mask(frame, height, width) for s in shapes}
        for i, shape in enumerate(shapes):
            mask = shown[shape.obj_id]
            picture[mask] = shape.look(frame, height, width)[mask]
            for under in shapes[:i]:
                shown[under.obj_id] = shown[under.obj_id] & ~mask
        for obj_id, mask in shown.items():
            clip.masks[obj_id].append(mask)
        clip.pictures.append(picture)
    return clip


def easy_clip(frames: int = 12) -> Clip:
    """One red disc that moves to the right."""
    return make_clip([Shape(1, 60, 90, 5, 1, 28, (190, 60, 50))], frames)


def crossing_clip(frames: int = 12) -> Clip:
    """A red and a blue shape that pass each other, the blue one in front."""
    return make_clip(
        [Shape(1, 50, 85, 14, 0, 28, (190, 60, 50)), Shape(2, 190, 100, -14, 0, 26, (50, 70, 190))], frames
    )


def iou(a: BoolMask, b: BoolMask) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
