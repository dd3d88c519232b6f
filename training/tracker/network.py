"""A small U-net over the tracker's own cue maps, the crop's picture and the backbone's taps.

It answers with a correction to the fused evidence, which it is given: untrained it changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CUES = 10
"""Maps at stride 4, see `backend.engines.lite.refiner`: seven cues and the picture."""
FUSED = 2
"""Which of them is the fused evidence."""
_W4, _W8, _W16, _W2 = 24, 48, 72, 12


def _conv(into: int, out: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    body = nn.Conv2d(into, out, side, stride, side // 2, bias=False)
    return nn.Sequential(body, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Refiner(nn.Module):
    """Logits (B, 1, 192, 192) of the object in a crop."""

    def __init__(self) -> None:
        super().__init__()
        self.in4 = _conv(CUES + 24, _W4)
        self.down8, self.mix8 = _conv(_W4, _W8, 3, 2), _conv(_W8 + 40, _W8, 1)
        self.down16, self.mix16 = _conv(_W8, _W16, 3, 2), _conv(_W16 + 112, _W16, 1)
        self.deep1 = _conv(_W16, _W16)
        self.deep2 = nn.Sequential(nn.Conv2d(_W16, _W16, 3, 1, 1, bias=False), nn.BatchNorm2d(_W16))
        self.up8, self.out8 = _conv(_W16, _W8, 1), _conv(_W8, _W8)
        self.up4, self.out4 = _conv(_W8, _W4, 1), _conv(_W4, 32)
        self.fine, self.last = _conv(32 // 4 + 3, _W2), nn.Conv2d(_W2, 1, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.tensor(3.0))

    def forward(self, cues: Tensor, b2: Tensor, b3: Tensor, b5: Tensor, picture: Tensor) -> Tensor:
        """`cues` (B, CUES, 96, 96), the taps at 96, 48, 24, `picture` RGB -1 to 1 (B, 3, 192, 192)."""
        x4 = self.in4(torch.cat([cues, b2], 1))
        x8 = self.mix8(torch.cat([self.down8(x4), b3], 1))
        x16 = self.mix16(torch.cat([self.down16(x8), b5], 1))
        x16 = functional.relu(x16 + self.deep2(self.deep1(x16)))
        x8 = self.out8(x8 + _twice(self.up8(x16)))
        x4 = self.out4(x4 + _twice(self.up4(x8)))
        fine = self.fine(torch.cat([functional.pixel_shuffle(x4, 2), picture], 1))
        out: Tensor = self.last(fine) + self.trust * _twice(cues[:, FUSED : FUSED + 1])
        return out
