"""The one set of pictures that heads are trained on: 128 COCO photographs with outlined objects.

Annotations: COCO 2017, CC BY 4.0 (cocodataset.org). Folder: `images/*.jpg`, `instances/*.png` (grey value
= object, 0 and 255 = none), taken from `SAM3_EVAL_DATA` (default `../shared/data` beside the repository).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

LONG_SIDE = 512
"""Longer side of the pictures that are kept."""
SMALLEST = 300
"""Pixels below which an object is no target."""
HELD_OUT = 10
"""Every tenth picture, by name, is never trained on."""
_IGNORED = 255


@dataclass(frozen=True, slots=True)
class Target:
    """An object of a photograph: its value in the labels, its area, its box x0, y0, x1, y1 (ends exclusive)."""

    value: int
    area: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Photograph:
    """`picture` RGB (H, W, 3), `labels` (H, W), the objects that are large enough."""

    name: str
    picture: Picture
    labels: Picture
    targets: tuple[Target, ...]


def folder() -> Path:
    """Where the photographs are.

    Raises:
        SystemExit: they are missing.
    """
    base = Path(os.environ.get("SAM3_EVAL_DATA") or Path(__file__).resolve().parent.parent / "../shared/data")
    if not (base / "clicks" / "instances").is_dir():
        raise SystemExit("There are no photographs to train on. Set SAM3_EVAL_DATA to the folder that holds “clicks”.")
    return base / "clicks"


def _targets(labels: Picture) -> tuple[Target, ...]:
    out = []
    for value in np.unique(labels).tolist():
        here = labels == value
        area = int(here.sum())
        if value in (0, _IGNORED) or area < SMALLEST:
            continue
        x, y, w, h = cv2.boundingRect(here.view(np.uint8))
        out.append(Target(value, area, (x, y, x + w, y + h)))
    return tuple(out)


def _read(instances: Path) -> Photograph:
    labels = np.asarray(cv2.imread(str(instances), cv2.IMREAD_GRAYSCALE), np.uint8)
    picture = np.asarray(cv2.imread(str(instances.parent.parent / "images" / f"{instances.stem}.jpg")), np.uint8)
    scale = LONG_SIDE / max(labels.shape)
    if scale < 1:
        size = round(labels.shape[1] * scale), round(labels.shape[0] * scale)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return Photograph(instances.stem, np.ascontiguousarray(picture[..., ::-1]), labels, _targets(labels))


def photographs(held_out: bool = False) -> list[Photograph]:
    """Those to train on, or those that are held out, by name."""
    files = sorted((folder() / "instances").glob("*.png"))
    chosen = [f for i, f in enumerate(files) if (i % HELD_OUT == HELD_OUT - 1) == held_out]
    return [p for p in map(_read, chosen) if p.targets]
