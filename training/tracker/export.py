"""Writes the refiner as the ONNX file that the engine ships."""

from __future__ import annotations

from pathlib import Path

import torch

from training.onnx_file import write
from training.tracker.network import CUES, Refiner

_SIZES = {"cues": (CUES, 96), "b2": (24, 96), "b3": (40, 48), "b5": (112, 24), "picture": (3, 192)}


def export(network: Refiner, out: Path) -> None:
    """Inputs: `cues`, `b2`, `b3`, `b5`, `picture`; output: `logits`. One crop at a time."""
    write(network, {name: torch.zeros(1, c, side, side) for name, (c, side) in _SIZES.items()}, out)
