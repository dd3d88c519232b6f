"""Train the tracker's refiner and write it where the engine looks for it.

    python -m training.tracker [--clips 160] [--batches 2000] [--seed 1]

First the tracker runs over rendered clips, then the network learns from what it met there.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.engines.lite.backbone import Backbone
from training.average import Average
from training.data import photographs
from training.tracker.export import export
from training.tracker.network import Refiner
from training.tracker.render import Renderer
from training.tracker.rollouts import Examples, roll_out

BATCH = 8
RATE = 1.5e-3
FRAMES = 20
"""Frames a clip."""


def collect(clips: int, seed: int) -> Examples:
    """The tracker's runs over so many clips."""
    out = Examples()
    renderer, rng = Renderer(photographs(), seed), np.random.default_rng(seed)
    began = time.monotonic()
    overlaps = []
    with tempfile.TemporaryDirectory() as cache:
        backbone = Backbone(Path(cache))
        for number in range(1, clips + 1):
            overlaps.append(roll_out(backbone, renderer.clip(FRAMES), rng, out))
            if number % 20 == 0:
                spent = time.monotonic() - began
                sys.stdout.write(
                    f"{number} clips, {len(out.truth)} frames, {spent:.0f} s: IoU {np.mean(overlaps):.3f}\n"
                )
                sys.stdout.flush()
    return out


class Batches:
    """Varied batches of the examples: turned over, noisy, with cues that mislead."""

    def __init__(self, examples: Examples, seed: int) -> None:
        self._rows = {name: torch.from_numpy(np.stack(rows)) for name, rows in examples.rows.items()}
        self._truth = torch.from_numpy(np.stack(examples.truth))
        self._rng = np.random.default_rng(seed)
        self._left: list[int] = []

    def next(self) -> tuple[dict[str, Tensor], Tensor]:
        rng = self._rng
        if len(self._left) < BATCH:
            self._left = rng.permutation(len(self._truth)).tolist()
        chosen = [self._left.pop() for _ in range(BATCH)]
        given = {name: rows[chosen].float() for name, rows in self._rows.items()}
        truth = self._truth[chosen].float()[:, None] / 255
        for axis, often in ((-1, 0.5), (-2, 0.1)):
            if rng.random() < often:
                given = {name: value.flip(axis) for name, value in given.items()}
                truth = truth.flip(axis)
        cues = given["cues"].clone()
        for i in range(BATCH):
            doubt = rng.random()
            if doubt < 0.15:
                shift = [int(v) for v in rng.integers(-10, 11, 2)]
                cues[i, :2] = torch.roll(cues[i, :2], shift, (-2, -1))
            elif doubt < 0.5:
                # The object has changed: what is remembered of it says less, or says it of the ground too.
                cues[i, 4:7] = cues[i, 4:7] * float(rng.uniform(0.1, 0.9)) - float(rng.uniform(0, 0.6))
            elif doubt < 0.6:
                cues[i, int(rng.integers(3, 7))] = 0
            gain, tint = float(rng.uniform(0.75, 1.25)), torch.from_numpy(rng.uniform(-0.2, 0.2, (3, 1, 1))).float()
            cues[i, 7:] = cues[i, 7:] * gain + tint
            given["picture"][i] = given["picture"][i] * gain + tint
        cues[:, :7] += 0.05 * torch.randn_like(cues[:, :7])
        given["cues"] = cues
        for name, share in (("b2", 0.1), ("b3", 0.1), ("b5", 0.15)):
            given[name] = functional.dropout2d(given[name], share) * (1 - share)
        return given, truth


def _overlap(logits: Tensor, truth: Tensor) -> float:
    on, want = logits > 0, truth > 0.5
    both, either = (on & want).sum((1, 2, 3)), (on | want).sum((1, 2, 3))
    return float((both / either.clamp(min=1)).mean())


def train(examples: Examples, batches: int, seed: int, out: Path) -> None:
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    network = Refiner().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, 0.99)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    source = Batches(examples, seed)
    began, recent = time.monotonic(), []
    for number in range(1, batches + 1):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, number / 40) * 0.5 * (1 + math.cos(math.pi * number / batches)) + 1e-5
        given, truth = source.next()
        logits = network(**given)
        shares = logits.sigmoid()
        entropy = functional.binary_cross_entropy_with_logits(logits, truth)
        both = (shares * truth).sum((1, 2, 3))
        dice = 1 - ((2 * both + 20) / (shares.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 20)).mean()
        loss = 2 * entropy + dice
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        average.update()
        fused = functional.interpolate(given["cues"][:, 2:3], scale_factor=2.0, mode="bilinear")
        recent.append((loss.item(), _overlap(logits, truth), _overlap(fused, truth)))
        if number % 100 == 0:
            mean = np.mean(recent[-100:], 0)
            spent = time.monotonic() - began
            sys.stdout.write(
                f"{number} batches, {spent:.0f} s: loss {mean[0]:.4f}, IoU {mean[1]:.3f}, before {mean[2]:.3f}\n"
            )
            sys.stdout.flush()
    best = Refiner()
    average.into(best)
    export(best, out)
    sys.stdout.write(f"{batches} batches of {BATCH} → {out} ({out.stat().st_size / 1e6:.2f} MB)\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the tracker's refiner.")
    parser.add_argument("--clips", type=int, default=160)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("backend/engines/lite/heads/tracker.onnx"))
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    train(collect(asked.clips, asked.seed), asked.batches, asked.seed, asked.out)
