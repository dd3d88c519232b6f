"""Pictures and masks on their way into a model and out of it.

Written here because the package's own way asks for torchvision, which many CPU installs lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from backend.domain import BoolMask, Image
from backend.engines.transformers.families import Three

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a model wants its pictures: a square of `size`, each colour less `mean` and divided by `std`."""

    size: int
    mean: Three
    std: Three

    def tensor(self, picture: Image, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """An RGB uint8 picture (H, W, 3) as (1, 3, size, size), stretched to the square."""
        import torch

        square = Pillow.fromarray(picture).resize((self.size, self.size), Pillow.Resampling.BILINEAR)
        # Bytes travel to the device, a quarter of what floats would be.
        whole = torch.from_numpy(np.array(square)).to(device).permute(2, 0, 1)[None].float() / 255
        mean = torch.tensor(self.mean, device=device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=device).view(1, 3, 1, 1)
        return ((whole - mean) / std).to(dtype)


def reduced(mask: BoolMask, side: int) -> Floats:
    """How much of each cell of a square of `side` cells a mask (H, W) covers, float in [0, 1]."""
    shrinks = mask.shape[0] >= side and mask.shape[1] >= side
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    soft = cv2.resize(mask.astype(np.float32), (side, side), interpolation=way)
    return np.asarray(np.clip(soft, 0, 1), np.float32)


def squared(mask: BoolMask, side: int) -> BoolMask:
    """A mask (H, W) on a square of `side` cells; one that isn't empty stays so, however small it is."""
    soft = reduced(mask, side)
    return np.asarray(soft >= min(0.5, max(float(soft.max()), 1e-6)))


def drawn(logits: torch.Tensor, size: tuple[int, int]) -> BoolMask:
    """A mask (height, width) of `size` from a model's small logits, whose last two dimensions count."""
    import torch.nn.functional as functional

    small = logits.float().reshape(1, 1, *logits.shape[-2:])
    large = functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return np.asarray((large[0, 0] > 0).cpu().numpy(), np.bool_)
