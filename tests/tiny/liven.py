"""Makes random weights answer like a model: with masks of some size, objects that are there, a few finds.

Fresh layers give nearly the same tiny numbers everywhere, so that all masks would be alike and no
object would ever be on a picture.
"""

from __future__ import annotations

from typing import Any

CONTRAST = 5.0
"""How much stronger the layers that draw masks are made."""
PRESENT = 3.0
"""Where the object score lies on average; its sigmoid is the score people see."""


def liven(model: Any) -> None:
    """Change a fresh model's weights in place; call it without gradients.

    Args:
        model: a `Sam3VideoModel`, `Sam2VideoModel` or `EdgeTamVideoModel`.
    """
    tracker = getattr(model, "tracker_model", model)
    _strengthen(tracker.mask_decoder)
    head = tracker.mask_decoder.pred_obj_score_head.proj_out
    head.weight.mul_(2)
    head.bias.fill_(PRESENT)
    if hasattr(model, "detector_model"):
        _liven_detector(model.detector_model)


def _strengthen(layers: Any) -> None:
    for weight in layers.parameters():
        if weight.dim() > 1:
            weight.mul_(CONTRAST)


def _liven_detector(detector: Any) -> None:
    _strengthen(detector.mask_decoder)
    # Words and queries that differ a little shall differ much, some of them above the threshold.
    detector.dot_product_scoring.text_proj.weight.mul_(8)
    detector.dot_product_scoring.query_proj.weight.mul_(8)
    detector.detr_decoder.presence_head.layer3.bias.fill_(4.0)
