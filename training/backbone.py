"""The embedded engine's frozen backbone in torch, from the very weights that it runs in onnxruntime."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.engines.lite.backbone import convolutions, padding
from backend.engines.lite.weights import load_weights

MEAN, STD = 127.0, 128.0


class Backbone(nn.Module):
    """Pictures (B, 3, H, W), RGB 0 to 255, sides multiples of 32, to the taps asked for, by name."""

    def __init__(self, stages: int, taps: tuple[str, ...]) -> None:
        super().__init__()
        self._steps = convolutions(load_weights(), stages)
        self._taps = taps
        for number, step in enumerate(self._steps):
            self.register_buffer(f"w{number}", torch.from_numpy(step.kernel.copy()))
            self.register_buffer(f"c{number}", torch.from_numpy(step.bias.copy()))

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> list[Tensor]:
        now = (pictures - MEAN) / STD
        entry = now
        found: dict[str, Tensor] = {}
        for number, step in enumerate(self._steps):
            entry = now if step.opens else entry
            top, left, bottom, right = padding(step.kernel.shape[2], step.stride)
            padded = functional.pad(now, (left, right, top, bottom))
            weight, bias = self.get_buffer(f"w{number}"), self.get_buffer(f"c{number}")
            now = functional.conv2d(padded, weight, bias, step.stride, groups=step.groups)
            if step.clipped:
                now = functional.relu6(now)
            if step.closes:
                now = now + entry
            if step.tap is not None:
                found[step.tap] = now
        return [found[name] for name in self._taps]
