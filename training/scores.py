"""Fit what the tracker's scores are read off: which signs of a step come with which IoU.

    python -m training.scores [--clips 120] [--seed 2]

Runs the tracker, refiner and all, over rendered clips until it fails or they end, and prints the weights for
`backend/engines/lite/certainty.py`, with the correlation on clips of photographs that are held out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.engines.lite.backbone import Backbone
from backend.engines.lite.certainty import Signs
from backend.engines.lite.compose import compose
from backend.engines.lite.refiner import Refiner
from backend.engines.lite.tracker import Track
from training.data import photographs
from training.tracker.render import Renderer
from training.tracker.rollouts import walk

Numbers = NDArray[np.float64]

FRAMES = 30
_DECAY = 1.0


def collect(renderer: Renderer, clips: int, cache: Path, seed: int) -> tuple[Numbers, Numbers]:
    """Signs (n, 11) and IoU (n,) of each step in which the object was not given up."""
    backbone, refiner = Backbone(cache), Refiner()
    rows, overlaps = [], []
    for number in range(clips):
        track = Track(1, np.random.default_rng([seed, number]), refiner)
        for scene, mask in walk(backbone, renderer.clip(FRAMES), track):
            past = track.shape
            if track.signs is None or past is None:
                continue
            found = compose(scene.picture, {1: (past.crop, past.soft)}, {}).masks[1]
            rows.append(track.signs)
            overlaps.append((found & mask).sum() / max((found | mask).sum(), 1))
        if number % 20 == 19:
            sys.stdout.write(f"{number + 1} clips, {len(rows)} steps: IoU {np.mean(overlaps):.3f}\n")
            sys.stdout.flush()
    return np.array(rows, np.float64), np.array(overlaps, np.float64)


def fit(signs: Numbers, overlaps: Numbers) -> Numbers:
    """Weights (12,), the bias first: cross entropy of the IoU as a share, by Newton's method."""
    inputs = np.column_stack([np.ones(len(signs)), signs])
    weights = np.zeros(inputs.shape[1])
    decay = _DECAY * np.diag([0.0, *np.ones(signs.shape[1])])
    for _ in range(30):
        guess = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (guess - overlaps) + decay @ weights
        bend = (inputs * (guess * (1 - guess))[:, None]).T @ inputs + decay
        weights -= np.linalg.solve(bend, slope)
    return weights


def main(clips: int, seed: int) -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        signs, overlaps = collect(Renderer(photographs(), seed), clips, Path(folder), seed)
        weights = fit(signs, overlaps)
        others, theirs = collect(Renderer(photographs(held_out=True), seed), max(clips // 4, 1), Path(folder), seed)
    guess = 1 / (1 + np.exp(-(weights[0] + others @ weights[1:])))
    named = ", ".join(f"{name}={w:.2f}" for name, w in zip(Signs._fields, weights[1:], strict=True))
    sys.stdout.write(f"WEIGHTS = _Weights({weights[0]:.2f}, Signs({named}))\n")
    sys.stdout.write(
        f"held out: {len(theirs)} steps, IoU {theirs.mean():.3f} and guessed {guess.mean():.3f}, "
        f"correlation {np.corrcoef(guess, theirs)[0, 1]:.3f}; of the evidence's certainty alone "
        f"{np.corrcoef(others[:, 0], theirs)[0, 1]:.3f}\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit the tracker's scores.")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    main(asked.clips, asked.seed)
