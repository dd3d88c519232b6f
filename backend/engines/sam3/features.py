"""Pictures as SAM 3's vision encoder sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.domain import Image

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A picture, encoded once for the detector and the tracker, as the package passes it around.

    `picture` is kept only where other processes need it to encode it themselves.
    """

    detector: dict[str, Any]
    tracker: dict[str, Any]
    nbytes: int
    picture: Image | None = None


class Encoder:
    """Runs the vision encoder of Meta's model.

    Args:
        video: the model.
        keep_pictures: keep each picture beside its features.
    """

    def __init__(self, video: Any, keep_pictures: bool = False) -> None:
        self._backbone = video.detector.backbone
        self._heads = video.tracker.sam_mask_decoder
        self._side: int = video.image_size
        self._device = video.device
        self._keep_pictures = keep_pictures
        self._constants: dict[tuple[object, ...], torch.Tensor] = {}

    def __call__(self, picture: Image) -> Encoded:
        """The features of a picture: RGB uint8 (H, W, 3)."""
        import torch

        pixels = torch.tensor(picture).to(self._device).permute(2, 0, 1).unsqueeze(0).float()
        square = torch.nn.functional.interpolate(pixels, (self._side, self._side), mode="bilinear", antialias=True)
        seen = self._backbone.forward_image(square / 127.5 - 1)
        detector = {name: seen[name] for name in ("vision_features", "vision_pos_enc", "backbone_fpn")}
        tracker = dict(seen["sam2_backbone_out"])
        fine, middle, coarse = tracker["backbone_fpn"]
        tracker["backbone_fpn"] = [self._heads.conv_s0(fine), self._heads.conv_s1(middle), coarse]
        for features in (detector, tracker):
            # The same for every picture, and larger than all the rest.
            features["vision_pos_enc"] = [self._constant(x) for x in features["vision_pos_enc"]]
        held = [*detector["backbone_fpn"], *tracker["backbone_fpn"]]
        return Encoded(detector, tracker, nbytes_of(held), picture if self._keep_pictures else None)

    def _constant(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._constants.setdefault((tensor.shape, tensor.dtype), tensor)


def nbytes_of(tensors: Iterable[object]) -> int:
    """What tensors hold of the device's memory, in bytes; views of one storage count once."""
    import torch

    storages = {}
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())
