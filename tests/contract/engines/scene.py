"""The clip that every engine is asked about: a drawn face and a blue disc that move apart, as frames and as a file."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from backend.domain import BoolMask, Image, Points
from tests.unit.engines.clips import Clip, Shape, texture

HEIGHT, WIDTH, FRAMES = 96, 128, 6
FACE, DISC = 1, 2
"""The clip's objects in `Clip.masks`."""

_FINER = 6
"""How much finer the face is drawn than it is shown."""


def make_scene(frames: int = FRAMES) -> Clip:
    """Frames of 128 × 96; the embedded engine knows the face by its word."""
    drawn = _drawn(frames)
    return Clip(list(drawn.pictures), drawn.masks)


@cache
def _drawn(frames: int) -> Clip:
    ground = texture(99, HEIGHT, WIDTH, (90, 120, 80), 40)
    disc = Shape(DISC, 100, 34, 2, 4, 15, (50, 70, 190))
    clip = Clip([], {FACE: [], DISC: []})
    for frame in range(frames):
        picture, face = _with_face(ground, 40 - 2 * frame, 48)
        mask = disc.mask(frame, HEIGHT, WIDTH)
        picture[mask] = disc.look(frame, HEIGHT, WIDTH)[mask]
        clip.pictures.append(picture)
        clip.masks[FACE].append(face & ~mask)
        clip.masks[DISC].append(mask)
    return clip


def write_scene(path: Path, clip: Clip, fps: int = 10) -> Path:
    """The clip as an H.264 file, nearly without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.options = {"preset": "ultrafast", "crf": "12"}
        for picture in clip.pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def inside(mask: BoolMask) -> tuple[float, float]:
    """A normalised point well inside a mask (H, W)."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return float((col + 0.5) / mask.shape[1]), float((row + 0.5) / mask.shape[0])


def click(mask: BoolMask, label: int = 1) -> Points:
    """One click well inside a mask (H, W)."""
    return Points((inside(mask),), (label,))


def _with_face(ground: Image, x: int, y: int) -> tuple[Image, BoolMask]:
    """A picture with a face around (x, y), and the face's mask."""
    big = cv2.resize(ground, (WIDTH * _FINER, HEIGHT * _FINER))
    mask = np.zeros(big.shape[:2], np.uint8)
    cx, cy = x * _FINER, y * _FINER
    cv2.ellipse(mask, (cx, cy), (150, 200), 0, 0, 360, 1, -1)
    cv2.ellipse(big, (cx, cy), (150, 200), 0, 0, 360, (220, 180, 150), -1)
    for side in (-60, 60):
        eye = (cx + side, cy - 40)
        cv2.ellipse(big, eye, (38, 20), 0, 0, 360, (150, 110, 90), -1)
        cv2.ellipse(big, eye, (30, 13), 0, 0, 360, (240, 240, 240), -1)
        cv2.circle(big, eye, 13, (30, 20, 20), -1)
        cv2.line(big, (eye[0] - 38, eye[1] - 38), (eye[0] + 38, eye[1] - 38), (60, 40, 30), 14)
    cv2.ellipse(big, (cx, cy + 25), (26, 18), 0, 0, 360, (190, 150, 120), -1)
    cv2.ellipse(big, (cx, cy + 100), (60, 18), 0, 0, 360, (150, 60, 60), -1)
    cv2.ellipse(big, (cx, cy - 175), (150, 60), 0, 0, 360, (50, 35, 25), -1)
    small = cv2.resize(cv2.GaussianBlur(big, (0, 0), 6), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), shown.view(np.bool_)
