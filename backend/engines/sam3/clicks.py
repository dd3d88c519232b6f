"""Cuts one object out of a picture, as points, a box and a mask before tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.engines.sam.model import Clicks, Found, Views
from backend.engines.sam3.inference import inference
from backend.engines.sam3.masks import enlarge, shrink
from backend.engines.sam3.tracker import FrameCache

BOX_LABELS = (2, 3)
"""How a box's corners are labelled among points: top left, bottom right."""


@inference
def segment(tracker: Any, views: Views, clicks: Clicks) -> Found:
    """The object that clicks mean on the only frame of `views`.

    The score is the model's own estimate of how good the mask is.
    """
    import torch

    if not clicks.points and clicks.box is None:
        start = clicks.start if clicks.start is not None else np.zeros(views.size, np.bool_)
        return Found(start, 1.0 if start.any() else 0.0)
    points = arrange(clicks, tracker.max_point_num_in_prompt_enc)
    before = None
    if clicks.start is not None and clicks.start.any():
        # As logits, as the model gives and takes masks between clicks.
        before = shrink([clicks.start], tracker.low_res_mask_size, tracker.device) * 20 - 10
    state = {"cached_features": FrameCache(views, tracker.device)}
    _, _, features, _, sizes = tracker._get_image_feature(state, 0, 1)
    maps = [x.permute(1, 2, 0).reshape(1, -1, *size) for x, size in zip(features, sizes, strict=True)]
    coordinates = [[x * tracker.image_size, y * tracker.image_size] for x, y, _ in points]
    _, _, qualities, logits, _, _, presence = tracker._forward_sam_heads(
        backbone_features=maps[-1] + tracker.no_mem_embed.reshape(1, -1, 1, 1),
        point_inputs={
            "point_coords": torch.tensor([coordinates], dtype=torch.float32, device=tracker.device),
            "point_labels": torch.tensor([[n for *_, n in points]], dtype=torch.int32, device=tracker.device),
        },
        mask_inputs=before,
        high_res_features=maps[:-1],
        # Three readings of a single click, of which the best is taken; more clicks are clear enough.
        multimask_output=len(points) == 1,
    )
    mask = enlarge(logits.squeeze(1), views.size)[0]
    if not mask.any() or float(presence) <= 0:
        return Found(np.zeros(views.size, np.bool_), 0.0)
    return Found(mask, float(qualities.max().clamp(0, 1)))


def arrange(clicks: Clicks, most: int) -> list[tuple[float, float, int]]:
    """Box and points as (x, y, label), normalised, at most `most`: the first half and the last.

    The model was trained with few points; its package, too, leaves out those in the middle.
    """
    corners: list[tuple[float, float, int]] = []
    if clicks.box is not None:
        x, y, w, h = clicks.box
        corners = [(x, y, BOX_LABELS[0]), (x + w, y + h, BOX_LABELS[1])]
    points = [(x, y, label) for (x, y), label in zip(clicks.points, clicks.labels, strict=True)]
    every = corners + points
    if 0 < most < len(every):
        first = most // 2
        every = every[:first] + every[len(every) - (most - first) :]
    return every
