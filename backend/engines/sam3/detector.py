"""Finds everything that words and exemplar boxes name, with SAM 3's own detector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backend.domain import Box
from backend.engines.sam.model import Found
from backend.engines.sam3.features import Encoded
from backend.engines.sam3.inference import inference
from backend.engines.sam3.masks import enlarge
from backend.errors import InvalidInput

if TYPE_CHECKING:
    import torch

VISUAL = "visual"
"""What the model was trained to read where there are exemplars only."""
TEXTS = 16
"""Encoded texts that are kept."""


class Detector:
    """Runs the detector of Meta's video model on pictures that are encoded already.

    Args:
        video: the model.
    """

    def __init__(self, video: Any) -> None:
        self._video = video
        self._texts: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._prompt = import_module("sam3.model.geometry_encoders").Prompt
        self._stage = import_module("sam3.model.data_misc").FindStage
        self._suppress = import_module("sam3.perflib.nms").nms_masks
        self._smooth = import_module("sam3.model.sam3_tracker_utils").fill_holes_in_mask_scores

    @inference
    def find(self, features: Encoded, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        """What is on the picture, best first.

        Raises:
            InvalidInput: the text is too long for the model.
        """
        found = self.raw(features, text, exemplars)
        order = found["scores"].argsort(descending=True)[: self._video.max_num_objects]
        if not len(order):
            return []
        logits = self._smooth(found["mask"][order].unsqueeze(1), self._video.fill_hole_area).squeeze(1)
        masks = enlarge(logits, size)
        scores = found["scores"][order].float().tolist()
        return [Found(mask, score) for mask, score in zip(masks, scores, strict=True) if mask.any()]

    @inference
    def raw(self, features: Encoded, text: str, exemplars: Sequence[Box] = ()) -> dict[str, torch.Tensor]:
        """What is on the picture as the package passes it on: `scores`, `mask` (logits), `bbox` (xyxy)."""
        import torch

        video = self._video
        device = video.device
        words = self.read(text or VISUAL)
        first = torch.zeros(1, dtype=torch.long, device=device)
        output = video.detector.forward_grounding(
            backbone_out={**features.detector, **words},
            find_input=self._stage(first, first, None, None, None, None, None),
            find_target=None,
            geometric_prompt=self._boxes(exemplars, device),
        )
        scores = output["pred_logits"].squeeze(-1).sigmoid()[0]
        masks = output["pred_masks"][0]
        threshold = video.score_threshold_detection
        keep = scores > threshold
        if video.det_nms_thresh > 0:
            keep &= self._suppress(scores, masks, threshold, video.det_nms_thresh)
        return {"bbox": output["pred_boxes_xyxy"][0][keep], "mask": masks[keep], "scores": scores[keep]}

    @inference
    def read(self, text: str) -> dict[str, Any]:
        """The text as the model reads it.

        Raises:
            InvalidInput: it has more tokens than the model takes; it would drop the rest unsaid.
        """
        if text in self._texts:
            self._texts.move_to_end(text)
            return self._texts[text]
        backbone = self._video.detector.backbone
        reader = backbone.language_backbone
        most = reader.context_length - 2
        if len(reader.tokenizer.encode(text)) > most:
            raise InvalidInput(
                f"The text is too long for SAM 3, which reads {most} pieces of words: use a few words.", "text_too_long"
            )
        self._texts[text] = dict(backbone.forward_text([text], device=self._video.device))
        while len(self._texts) > TEXTS:
            self._texts.popitem(last=False)
        return self._texts[text]

    def _boxes(self, exemplars: Sequence[Box], device: torch.device) -> Any:
        """Exemplars as the model takes them: centre first, unlike everywhere else here."""
        import torch

        centred = [[x + w / 2, y + h / 2, w, h] for x, y, w, h in (e.box for e in exemplars)]
        count = len(exemplars)
        return self._prompt(
            box_embeddings=torch.tensor(centred, dtype=torch.float32, device=device).reshape(count, 1, 4),
            box_mask=torch.zeros(1, count, dtype=torch.bool, device=device),
            box_labels=torch.tensor([int(e.label) for e in exemplars], dtype=torch.long, device=device).reshape(
                count, 1
            ),
        )
