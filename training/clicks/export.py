"""Writes the click network as the ONNX file that the engine ships."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from training.clicks.network import CHANNELS, MAPS, POINTS, TAPS, Decoder
from training.onnx_file import write

_STRIDES = (2, 4, 8, 16, 32)
_SIZE = (192, 256)


class _Served(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, picture: Tensor, *rest: Tensor) -> Tensor:
        taps, (maps, on, off) = list(rest[: len(TAPS)]), rest[len(TAPS) :]
        logits: Tensor = self.decoder(picture, taps, maps, on, off)[0]
        return logits


def export(decoder: Decoder, out: Path) -> None:
    """Inputs: `picture` RGB 0 to 1, the taps by name, `maps`, `on`, `off`; output: `logits`. Any size, by 32."""
    height, width = _SIZE
    given = {"picture": torch.zeros(1, 3, height, width)}
    for name, channels, stride in zip(TAPS, CHANNELS, _STRIDES, strict=True):
        given[name] = torch.zeros(1, channels, height // stride, width // stride)
    given["maps"] = torch.zeros(1, MAPS, height, width)
    sized = list(given)
    given |= {name: torch.zeros(1, POINTS, 3) for name in ("on", "off")}
    write(_Served(decoder), given, out, sized)
