"""Masks between pictures (bool numpy arrays) and the model (tensors of its own sizes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backend.domain import BoolMask

if TYPE_CHECKING:
    import torch

AT_ONCE = 8
"""Masks that are enlarged at a time: at the size of the video they take 4 bytes a pixel."""


def enlarge(logits: torch.Tensor, size: tuple[int, int]) -> list[BoolMask]:
    """Masks at the picture's size, bool (H, W) each, from logits (N, h, w)."""
    import torch

    out: list[BoolMask] = []
    for first in range(0, len(logits), AT_ONCE):
        part = logits[first : first + AT_ONCE]
        large = torch.nn.functional.interpolate(part.unsqueeze(1).float(), size, mode="bilinear", align_corners=False)
        out += list((large.squeeze(1) > 0).cpu().numpy())
    return out


def shrink(masks: Sequence[BoolMask], side: int, device: torch.device) -> torch.Tensor:
    """Masks (N, 1, side, side), float in [0, 1], as the tracker takes them."""
    import torch

    large = torch.tensor(np.stack(masks)).to(device).unsqueeze(1).float()
    return torch.nn.functional.interpolate(large, (side, side), mode="bilinear", align_corners=False, antialias=True)
