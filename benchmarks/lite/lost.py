"""Objects that leave the picture on one side and come back on the other: are they found again, and nothing else?

    python -m benchmarks.lite.lost [--clips 24]

Clips are rendered out of the photographs of `clicks`: a cut-out goes out of another picture, stays away for twelve
frames, and comes in elsewhere, turned and somewhat larger or smaller. Measured are J while it is there first, the
frames on which something is shown while it is away, and J after it has stopped again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, Leg, Seed, Snapshot, Span, Video
from backend.engines.lite import LiteEngine
from backend.masks import encode
from benchmarks.lite.data import data_folder, on_one_thread
from benchmarks.lite.measures import region
from training.data import Photograph, photographs

SIZE = 288, 512
LEAVES, AWAY, STAYS = 14, 12, 20
"""Frames until it is gone, while it is away, and after."""
COMES = 12
"""Frames until it is back where it stays."""
_SHARE = 0.28
"""Length of an object over the picture's height."""


class Clip:
    """Frames and the object's masks, in memory; a `FrameSource`."""

    def __init__(self, pictures: Sequence[Image], masks: Sequence[BoolMask]) -> None:
        self.pictures, self.masks = pictures, masks

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, frame_index: int) -> Image:
        return self.pictures[frame_index]

    def video(self) -> Video:
        return Video("lost", Path("lost.mp4"), "lost", SIZE[1], SIZE[0], Fraction(24), len(self), len(self) / 24)


def _way(rng: np.random.Generator) -> Iterator[tuple[float, float, float, float] | None]:
    """Centre, size and turn on each frame, x and y in widths and heights; None while it is away."""
    side, height = float(rng.choice([-1, 1])), rng.uniform(0.35, 0.65)
    for step in range(LEAVES):
        yield 0.5 + side * 0.75 * step / LEAVES, height, 1.0, 0.0
    for _ in range(AWAY):
        yield None
    back, other, size, turn = -side, rng.uniform(0.3, 0.7), rng.uniform(0.8, 1.25), rng.uniform(-0.25, 0.25)
    for step in range(STAYS):
        gone = 0.75 - 0.5 * min(step / 8, 1)
        yield 0.5 + back * gone, other, size, turn


def render(rng: np.random.Generator, actors: list[Photograph], stages: list[Photograph]) -> Clip:
    photograph = actors[int(rng.integers(len(actors)))]
    target = max(photograph.targets, key=lambda t: t.area)
    x0, y0, x1, y1 = target.box
    stage = stages[int(rng.integers(len(stages)))]
    backdrop = cv2.resize(stage.picture, (SIZE[1] + 64, SIZE[0] + 36), interpolation=cv2.INTER_AREA)
    scale = _SHARE * SIZE[0] / max(x1 - x0, y1 - y0)
    mask = (photograph.labels == target.value).astype(np.float32)
    drift = rng.uniform(-1, 1, 2)
    pictures, masks = [], []
    for number, at in enumerate(_way(rng)):
        dx, dy = (int(16 + 14 * v * np.sin(number / 9)) for v in drift)
        picture = backdrop[dy : dy + SIZE[0], dx : dx + SIZE[1]].astype(np.float32)
        alpha = np.zeros(SIZE, np.float32)
        if at is not None:
            cx, cy, size, turn = at
            zoom = scale * size
            c, s = zoom * np.cos(turn), zoom * np.sin(turn)
            mx, my = (x0 + x1) / 2, (y0 + y1) / 2
            matrix = np.array([[c, -s, cx * SIZE[1] - c * mx + s * my], [s, c, cy * SIZE[0] - s * mx - c * my]])
            alpha = np.asarray(cv2.warpAffine(mask, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR), np.float32)
            moved = cv2.warpAffine(photograph.picture, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR)
            picture = picture * (1 - alpha[..., None]) + moved * alpha[..., None]
        noise = rng.normal(0, 2.5, picture.shape)
        pictures.append(np.clip(picture + noise, 0, 255).astype(np.uint8))
        masks.append(np.asarray(alpha > 0.5))
    return Clip(pictures, masks)


def follow(engine: LiteEngine, clip: Clip) -> list[BoolMask]:
    span = Span("forward", (Leg(range(len(clip))),), (1,), (Seed(0, 1, encode(clip.masks[0]), prompted=True),), 2)
    handle = engine.open(clip.video(), clip, Snapshot())
    found = [result.masks[0] for result in engine.propagate(handle, span)]
    engine.close(handle)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lite.lost")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    if data_folder("clicks") is None:
        return
    cv2.setNumThreads(1)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        engine = LiteEngine(Path(cache))
        pictures = photographs()
        actors = [p for p in pictures if max(t.area for t in p.targets) > 4000]
        for number in range(args.clips):
            clip = render(np.random.default_rng([args.seed, number]), actors, pictures)
            found = follow(engine, clip)
            before = [region(found[i], clip.masks[i]) for i in range(1, LEAVES - 5)]
            away = [found[i].any() for i in range(LEAVES + 2, LEAVES + AWAY)]
            back = range(LEAVES + AWAY + COMES, len(clip))
            after = [region(found[i], clip.masks[i]) for i in back]
            rows.append((np.mean(before), np.mean(away), np.mean(after), np.mean(np.array(after) > 0.5)))
            print("{:>3}  before {:.2f}  shown while away {:.2f}  after {:.2f}".format(number, *rows[-1]), flush=True)
    mean = np.mean(rows, 0)
    print(
        f"mean of {len(rows)}: J before {mean[0]:.3f}, shown while away on {mean[1]:.0%} of the frames, "
        f"J after {mean[2]:.3f}, found again on {mean[3]:.0%} of the frames"
    )


if __name__ == "__main__":
    on_one_thread()
    main()
