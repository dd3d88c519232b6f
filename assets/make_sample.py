"""Makes the sample clip with its exact masks and sound, and the page's icon as PNG.

Run from the project's folder: `python -m assets.make_sample`. Everything is drawn from one seed:
four things with textures (a striped ball, a speckled star, a wooden box, a doughnut) that move,
turn, scale and hide each other over a woven cloth. They are rendered at twice the size; a pixel
belongs to the topmost thing that covers at least half of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from assets.textures import (
    SIDE,
    Array,
    Relief,
    blend,
    blur,
    box,
    cloth,
    doughnut,
    flat,
    lit,
    noise,
    shading,
    smooth,
    star,
)
from backend.domain import BoolMask, Image
from backend.masks import encode

SEED = 7
WIDTH, HEIGHT = 960, 540
FPS, FRAMES = 24, 144
SUPER = 2
"""Rendered pixels for each pixel of the clip, along each side."""
RATE = 44_100
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Pose:
    """Where a thing is: centre and half its side in the clip's pixels, angle in radians."""

    x: float
    y: float
    size: float
    angle: float


def relief_tile(relief: Relief, pose: Pose) -> tuple[Array, Array]:
    """A thing turned, scaled and lit: colour (h, w, 3) and coverage (h, w), rendered pixels."""
    scale = pose.size * 2 * SUPER / SIDE
    side = int(np.ceil(pose.size * SUPER * 2 * 1.45)) + 4
    cos, sin = np.cos(pose.angle) * scale, np.sin(pose.angle) * scale
    # The pose's fraction of a pixel stays in the tile, so that slow motion is smooth.
    cx, cy = side / 2 + (pose.x * SUPER) % 1, side / 2 + (pose.y * SUPER) % 1
    half = SIDE / 2
    matrix = np.array([[cos, -sin, cx - cos * half + sin * half], [sin, cos, cy - sin * half - cos * half]])

    def warp(source: Array) -> Array:
        return np.asarray(cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_LINEAR), np.float32)

    diffuse, specular = shading(warp(relief.height) * np.float32(scale), relief.gloss)
    return warp(relief.albedo) * diffuse[..., None] + specular[..., None], warp(relief.alpha)


def ball_tile(pose: Pose, heading: float, grain: Array) -> tuple[Array, Array]:
    """A ball that has rolled by `pose.angle` towards `heading`: colour and coverage as above."""
    radius = pose.size * SUPER
    side = int(np.ceil(radius * 2)) + 6
    axis = np.arange(side, dtype=np.float32) + 0.5 - side / 2
    x, y = np.meshgrid(axis - np.float32((pose.x * SUPER) % 1), axis - np.float32((pose.y * SUPER) % 1))
    x, y = x / np.float32(radius), y / np.float32(radius)
    r2 = x * x + y * y
    alpha = np.clip((1 - np.sqrt(r2)) * np.float32(radius) + 0.5, 0, 1)
    normal = np.stack([x, y, np.sqrt(np.clip(1 - r2, 0, 1))], axis=-1)
    # Rolling turns the ball about the axis in the plane that is square to its heading.
    spin, _ = cv2.Rodrigues(np.array([-np.sin(heading), np.cos(heading), 0]) * pose.angle)
    own = normal @ spin.astype(np.float32)
    pole = np.array([0.36, 0.9, 0.25], np.float32)
    latitude = np.arcsin(np.clip(own @ (pole / np.linalg.norm(pole)), -1, 1))
    band = (latitude / np.float32(np.pi) + 0.5) * 7
    color = np.stack([np.full_like(x, c) for c in (0.95, 0.91, 0.82)], axis=-1)
    for index, name in ((0, "#1f6f78"), (2, "#d9482b"), (4, "#1f6f78"), (6, "#d9482b")):
        inside = smooth(index - 0.02, index + 0.02, band) * (1 - smooth(index + 0.98, index + 1.02, band))
        color = blend(color, flat(name), inside)
    u = ((own[..., 0] + 1) * 0.5 * (grain.shape[1] - 1)).astype(np.float32)
    v = ((own[..., 1] + 1) * 0.5 * (grain.shape[0] - 1)).astype(np.float32)
    color = color * (1 + 0.07 * cv2.remap(grain, u, v, cv2.INTER_LINEAR))[..., None]
    diffuse, specular = lit(normal, 0.45)
    rim = 1 - 0.32 * (1 - normal[..., 2]) ** 2
    return color * (diffuse * rim)[..., None] + specular[..., None], alpha.astype(np.float32)


# --- the scene ---------------------------------------------------------------------------------

OBJECTS: tuple[dict[str, int | str], ...] = (
    {"id": 1, "name": "Star", "label": "star"},
    {"id": 2, "name": "Ball", "label": "ball"},
    {"id": 3, "name": "Box", "label": "box"},
    {"id": 4, "name": "Doughnut", "label": "doughnut"},
)
"""The things from the lowest to the topmost; ids run from 1."""


def along(t: float, *points: tuple[float, float]) -> tuple[float, float]:
    """A Bézier curve through the plane at `t` in [0, 1]."""
    hull = np.array(points, float)
    while len(hull) > 1:
        hull = hull[:-1] * (1 - t) + hull[1:] * t
    return float(hull[0, 0]), float(hull[0, 1])


BALL_PATH = ((150, 375), (330, 500), (640, 540), (760, 10), (820, 130))


def rolled(index: int) -> float:
    """How far the ball has rolled until a frame, in pixels of the clip."""
    path = np.array([along(k / (FRAMES - 1), *BALL_PATH) for k in range(index + 1)])
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def poses(index: int) -> tuple[Pose, ...]:
    """Where the objects are on a frame, in the order of `OBJECTS`."""
    t = index / (FRAMES - 1)
    ease = t * t * (3 - 2 * t)
    star_xy = along(ease, (700, 128), (520, 70), (290, 150), (215, 395))
    box_xy = along(ease, (448, 262), (470, 300), (560, 290), (560, 330))
    ring_xy = along(t, (790, 402), (670, 470), (640, 350), (820, 420))
    return (
        Pose(*star_xy, 112 + 20 * np.sin(np.pi * t), -0.2 - 3.4 * ease),
        Pose(*along(t, *BALL_PATH), 74 + 16 * t, rolled(index) / 82),
        Pose(*box_xy, 96 - 10 * ease, 0.22 + 0.9 * np.sin(t * 2.4)),
        Pose(*ring_xy, 100 + 14 * np.sin(2 * np.pi * t), 1.6 * t),
    )


LIFT = (5.0, 16.0, 12.0, 12.0)
"""How far each object's shadow falls from it, in pixels of the clip."""


class Scene:
    """Everything drawn once; `frame` renders one frame of it."""

    def __init__(self, seed: int = SEED) -> None:
        rng = np.random.default_rng(seed)
        self._ground = cloth(rng, (HEIGHT + 60) * SUPER, (WIDTH + 120) * SUPER, SUPER)
        self._reliefs = {1: star(rng), 3: box(rng), 4: doughnut(rng)}
        self._grain = noise(rng, SIDE, SIDE, 10, 3)
        y, x = np.mgrid[-1 : 1 : HEIGHT * SUPER * 1j, -1 : 1 : WIDTH * SUPER * 1j].astype(np.float32)
        self._vignette = (1.04 - 0.2 * (x * x * 0.6 + y * y * 0.5))[..., None].astype(np.float32)

    def frame(self, index: int) -> tuple[Image, list[BoolMask]]:
        """Frame `index` (RGB) and the visible masks of the objects in the order of `OBJECTS`."""
        size = (WIDTH, HEIGHT)
        drift = index / (FRAMES - 1)
        shift = np.array([[1, 0, -(20 + 70 * drift) * SUPER], [0, 1, -(20 + 14 * drift) * SUPER]], np.float32)
        canvas = np.asarray(cv2.warpAffine(self._ground, shift, (WIDTH * SUPER, HEIGHT * SUPER)), np.float32)
        owner = np.zeros((HEIGHT, WIDTH), np.uint8)
        for obj_id, (pose, lift) in enumerate(zip(poses(index), LIFT, strict=True), 1):
            color, alpha = self._tile(obj_id, pose, index)
            placed: Array = np.zeros((HEIGHT * SUPER, WIDTH * SUPER), np.float32)
            y0, x0 = int(pose.y * SUPER) - alpha.shape[0] // 2, int(pose.x * SUPER) - alpha.shape[1] // 2
            top, left = max(-y0, 0), max(-x0, 0)
            bottom, right = min(alpha.shape[0], placed.shape[0] - y0), min(alpha.shape[1], placed.shape[1] - x0)
            spot = np.s_[y0 + top : y0 + bottom, x0 + left : x0 + right]
            placed[spot] = alpha[top:bottom, left:right]
            canvas *= shadow(placed, lift)[..., None]
            canvas[spot] = blend(canvas[spot], color[top:bottom, left:right], placed[spot])
            owner[cv2.resize(placed, size, interpolation=cv2.INTER_AREA) >= 0.5] = obj_id
        small = cv2.resize(canvas * self._vignette, size, interpolation=cv2.INTER_AREA)
        image = (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)
        return image, [owner == obj_id for obj_id in range(1, len(OBJECTS) + 1)]

    def _tile(self, obj_id: int, pose: Pose, index: int) -> tuple[Array, Array]:
        if obj_id in self._reliefs:
            return relief_tile(self._reliefs[obj_id], pose)
        t = index / (FRAMES - 1)
        (ax, ay), (bx, by) = along(max(t - 0.01, 0), *BALL_PATH), along(min(t + 0.01, 1), *BALL_PATH)
        return ball_tile(pose, float(np.arctan2(by - ay, bx - ax)), self._grain)


def shadow(alpha: Array, lift: float) -> Array:
    """What light an object of coverage `alpha` (H, W) leaves around it: 1 lit, lower in shadow."""
    height, width = alpha.shape
    small = np.asarray(cv2.resize(alpha, (width // 4, height // 4), interpolation=cv2.INTER_AREA), np.float32)
    reach = lift * SUPER / 4
    near = blur(small, 1.5 + reach * 0.25)
    far = blur(small, 2.5 + reach * 1.1)

    def fall(layer: Array, by: float) -> Array:
        matrix = np.array([[1, 0, by * 0.62], [0, 1, by * 0.8]], np.float32)
        return np.asarray(cv2.warpAffine(layer, matrix, (layer.shape[1], layer.shape[0])), np.float32)

    dark = 0.30 * fall(near, reach * 0.7) + 0.32 * fall(far, reach * 1.7)
    return np.asarray(cv2.resize(1 - dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


# --- sound and files ---------------------------------------------------------------------------


def sound(rng: np.random.Generator) -> Array:
    """A quiet bed of two chords with a plucked tune over it, mono in [-1, 1], as long as the clip."""
    total = RATE * FRAMES // FPS
    t = np.arange(total) / RATE
    out = np.zeros(total)
    for start, chord in ((0.0, (146.8, 220.0, 277.2, 329.6)), (3.0, (123.5, 196.0, 246.9, 370.0))):
        swell = np.clip((t - start) / 0.8, 0, 1) * np.clip((start + 3.4 - t) / 0.8, 0, 1)
        for pitch in chord:
            out += 0.018 * swell * np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6))
    tune = (587.3, 659.3, 740.0, 880.0, 740.0, 659.3, 493.9, 587.3, 740.0, 987.8, 740.0, 587.3)
    for step, pitch in enumerate(tune):
        since = t - step * 0.48 - 0.1
        out += 0.05 * np.where(since > 0, np.exp(-since * 5), 0) * np.sin(2 * np.pi * pitch * np.maximum(since, 0))
    return (out * np.clip((FRAMES / FPS - t) / 0.4, 0, 1)).astype(np.float32)


def write_clip(path: Path, images: Iterator[Image], audio: Array) -> None:
    """Write H.264 and AAC; the index lies in front so that a browser can start at once."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        # More threads, or x264's macroblock tree, would make other bytes at every run.
        options = {"crf": "23", "preset": "slow", "x264-params": "threads=1:lookahead-threads=1:mbtree=0"}
        picture = container.add_stream("libx264", rate=FPS, options=options)
        picture.codec_context.thread_count = 1
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture.codec_context.time_base = Fraction(1, FPS)
        tone = container.add_stream("aac", rate=RATE, layout="mono")
        tone.bit_rate = 64_000
        for image in images:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode(None))
        for start in range(0, len(audio), 1024):
            block = av.AudioFrame.from_ndarray(audio[None, start : start + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts = RATE, start
            container.mux(tone.encode(block))
        container.mux(tone.encode(None))


def write_favicon(path: Path, side: int = 64) -> None:
    """The mark of `icon.svg` as a PNG with a see-through ground: a dashed ring around a dot."""
    big = side * 8
    alpha = np.zeros((big, big), np.uint8)
    centre, unit = big // 2, big / 32
    for k in range(8):
        start = k * 45 - 14
        cv2.ellipse(alpha, (centre, centre), (round(12 * unit),) * 2, 0, start, start + 28, 255, round(3 * unit))
    cv2.circle(alpha, (centre, centre), round(5 * unit), 255, -1)
    mark = np.empty((side, side, 4), np.uint8)
    mark[..., :3] = (0x6B, 0x64, 0x5C)  # a grey that shows on light and on dark tabs; OpenCV's order is BGR
    mark[..., 3] = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), mark)


def main() -> None:
    scene = Scene()
    counts: list[list[str]] = []

    def images() -> Iterator[Image]:
        for index in range(FRAMES):
            image, masks = scene.frame(index)
            counts.append([encode(mask).counts for mask in masks])
            yield image

    write_clip(HERE / "sample.mp4", images(), sound(np.random.default_rng(SEED)))
    truth = {"seed": SEED, "size": [HEIGHT, WIDTH], "fps": FPS, "objects": OBJECTS, "frames": counts}
    (HERE / "sample_masks.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    write_favicon(HERE / "favicon.png")


if __name__ == "__main__":
    main()
