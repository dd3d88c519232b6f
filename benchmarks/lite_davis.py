"""How well and how fast the embedded engine follows one object: DAVIS 2016, by its protocol.

    python -m benchmarks.lite_davis [sequence ...]

One perfect first mask; J (mean IoU) and F (boundary accuracy) over the frames between the first
and the last; milliseconds of CPU a frame on one thread, without reading the files; peak memory of
the whole process; and how far the engine's own scores go with J. The pictures are taken from
`SAM3_EVAL_DATA` (default `../shared/data` beside the repository); without them the benchmark says
so and ends well.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, Leg, Seed, Snapshot, Span, Video
from backend.engines.lite import LiteEngine
from backend.masks import encode

ROOT = Path(__file__).resolve().parent.parent


def on_one_thread() -> None:
    """Start the program again with one thread for numpy's algebra, which is settled at import."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def data_folder(name: str) -> Path | None:
    """A folder of the evaluation data; None, and a line that says so, where it is missing."""
    base = Path(os.environ.get("SAM3_EVAL_DATA") or ROOT / "../shared/data")
    if (base / name).is_dir():
        return base / name
    sys.stdout.write(f"Skipped: there is no folder “{name}” of evaluation data. Set SAM3_EVAL_DATA to where it is.\n")
    return None


def read_picture(path: Path) -> Image:
    """An RGB picture (H, W, 3)."""
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path) -> BoolMask:
    """A mask (H, W) from a grey picture of 0 and 255."""
    return np.asarray(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) > 127)


class Folder:
    """A sequence's frames, read from disk as they are asked for; a `FrameSource`."""

    def __init__(self, sequence: Path) -> None:
        self.name = sequence.name
        self.pictures = sorted((sequence / "frames").iterdir())
        self.masks = sorted((sequence / "masks").iterdir())
        self.seconds = 0.0
        """CPU time spent on reading."""

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, frame_index: int) -> Image:
        began = time.process_time()
        picture = read_picture(self.pictures[frame_index])
        self.seconds += time.process_time() - began
        return picture

    def video(self) -> Video:
        height, width = read_picture(self.pictures[0]).shape[:2]
        size = len(self)
        return Video(self.name, self.pictures[0].parent, self.name, width, height, Fraction(24), size, size / 24)


def region(a: BoolMask, b: BoolMask) -> float:
    """J: intersection over union; 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _outline(mask: BoolMask) -> BoolMask:
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return np.asarray((here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:]))


def boundary(a: BoolMask, b: BoolMask) -> float:
    """F: harmonic mean of the outlines' precision and recall, within 0.8 % of the diagonal."""
    reach = int(np.ceil(0.008 * np.hypot(*a.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    lines = _outline(a), _outline(b)
    counts = [int(line.sum()) for line in lines]
    if not all(counts):
        return float(not any(counts))
    near = [cv2.dilate(line.view(np.uint8), disc).astype(np.bool_) for line in lines]
    precision, recall = int((lines[0] & near[1]).sum()) / counts[0], int((lines[1] & near[0]).sum()) / counts[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True)
class Score:
    region: float
    boundary: float
    milliseconds: float
    scored: tuple[tuple[float, float], ...] = ()
    """The engine's score and J of each frame."""


def measure(engine: LiteEngine, frames: Folder) -> Score:
    """Follow a sequence's object through the engine's public protocol."""
    seed = Seed(0, 1, encode(read_mask(frames.masks[0])), prompted=True)
    span = Span("forward", (Leg(range(len(frames))),), (1,), (seed,), 2)
    handle = engine.open(frames.video(), frames, Snapshot())
    run = engine.propagate(handle, span)
    next(run)
    spent, frames.seconds = 0.0, 0.0
    regions, boundaries, scores = [], [], []
    for index in range(1, len(frames)):
        began = time.process_time()
        result = next(run)
        mask = result.masks[0]
        spent += time.process_time() - began
        if index < len(frames) - 1:
            truth = read_mask(frames.masks[index])
            regions.append(region(mask, truth))
            boundaries.append(boundary(mask, truth))
            scores.append(result.scores[0])
    engine.close(handle)
    cost = 1000 * (spent - frames.seconds) / (len(frames) - 1)
    return Score(float(np.mean(regions)), float(np.mean(boundaries)), cost, tuple(zip(scores, regions, strict=True)))


def main(wanted: list[str]) -> None:
    folder = data_folder(os.environ.get("LITE_DAVIS_SET", "davis"))
    if folder is None:
        return
    with tempfile.TemporaryDirectory() as cache:
        engine = LiteEngine(Path(cache))
        sequences = [f for f in sorted(folder.iterdir()) if f.is_dir() and (not wanted or f.name in wanted)]
        scores: list[tuple[float, float, float]] = []
        scored: list[tuple[float, float]] = []
        for sequence in sequences:
            score = measure(engine, Folder(sequence))
            scores.append((score.region, score.boundary, score.milliseconds))
            scored.extend(score.scored)
            sys.stdout.write("{:<18} J {:.3f}  F {:.3f}  {:4.0f} ms a frame\n".format(sequence.name, *scores[-1]))
            sys.stdout.flush()
        sys.stdout.write("{:<18} J {:.3f}  F {:.3f}  {:4.0f} ms a frame\n".format("mean", *np.mean(scores, 0)))
    guessed, true = np.array(scored).T
    sys.stdout.write(
        f"scores: mean {guessed.mean():.3f}, correlation with J over all {len(true)} frames "
        f"{np.corrcoef(guessed, true)[0, 1]:.3f}\n"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"peak memory of the process: {peak:.0f} MB\n")


if __name__ == "__main__":
    on_one_thread()
    main(sys.argv[1:])
