"""The click network's decoder: prompts meet the frozen backbone's features.

After RITM (Sofiiuk et al., ICIP 2022): clicks as discs and the previous mask as further channels. Two
things beside: prompts enter after the backbone, so that a picture is encoded once however often it is
clicked, and each place is compared with the clicked ones in an embedding of the features, so that a
click reaches what looks like it across the whole picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = ("b1", "b2", "b3", "b5", "b7")
"""Strides 2, 4, 8, 16, 32."""
STAGES = 7
CHANNELS = (16, 24, 40, 112, 320)
MAPS = 5
"""Prompt maps: discs on the object, discs off it, the mask so far, the box, 1 where there is a box."""
POINTS = 12
"""Points on the object, and off it, that one call takes: (x, y, 1) each, unused ones 0."""

_W2, _W4, _W8, _W16, _W32 = 16, 32, 48, 80, 112
_EMBED = 32
_LIKENESSES = 7


class Residual(nn.Module):
    """A wide depthwise convolution and a small perceptron, added to what comes in."""

    def __init__(self, channels: int, side: int = 5, expand: int = 2) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, side, 1, side // 2, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.up = nn.Conv2d(channels, channels * expand, 1)
        self.down = nn.Conv2d(channels * expand, channels, 1)
        with torch.no_grad():
            self.down.weight *= 0.3
            nn.init.zeros_(self.down.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.down(functional.relu(self.up(self.norm(self.spread(x)))))
        return out


def _conv(into: int, out: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    body = nn.Conv2d(into, out, side, stride, side // 2, bias=False)
    return nn.Sequential(body, nn.BatchNorm2d(out), nn.ReLU())


def _shrink(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(into, into, 3, 2, 1, groups=into), nn.Conv2d(into, out, 1))


def _like(x: Tensor, other: Tensor) -> Tensor:
    """Enlarged to the other's size."""
    return functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)


class Embedding(nn.Module):
    """Unit vectors (B, 32, H/8, W/8) in which parts of one object are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.z8 = nn.Conv2d(CHANNELS[2], _EMBED, 1)
        self.z16 = nn.Conv2d(CHANNELS[3], _EMBED, 1)
        self.z32 = nn.Conv2d(CHANNELS[4], _EMBED, 1)

    def forward(self, taps: list[Tensor]) -> Tensor:
        z = self.z8(taps[2])
        z = z + _like(self.z16(taps[3]), z) + _like(self.z32(taps[4]), z)
        return functional.normalize(z, dim=1)


class Decoder(nn.Module):
    """Logits (B, 1, H, W) of the object, and of a coarse copy at stride 8 that only training looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding()
        self.in2 = _conv(3 + MAPS, _W2, 3, 2)
        self.in4 = nn.Sequential(nn.Conv2d(_W2, _W2, 3, 2, 1, groups=_W2, bias=False), _conv(_W2, _W4, 1))
        self.tap2 = nn.Conv2d(CHANNELS[0], _W2, 1)
        self.tap4 = nn.Conv2d(CHANNELS[1], _W4, 1)
        self.tap8 = nn.Conv2d(CHANNELS[2], _W8, 1)
        self.tap16 = nn.Conv2d(CHANNELS[3], _W16, 1)
        self.tap32 = nn.Conv2d(CHANNELS[4], _W32, 1)
        self.alike = nn.Sequential(nn.Conv2d(_LIKENESSES, _W8, 1), nn.ReLU(), nn.Conv2d(_W8, _W8, 1))
        self.down8, self.down16, self.down32 = _shrink(_W4, _W8), _shrink(_W8, _W16), _shrink(_W16, _W32)
        self.enc4, self.enc8 = Residual(_W4, 3, 1), Residual(_W8)
        self.enc16 = nn.Sequential(Residual(_W16), Residual(_W16))
        self.enc32 = nn.Sequential(Residual(_W32), Residual(_W32))
        self.whole = nn.Sequential(nn.Linear(_W32, _W32), nn.ReLU(), nn.Linear(_W32, _W32))
        self.up16, self.up8 = nn.Conv2d(_W32, _W16, 1), nn.Conv2d(_W16, _W8, 1)
        self.up4, self.up2 = nn.Conv2d(_W8, _W4, 1), nn.Conv2d(_W4, _W2, 1)
        self.dec16 = Residual(_W16)
        self.dec8 = nn.Sequential(Residual(_W8), Residual(_W8))
        self.dec4 = nn.Sequential(Residual(_W4), Residual(_W4, 3))
        self.out = nn.Sequential(_conv(_W2, _W2), nn.Conv2d(_W2, 1, 1))
        self.coarse = nn.Conv2d(_W8, 1, 1)

    def _likeness(self, z: Tensor, maps: Tensor, on: Tensor, off: Tensor) -> Tensor:
        """How much each place looks like the points, the mask so far, what is not in it, and the box."""
        batch, width, h, w = z.shape
        flat = z.flatten(2)
        found = []
        for points in (on, off):
            column = (points[..., 0] / 8).floor().clamp(0, w - 1)
            row = (points[..., 1] / 8).floor().clamp(0, h - 1)
            place = (row * w + column).long()
            there = torch.gather(flat, 2, place[:, None].expand(-1, width, -1))
            like = torch.bmm(there.transpose(1, 2), flat) - 2 * (1 - points[..., 2:3])
            found.append(like.amax(1, keepdim=True).clamp(min=-1).reshape(batch, 1, h, w))
        pooled = functional.avg_pool2d(maps[:, 2:4], 8)
        so_far, box = pooled[:, :1], pooled[:, 1:]
        for part in (so_far, 1 - so_far, box):
            mean = (z * part).sum((2, 3)) / (part.sum((2, 3)) + 1)
            found.append((z * mean[:, :, None, None]).sum(1, keepdim=True))
        return torch.cat([*found, pooled], 1)

    def forward(
        self, picture: Tensor, taps: list[Tensor], maps: Tensor, on: Tensor, off: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`picture` RGB 0 to 1 (B, 3, H, W), `maps` (B, MAPS, H, W), `on` and `off` (B, POINTS, 3) in pixels."""
        z = self.embedding(taps)
        alike = self.alike(self._likeness(z, maps, on, off))
        x2 = self.in2(torch.cat([picture - 0.5, maps], 1))
        x4 = self.enc4(functional.relu(self.in4(x2) + self.tap4(taps[1])))
        x8 = self.enc8(functional.relu(self.down8(x4) + self.tap8(taps[2]) + alike))
        x16 = self.enc16(functional.relu(self.down16(x8) + self.tap16(taps[3])))
        x32 = self.enc32(functional.relu(self.down32(x16) + self.tap32(taps[4])))
        x32 = x32 + self.whole(x32.mean((2, 3)))[:, :, None, None]
        y = self.dec16(functional.relu(x16 + _like(self.up16(x32), x16)))
        y = self.dec8(functional.relu(x8 + _like(self.up8(y), x8)))
        coarse = self.coarse(y)
        y = self.dec4(functional.relu(x4 + _like(self.up4(y), x4)))
        y = self.out(functional.relu(x2 + self.tap2(taps[0]) + _like(self.up2(y), x2)))
        return _like(y, picture), coarse
