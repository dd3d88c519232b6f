"""One object on one picture, by clicks, a box and its mask before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.engines.sam.model import Clicks, Found
from backend.engines.transformers.features import Features
from backend.engines.transformers.network import Network
from backend.engines.transformers.pixels import drawn, reduced

if TYPE_CHECKING:
    import torch

_CORNERS = (2, 3)
"""Labels by which the prompt encoder knows a box's top left and bottom right corner."""
_SURE = 10.0
"""The logit that stands for "certainly on it" where a mask is given; off it is its negative."""


def segment(network: Network, features: Features, size: tuple[int, int], clicks: Clicks) -> Found:
    """The object that clicks mean; see `SamModel.segment`. The score is the IoU that the model predicts.

    One click alone may mean a part or the whole: of the model's three masks for it the one of the
    best predicted IoU is taken.
    """
    import torch

    tracker = network.tracker
    with torch.inference_mode():
        points, labels = _sparse(network, clicks)
        sparse, dense = tracker.prompt_encoder(
            input_points=points, input_labels=labels, input_boxes=None, input_masks=_dense(network, clicks)
        )
        *fine, coarse = _levels(network, features)
        lone = len(clicks.points) == 1 and clicks.box is None and clicks.start is None
        masks, ious, _, _ = tracker.mask_decoder(
            image_embeddings=coarse + tracker.no_memory_embedding.view(1, -1, 1, 1),
            image_positional_embeddings=tracker.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=lone,
            high_resolution_features=fine,
        )
        best = int(ious[0, 0].argmax())
        return Found(drawn(masks[0, 0, best], size), min(max(float(ious[0, 0, best]), 0.0), 1.0))


def _levels(network: Network, features: Features) -> list[torch.Tensor]:
    """The maps of a picture as (1, channels, height, width), from fine to coarse."""
    sizes = network.tracker.backbone_feature_sizes
    return [m.permute(1, 2, 0).reshape(1, -1, *s) for m, s in zip(features.maps, sizes, strict=True)]


def _sparse(network: Network, clicks: Clicks) -> tuple[torch.Tensor, torch.Tensor]:
    """Box corners and points in pixels of the network's square, (1, 1, n, 2), and their labels (1, 1, n)."""
    import torch

    places: list[tuple[float, float]] = []
    labels: list[int] = []
    if clicks.box is not None:
        x, y, w, h = clicks.box
        places += [(x, y), (x + w, y + h)]
        labels += _CORNERS
    places += clicks.points
    labels += clicks.labels
    if not places:
        # A mask alone: the point that stands for no point.
        places, labels = [(0.0, 0.0)], [-1]
    # In full precision whatever the network calculates in: in bfloat16 a point is off by pixels.
    points = torch.tensor(places, dtype=torch.float32, device=network.device) * network.side
    marks = torch.tensor(labels, dtype=torch.int32, device=network.device)
    return points[None, None], marks[None, None]


def _dense(network: Network, clicks: Clicks) -> torch.Tensor | None:
    """The mask before as the logits that the decoder would have given for it."""
    import torch

    if clicks.start is None:
        return None
    side = network.tracker.prompt_encoder.mask_input_size[0]
    soft = torch.from_numpy(reduced(clicks.start, side)).to(network.device, network.dtype)
    return ((2 * soft - 1) * _SURE)[None, None]
