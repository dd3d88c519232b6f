"""Real frames of the sample clip, and the simplest way to show them to a model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from backend.domain import Image
from backend.engines.sam.model import SamModel

SAMPLE = Path(__file__).parents[2] / "assets" / "sample.mp4"


@cache
def pictures(count: int, width: int = 160, height: int = 90) -> tuple[Image, ...]:
    """The first frames of the sample clip as RGB uint8 (height, width, 3); over its end it plays on backwards."""
    out: list[Image] = []
    with av.open(str(SAMPLE)) as container:
        for frame in container.decode(video=0):
            small = cv2.resize(frame.to_ndarray(format="rgb24"), (width, height), interpolation=cv2.INTER_AREA)
            out.append(np.asarray(small, np.uint8))
            if len(out) == count:
                return tuple(out)
    there_and_back = [*out, *out[-2:0:-1]]
    return tuple(there_and_back[i % len(there_and_back)] for i in range(count))


class PictureViews:
    """`Views` over pictures in memory: the last `kept` frames stay encoded, encodings are counted."""

    def __init__(self, model: SamModel, frames: tuple[Image, ...], kept: int = 2) -> None:
        self._model = model
        self._frames = frames
        self._kept: dict[int, Any] = {}
        self._most = kept
        self.encoded: list[int] = []
        """The frames that were encoded, in order."""

    @property
    def size(self) -> tuple[int, int]:
        height, width = self._frames[0].shape[:2]
        return height, width

    def __len__(self) -> int:
        return len(self._frames)

    def features(self, frame_index: int) -> Any:
        if frame_index not in self._kept:
            self.encoded.append(frame_index)
            self._kept[frame_index] = self._model.encode(self._frames[frame_index])
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return self._kept[frame_index]
