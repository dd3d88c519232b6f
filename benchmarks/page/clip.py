"""The clip and the masks of the measurement: the sample at 1080p, forth and back, and five objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, Rle
from backend.masks import decode
from backend.media.writer import VideoWriter
from backend.settings import ROOT

SIZE = (1080, 1920)
"""Height and width."""
FPS = Fraction(24)
OBJECTS = 5


def frames(count: int) -> Iterator[Image]:
    """The sample's frames at 1080p, forth and back, `count` of them: RGB, uint8, (1080, 1920, 3)."""
    capture = cv2.VideoCapture(str(ROOT / "assets" / "sample.mp4"))
    small = []
    while (read := capture.read())[0]:
        small.append(read[1])
    capture.release()
    for index in range(count):
        lap, place = divmod(index, len(small) - 1)
        frame = small[place if lap % 2 == 0 else len(small) - 1 - place]
        large = cv2.resize(frame, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_CUBIC)
        yield np.ascontiguousarray(large[..., ::-1])


def write(path: Path, count: int) -> None:
    """Write the clip as H.264."""
    with VideoWriter(path, SIZE[1], SIZE[0], FPS) as writer:
        for frame in frames(count):
            writer.write(frame)


def masks() -> list[BoolMask]:
    """The objects' masks on the first frame, bool, (1080, 1920); the fifth is the first one elsewhere."""
    told = json.loads((ROOT / "assets" / "sample_masks.json").read_text())
    height, width = told["size"]
    out = []
    for counts in told["frames"][0]:
        small = decode(Rle(counts, height, width)).astype(np.uint8) * 255
        large = cv2.resize(small, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_LINEAR)
        out.append(large >= 128)
    while len(out) < OBJECTS:
        out.append(np.roll(out[0], (-120, 260), (0, 1)))
    return out[:OBJECTS]
