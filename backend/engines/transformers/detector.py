"""Everything on one picture that words and exemplar boxes name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backend.domain import Box
from backend.engines.sam.model import Found
from backend.engines.transformers.features import Features
from backend.engines.transformers.network import Network
from backend.engines.transformers.overlaps import apart, mask_iou
from backend.engines.transformers.pixels import drawn
from backend.engines.transformers.words import ANYTHING, Words

if TYPE_CHECKING:
    import torch


def detect(
    network: Network, words: Words, features: Features, size: tuple[int, int], text: str, exemplars: Sequence[Box]
) -> list[Found]:
    """What a concept names, best first; see `SamModel.detect`.

    Finds below the model's own threshold are left out, and so are those that a better one overlaps.

    Raises:
        InvalidInput: the text is too long for the model, or there is neither text nor exemplar.
    """
    import torch

    model = network.model
    ids, counts = words.tokens(ANYTHING if exemplars and not text else text)
    with torch.inference_mode():
        found = model.detector_model(
            vision_embeds=features.vision, input_ids=ids, attention_mask=counts, **_boxes(network, exemplars)
        )
        scores = (found.pred_logits.float().sigmoid() * found.presence_logits.float().sigmoid())[0]
        above = torch.where(scores > model.score_threshold_detection)[0]
        scores, logits = scores[above], found.pred_masks[0, above]
        kept = apart(mask_iou(logits > 0, logits > 0), scores, model.det_nms_thresh or 1.0)
        finds = [Found(drawn(logits[i], size), float(scores[i])) for i in kept.tolist()]
    return [found for found in finds if found.mask.any()]


def _boxes(network: Network, exemplars: Sequence[Box]) -> dict[str, Any]:
    """Exemplars as the detector takes them: centre, width and height, normalised, and 1 or 0 for each."""
    import torch

    if not exemplars:
        return {}
    places = [(x + w / 2, y + h / 2, w, h) for x, y, w, h in (e.box for e in exemplars)]
    boxes: torch.Tensor = torch.tensor([places], dtype=torch.float32, device=network.device).to(network.dtype)
    labels = torch.tensor([[int(e.label) for e in exemplars]], dtype=torch.long, device=network.device)
    return {"input_boxes": boxes, "input_boxes_labels": labels}
