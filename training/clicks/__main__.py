"""Train the click network and write it where the engine looks for it.

    python -m training.clicks [--batches 2600] [--seed 1] [--out backend/engines/lite/heads/clicks.onnx]

The backbone stays as it is. Threads: torch's own (`OMP_NUM_THREADS`).
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.average import Average
from training.backbone import Backbone
from training.clicks.export import export
from training.clicks.network import STAGES, TAPS, Decoder
from training.clicks.person import Person
from training.clicks.samples import SIDE, Sample, Sampler
from training.data import photographs

BATCH = 12
RATE = 2e-3
ROUNDS = (0.4, 0.25, 0.2, 0.15)
"""How often a batch has had so many rounds of clicks before: 0, 1, 2, 3."""


def loss_of(logits: Tensor, coarse: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Normalised focal loss, soft IoU and cross entropy; the coarse copy by cross entropy."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    share = logits.sigmoid()
    right = torch.where(truth > 0, share, 1 - share)
    focus = ((1 - right) ** 1.5 * weight).detach()
    every = (1, 2, 3)
    focal = (focus * entropy).sum(every) / (focus.sum(every) + 50)
    both = (share * truth * weight).sum(every)
    either = ((share + truth - share * truth) * weight).sum(every)
    overlap = 1 - (both + 1) / (either + 1)
    small = functional.adaptive_avg_pool2d(truth, (coarse.shape[2], coarse.shape[3]))
    aside = functional.binary_cross_entropy_with_logits(coarse, small)
    return (0.7 * focal + overlap + (entropy * weight).mean(every)).mean() + 0.3 * aside


class Trainer:
    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.backbone = Backbone(STAGES, TAPS).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.decoder = Decoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.decoder)
        self.rng = np.random.default_rng(seed)
        shrunk = [p for p in self.decoder.parameters() if p.ndim > 1]
        free = [p for p in self.decoder.parameters() if p.ndim <= 1]
        groups = [{"params": shrunk, "weight_decay": 0.01}, {"params": free, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=RATE)

    def answer(self, pictures: Tensor, taps: list[Tensor], person: Person) -> tuple[Tensor, Tensor]:
        return self.decoder(pictures, taps, *person.tensors())  # type: ignore[no-any-return]

    def step(self, samples: list[Sample], rate: float) -> tuple[float, float, int]:
        """One batch; its loss, its IoU, and how many rounds of clicks it had before."""
        pictures = torch.from_numpy(np.stack([s.picture for s in samples])).permute(0, 3, 1, 2)
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        truth = torch.from_numpy(np.stack([s.mask for s in samples]).astype(np.float32))[:, None]
        weight = torch.from_numpy(np.stack([s.weight for s in samples]))[:, None]
        person = Person([s.mask for s in samples], self.rng)
        rounds = int(self.rng.choice(len(ROUNDS), p=ROUNDS))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            taps = self.backbone(pictures * 255)
            self.decoder.eval()
            for _ in range(rounds):
                with torch.no_grad():
                    logits, _ = self.answer(pictures, taps, person)
                person.look(logits.float().sigmoid()[:, 0].numpy())
            self.decoder.train()
            logits, coarse = self.answer(pictures, taps, person)
        loss = loss_of(logits.float(), coarse.float(), truth, weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 3.0)
        self.optimizer.step()
        self.average.update()
        return loss.item(), _overlap(logits, truth), rounds


def _overlap(logits: Tensor, truth: Tensor) -> float:
    on = logits > 0
    both, either = (on & (truth > 0)).sum((1, 2, 3)), (on | (truth > 0)).sum((1, 2, 3))
    return float((both / either.clamp(min=1)).mean())


def train(batches: int, seed: int, out: Path) -> None:
    cv2.setNumThreads(1)
    torch.set_flush_denormal(True)
    trainer = Trainer(seed)
    sampler = Sampler(photographs(), seed)
    began, recent = time.monotonic(), []
    for number in range(1, batches + 1):
        rate = RATE * min(1, number / 60) * (0.02 + 0.49 * (1 + math.cos(math.pi * number / batches)))
        recent.append(trainer.step([sampler.sample() for _ in range(BATCH)], rate))
        if number % 100 == 0:
            loss, overlap, _ = np.mean(recent[-100:], 0)
            first = np.mean([r[1] for r in recent[-400:] if not r[2]])
            last = np.mean([r[1] for r in recent[-400:] if r[2] > 1])
            sys.stdout.write(
                f"{number} batches, {time.monotonic() - began:.0f} s: loss {loss:.3f}, IoU {overlap:.3f}, "
                f"of the first round {first:.3f}, of the third on {last:.3f}\n"
            )
            sys.stdout.flush()
    best = Decoder()
    trainer.average.into(best)
    export(best, out)
    sys.stdout.write(f"{batches} batches of {BATCH} at {SIDE}² → {out} ({out.stat().st_size / 1e6:.2f} MB)\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the click network.")
    parser.add_argument("--batches", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("backend/engines/lite/heads/clicks.onnx"))
    given = parser.parse_args()
    train(given.batches, given.seed, given.out)
