"""How good the embedded engine's masks are after so many clicks, and from a box.

    python -m benchmarks.lite.clicks [davis | davis_train | multi | clicks ...]

Each click goes into the middle of the largest mistake, as a careful person's would; all go through
the engine's public protocol. On the first frames of DAVIS sequences, on the objects of surveillance
clips' first frames (`multi`) and on COCO photographs, from `SAM3_EVAL_DATA` as in `benchmarks.lite`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Box, Image, Points, Prompt, PromptRequest, Snapshot, Video
from backend.engines.lite import LiteEngine
from backend.masks import encode, mask_box
from benchmarks.lite.data import data_folder, on_one_thread, read_mask, read_picture, sequences
from benchmarks.lite.measures import region

ROUNDS = 8
SHOWN = (1, 2, 3, 5, 8)


class Photograph:
    """A `FrameSource` of one picture."""

    def __init__(self, picture: Image) -> None:
        self._picture = picture

    def __len__(self) -> int:
        return 1

    def read(self, frame_index: int) -> Image:
        return self._picture

    def video(self) -> Video:
        height, width = self._picture.shape[:2]
        return Video("still", Path("still.jpg"), "still", width, height, Fraction(1), 1, 1.0, "image")


def targets(name: str) -> Iterator[tuple[Image, BoolMask]]:
    """Pictures with one object's mask each."""
    folder = data_folder(name)
    if folder is None:
        return
    if name == "multi":
        for clip in sequences(name):
            for mask in clip.truth(0)[0].values():
                yield clip.read(0), mask
    elif name == "clicks":
        for file in sorted((folder / "masks").iterdir()):
            yield read_picture(folder / "images" / f"{file.stem}.jpg"), read_mask(file)
    else:
        for sequence in sorted(folder.iterdir()):
            first = sorted((sequence / "frames").iterdir())[0]
            yield read_picture(first), read_mask(sequence / "masks" / f"{first.stem}.png")


def next_click(truth: BoolMask, mask: BoolMask) -> tuple[int, int, int]:
    """Column, row and label of a click into the middle of the largest mistake."""
    depths = [
        cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        for wrong in (~truth & mask, truth & ~mask)
    ]
    label = int(depths[1].max() >= depths[0].max())
    row, column = np.unravel_index(int(depths[label].argmax()), truth.shape)
    return int(column), int(row), label


def measure(engine: LiteEngine, picture: Image, truth: BoolMask) -> tuple[list[float], float, float]:
    """IoU after each click, IoU from a box, milliseconds of CPU a prompt."""
    frames = Photograph(picture)
    handle = engine.open(frames.video(), frames, Snapshot())
    height, width = truth.shape
    mask = np.zeros_like(truth)
    history: list[Prompt] = []
    scores, spent = [], 0.0
    for turn in range(ROUNDS):
        x, y, label = next_click(truth, mask)
        click = Points((((x + 0.5) / width, (y + 0.5) / height),), (label,))
        obj_id, current = (1, encode(mask)) if turn else (None, None)
        began = time.process_time()
        result = engine.apply(handle, PromptRequest(0, (click,), obj_id, 1, tuple(history), current))
        spent += time.process_time() - began
        mask = result.masks[0]
        history.append(click)
        scores.append(region(mask, truth))
    box = mask_box(truth)
    assert box is not None
    began = time.process_time()
    result = engine.apply(handle, PromptRequest(0, (Box(box),), None, 2))
    spent += time.process_time() - began
    boxed = region(result.masks[0], truth) if len(result.masks) else 0.0
    engine.close(handle)
    return scores, boxed, 1000 * spent / (ROUNDS + 1)


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as cache:
        engine = LiteEngine(Path(cache))
        for name in names:
            measured = [measure(engine, picture, truth) for picture, truth in targets(name)]
            if not measured:
                continue
            clicks = np.array([m[0] for m in measured])
            lowered = int((np.diff(clicks, axis=1) < -0.02).sum())
            means = "  ".join(f"{n}: {clicks[:, n - 1].mean():.3f}" for n in SHOWN)
            box = np.mean([m[1] for m in measured])
            cost = np.mean([m[2] for m in measured])
            sys.stdout.write(
                f"{name} ({len(measured)})  IoU after clicks {means}  box {box:.3f}  {cost:.0f} ms a prompt  "
                f"{lowered} of {clicks[:, 1:].size} clicks made it worse\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    on_one_thread()
    main(sys.argv[1:] or ["davis", "davis_train", "multi", "clicks"])
