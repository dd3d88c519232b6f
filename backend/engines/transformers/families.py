"""The kinds of checkpoint that this engine runs, by the `model_type` of their configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Three = tuple[float, float, float]

_HALF: Three = (0.5, 0.5, 0.5)
_IMAGENET: tuple[Three, Three] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of checkpoint.

    Attributes:
        title: as people call it.
        model: the package's class.
        session: the package's class that holds what a tracker knows.
        mean, std: of the colours, each in [0, 1], where the checkpoint doesn't say.
        text: whether it finds by words, and holds its tracker inside.
    """

    title: str
    model: str
    session: str
    mean: Three
    std: Three
    text: bool = False


FAMILIES: dict[str, Family] = {
    "sam3_video": Family("SAM 3", "Sam3VideoModel", "Sam3TrackerVideoInferenceSession", _HALF, _HALF, text=True),
    "sam3_tracker_video": Family("SAM 3", "Sam3TrackerVideoModel", "Sam3TrackerVideoInferenceSession", _HALF, _HALF),
    "sam2_video": Family("SAM 2.1", "Sam2VideoModel", "Sam2VideoInferenceSession", *_IMAGENET),
    "edgetam_video": Family("EdgeTAM", "EdgeTamVideoModel", "EdgeTamVideoInferenceSession", *_IMAGENET),
}


def title_of(family: Family, config: Any) -> str:
    """What to call a checkpoint: SAM 2 and SAM 2.1 differ in nothing but this one setting."""
    if family.title == "SAM 2.1" and not config.enable_occlusion_spatial_embedding:
        return "SAM 2"
    return family.title
