"""What a frame costs in each look: milliseconds of `backend.masks.looks.paint` at 1920 × 1080, five objects.

    python -m benchmarks.looks

The pictures are the sample's, enlarged, with its objects' exact masks and one more disc. The looks
take turns, so that a busy machine slows all of them alike; the median of each is told, and its
ratio to `fill`, which is what overlays were painted with before there were looks.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np

from backend.domain import Image
from backend.masks.looks import LOOKS, Look, paint
from backend.masks.overlay import Layer, color_of
from backend.masks.rle import decode, parse

ASSETS = Path(__file__).parent.parent / "assets"
SIZE = (1920, 1080)
FRAME = 40
ROUNDS = 30


def scene() -> tuple[Image, list[Layer]]:
    """A picture (1080, 1920, 3) and five objects on it."""
    capture = cv2.VideoCapture(str(ASSETS / "sample.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, FRAME)
    _, picture = capture.read()
    capture.release()
    large = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), SIZE, interpolation=cv2.INTER_CUBIC)
    exact = json.loads((ASSETS / "sample_masks.json").read_text())
    height, width = exact["size"]
    masks = [decode(parse(counts, height, width)).view(np.uint8) for counts in exact["frames"][FRAME]]
    disc = np.zeros((height, width), np.uint8)
    cv2.circle(disc, (width // 2, height // 2), height // 8, 1, -1)
    layers = [
        Layer(cv2.resize(m, SIZE, interpolation=cv2.INTER_NEAREST).view(np.bool_), color_of(i), f"{i} Object {i}")
        for i, m in enumerate([*masks, disc], 1)
    ]
    return np.asarray(large, np.uint8), layers


def main() -> None:
    cv2.setNumThreads(1)
    picture, layers = scene()
    spent: dict[str, list[float]] = {name: [] for name in LOOKS}
    for _ in range(ROUNDS):
        for name in LOOKS:
            began = time.perf_counter()
            paint(picture, layers, Look(name))
            spent[name].append((time.perf_counter() - began) * 1000)
    fill = float(np.median(spent["fill"]))
    covered = np.mean([layer.mask.mean() for layer in layers]) * len(layers)
    print(f"{SIZE[0]} × {SIZE[1]}, {len(layers)} objects over {covered:.0%} of the picture, one thread")
    for name in LOOKS:
        median = float(np.median(spent[name]))
        print(f"{name:20} {median:6.1f} ms  {median / fill:5.2f} × fill")


if __name__ == "__main__":
    main()
