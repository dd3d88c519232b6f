"""The textures of the sample clip and how they are lit. `make_sample` moves them about."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIDE = 480
"""The side of the square on which a thing is drawn before it is turned and placed."""
LIGHT = np.array([-0.48, -0.62, 0.62], np.float32) / np.float32(np.sqrt(0.48**2 + 0.62**2 + 0.62**2))


@dataclass(frozen=True)
class Relief:
    """A thing as drawn: albedo (S, S, 3) in [0, 1], height in pixels (S, S), coverage (S, S)."""

    albedo: Array
    height: Array
    alpha: Array
    gloss: float


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4) -> Array:
    """Fractal noise in about [-1, 1], (H, W); `cell` is its coarsest feature's size in pixels."""
    out: Array = np.zeros((height, width), np.float32)
    weight = total = 1.0
    for _ in range(octaves):
        rows, cols = max(int(height / cell), 1) + 3, max(int(width / cell), 1) + 3
        grid = rng.uniform(-1, 1, (rows, cols)).astype(np.float32)
        out += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight, cell, total = weight / 2, cell / 2, total + weight / 2
    return out / np.float32(total / 1.6)


def paint(value: NDArray[np.floating[Any]], *stops: tuple[float, str]) -> Array:
    """A colour ramp over `value` (H, W): stops `(position, "#rrggbb")`, rising. RGB (H, W, 3) in [0, 1]."""
    at = [position for position, _ in stops]
    channels = [[int(color[i : i + 2], 16) / 255 for _, color in stops] for i in (1, 3, 5)]
    return np.stack([np.interp(value, at, c) for c in channels], axis=-1).astype(np.float32)


def flat(color: str) -> Array:
    """One colour everywhere, for `blend`."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def smooth(low: float, high: float, value: NDArray[np.floating[Any]]) -> Array:
    """0 below `low`, 1 above `high`, and an S-shaped rise between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blur(value: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(value, (0, 0), sigma), np.float32)


def stretch(value: Array, width: int, height: int) -> Array:
    return np.asarray(cv2.resize(value, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def blend(base: Array, top: Array, amount: Array) -> Array:
    return np.asarray(base + (top - base) * amount[..., None], np.float32)


def grid() -> tuple[Array, Array]:
    """x and y in [-1, 1] over the drawing square, (S, S) each."""
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(axis, axis)
    return x.astype(np.float32), y.astype(np.float32)


def raised(inside: Array, edge: float, height: float) -> Array:
    """A height map with a rounded edge: rises over `edge` pixels from the rim of `inside` (S, S)."""
    depth = cv2.distanceTransform((inside > 0.5).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float32)
    t = np.clip(depth / edge, 0, 1)
    return np.asarray(height * np.sqrt(1 - (1 - t) ** 2), np.float32)


def star(rng: np.random.Generator) -> Relief:
    """A ceramic star: honey glaze that thins at the ridges, with dark speckles."""
    corners: list[tuple[float, float]] = []
    for k in range(10):
        r, a = (0.93 if k % 2 == 0 else 0.47), np.pi * k / 5 - np.pi / 2
        corners.append(((r * np.cos(a) + 1) * SIDE / 2, (r * np.sin(a) + 1) * SIDE / 2))
    shape = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(shape, [np.array(corners, np.float32).round().astype(np.int32)], 255)
    # Blurring and cutting at the half rounds the corners.
    alpha = smooth(0.47, 0.53, blur(shape.astype(np.float32), 14) / 255)
    height = blur(raised(alpha, 62, 46), 5)
    pool = noise(rng, SIDE, SIDE, 120) * 0.35 + height / 46
    albedo = paint(pool, (0.0, "#8a4a12"), (0.45, "#d98a1c"), (0.9, "#f2b134"), (1.3, "#f8cf6a"))
    specks: Array = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(230):
        centre = (int(rng.integers(SIDE)), int(rng.integers(SIDE)))
        cv2.circle(specks, centre, round(rng.gamma(2.2, 1.6) + 1.2), float(rng.uniform(0.55, 0.95)), -1, cv2.LINE_AA)
    albedo = blend(albedo, flat("#3a2415"), blur(specks, 0.9))
    return Relief(albedo, height, alpha, 0.55)


def box(rng: np.random.Generator) -> Relief:
    """A lid of three planks with grain, knots and two battens."""
    x, y = grid()
    corner = np.maximum(np.abs(x), np.abs(y)) + 0.35 * np.maximum(np.abs(x) + np.abs(y) - 1.62, 0)
    alpha = 1 - smooth(0.89, 0.905, corner)
    albedo: Array = np.zeros((SIDE, SIDE, 3), np.float32)
    height = raised(alpha, 16, 9)
    seams = np.linspace(-0.9, 0.9, 4)
    for low, high in pairwise(seams.tolist()):
        bend = noise(rng, SIDE, SIDE, 260, 3)
        knot = np.exp(-(((x - rng.uniform(-0.6, 0.6)) * 3) ** 2 + ((y - (low + high) / 2) * 9) ** 2) * 1.6)
        rings = (y - low) * 11 + bend * 1.3 + knot.astype(np.float32) * 3.4 + np.float32(rng.uniform(0, 9))
        fibre = stretch(noise(rng, SIDE, SIDE // 16, 3, 2), SIDE, SIDE)
        grain = 0.5 + 0.24 * np.sin(rings * 2.4).astype(np.float32) + 0.26 * fibre + np.float32(rng.uniform(-0.1, 0.12))
        wood = paint(grain, (0.0, "#6f4421"), (0.4, "#a36a36"), (0.75, "#c68f54"), (1.15, "#dcae74"))
        plank = (y >= low) & (y < high)
        albedo[plank] = wood[plank]
        gap = np.minimum(np.abs(y - low), np.abs(y - high)).astype(np.float32)
        height = np.where(plank, height - 7 * (1 - smooth(0, 0.028, gap)), height).astype(np.float32)
    for centre in (-0.62, 0.62):
        batten = 1 - smooth(0.125, 0.14, np.abs(x - np.float32(centre)))
        fibre = stretch(noise(rng, SIDE // 16, SIDE, 3, 2), SIDE, SIDE)
        tone = 0.45 + 0.3 * np.sin((x - centre) * 26 + noise(rng, SIDE, SIDE, 200, 2)).astype(np.float32) + 0.2 * fibre
        albedo = blend(albedo, paint(tone, (0, "#5d3818"), (0.5, "#8f5a2c"), (1, "#b57d45")), batten)
        height = height + 8 * batten
        for row in seams[:-1] + 0.3:
            nail = 1 - smooth(0.028, 0.04, np.hypot(x - np.float32(centre), y - np.float32(row)))
            albedo = blend(albedo, flat("#3b3a3c"), nail)
            height = height + 3 * nail
    return Relief(albedo, blur(height, 1.6), alpha, 0.1)


def doughnut(rng: np.random.Generator) -> Relief:
    """Golden dough, raspberry icing with a wavy rim, sprinkles."""
    x, y = grid()
    r, a = np.hypot(x, y), np.arctan2(y, x)
    alpha = (1 - smooth(0.925, 0.94, r)) * smooth(0.285, 0.3, r)
    across = np.clip((r - 0.615) / 0.325, -1, 1)
    height = 95 * np.sqrt(np.clip(1 - across**2, 0, 1)) + 3 * noise(rng, SIDE, SIDE, 70)
    dough = noise(rng, SIDE, SIDE, 60) * 0.25 + np.abs(across)
    albedo = paint(dough, (0.2, "#e0a560"), (0.8, "#b9722e"), (1.1, "#8f5420"))
    wave = 0.05 * np.sin(a * 9 + 1) + 0.035 * np.sin(a * 5 + 2) + 0.02 * np.sin(a * 14)
    icing = (1 - smooth(0.80, 0.815, r + wave)) * smooth(0.385, 0.40, r + wave * 0.5)
    gloss = noise(rng, SIDE, SIDE, 150) * 0.5 + 0.5
    albedo = blend(albedo, paint(gloss, (0, "#c93f74"), (0.6, "#e0618f"), (1, "#ee86aa")), icing)
    height = height + 9 * blur(icing, 4)
    for _ in range(95):
        radius, turn, lean = rng.uniform(0.46, 0.74), rng.uniform(-np.pi, np.pi), rng.uniform(0, np.pi)
        cx, cy = (radius * np.cos(turn) + 1) * SIDE / 2, (radius * np.sin(turn) + 1) * SIDE / 2
        ends = [(round(cx + s * 7 * np.cos(lean)), round(cy + s * 7 * np.sin(lean))) for s in (-1, 1)]
        stick: Array = np.zeros((SIDE, SIDE), np.float32)
        cv2.line(stick, ends[0], ends[1], 1.0, 6, cv2.LINE_AA)
        color = ("#fff3dc", "#f6c945", "#5fc3c9", "#ffffff", "#8d5bd0")[int(rng.integers(5))]
        albedo = blend(albedo, flat(color), stick)
        height = height + 5 * blur(stick, 1.2)
    return Relief(albedo, blur(height, 1.5), alpha, 0.4)


def cloth(rng: np.random.Generator, height: int, width: int, unit: int) -> Array:
    """The ground: blue-grey linen with paler stripes and soft folds, lit, RGB (H, W, 3).

    `unit` is the size in pixels that one pixel of the clip has here.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    slub_x = cv2.resize(noise(rng, height // 2, width // 60, 2, 2), (width, height), interpolation=cv2.INTER_LINEAR)
    slub_y = cv2.resize(noise(rng, height // 60, width // 2, 2, 2), (width, height), interpolation=cv2.INTER_LINEAR)
    thread = np.sin(x * np.float32(2 * np.pi / 9)) * np.sin(y * np.float32(2 * np.pi / 9))
    tone = 0.5 + 0.10 * thread + 0.11 * slub_x + 0.11 * slub_y + 0.10 * noise(rng, height, width, 700, 3)
    albedo = paint(tone, (0.0, "#34505c"), (0.5, "#5b7f8b"), (1.0, "#8fb0b6"))
    pale = paint(tone, (0.0, "#8f9c98"), (0.5, "#c3cbc2"), (1.0, "#e4e6dc"))
    across = (x * np.float32(0.28) + y * np.float32(0.96)) / unit
    for centre, half in ((165, 26), (215, 5), (480, 26), (530, 5)):
        stripe = 1 - smooth(half - 1.5, half + 1.5, np.abs(across - np.float32(centre)))
        albedo = blend(albedo, pale, stripe * np.float32(0.85))
    folds = noise(rng, height, width, 900, 2) * 60
    return np.asarray(albedo * shading(folds, 0)[0][..., None], np.float32)


# --- light -------------------------------------------------------------------------------------


def shading(height: Array, gloss: float) -> tuple[Array, Array]:
    """Diffuse and specular light (H, W) of a height map in pixels (H, W)."""
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    return lit(np.stack([-dx, -dy, np.ones_like(dx)], axis=-1), gloss)


def lit(normal: Array, gloss: float) -> tuple[Array, Array]:
    """Diffuse and specular light (H, W) of normals (H, W, 3) of any length."""
    unit = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    half = LIGHT + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    diffuse = 0.46 + 0.86 * np.clip(unit @ LIGHT, 0, 1)
    return diffuse.astype(np.float32), np.float32(gloss) * np.clip(unit @ half, 0, 1) ** 42
