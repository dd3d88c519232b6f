"""Overlaps and connected parts of masks, in the place of what the package would download for them.

The package fetches compiled code from the hub for two steps, or leaves them out: dropping finds
that overlap, and filling holes. Its own IoU of masks holds N² whole masks at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch


def mask_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """IoU of every mask of (N, H, W) with every one of (M, H, W): float32 (N, M)."""
    a, b = first.flatten(1).float(), second.flatten(1).float()
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return both / either.clamp(min=1)


def apart(ious: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Which finds to keep, best first: int64 indices of those that no better kept one overlaps.

    Args:
        ious: of every find with every other, (N, N).
        scores: of the finds, (N,).
        threshold: the IoU above which two are the same.
    """
    import torch

    order = torch.argsort(scores, descending=True, stable=True).tolist()
    same = (ious > threshold).cpu().numpy()
    kept: list[int] = []
    for index in order:
        if not same[index, kept].any():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long, device=ious.device)


class Kernels:
    """Stands where the package looks for its downloaded code."""

    def generic_nms(
        self, ious: torch.Tensor, scores: torch.Tensor, iou_threshold: float, use_iou_matrix: bool = True
    ) -> torch.Tensor:
        """See `apart`."""
        return apart(ious, scores, iou_threshold)

    def cc_2d(self, mask: torch.Tensor, get_counts: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """The connected parts of masks (N, 1, H, W): each pixel's part, and that part's area (0 outside)."""
        import torch

        flat = mask.reshape(-1, *mask.shape[-2:]).to(torch.uint8).cpu().numpy()
        labels = np.zeros(flat.shape, np.int32)
        areas = np.zeros(flat.shape, np.int32)
        for index, each in enumerate(flat):
            _, labels[index], stats, _ = cv2.connectedComponentsWithStats(each, connectivity=8)
            area = stats[:, cv2.CC_STAT_AREA].copy()
            area[0] = 0
            areas[index] = area[labels[index]]
        parts, counts = (torch.from_numpy(a).view(mask.shape).to(mask.device) for a in (labels, areas))
        return parts, counts


def install() -> None:
    """Put these in the package's place; nothing is downloaded from then on. Idempotent."""
    from transformers.models.sam3_video import modeling_sam3_video as module

    vars(module).update(mask_iou=mask_iou, cv_utils_kernel=Kernels())
