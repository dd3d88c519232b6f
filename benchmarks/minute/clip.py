"""The sample, forth and back, and where its objects are on each frame."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Rle
from backend.masks import decode
from backend.media.writer import VideoWriter
from backend.settings import ROOT
from benchmarks.page.clip import FPS


class Minute:
    """A clip of so many frames of the sample, and its exact masks."""

    def __init__(self, frames: int) -> None:
        told = json.loads((ROOT / "assets" / "sample_masks.json").read_text())
        self.height, self.width = told["size"]
        self.names: list[str] = [str(o) for o in told["objects"]]
        self._counts: list[list[str]] = told["frames"]
        self.frames = frames

    def _source(self, frame: int) -> int:
        lap, place = divmod(frame, len(self._counts) - 1)
        return place if lap % 2 == 0 else len(self._counts) - 1 - place

    def mask(self, frame: int, number: int) -> BoolMask:
        """An object's mask (H, W), objects counted from 0."""
        return decode(Rle(self._counts[self._source(frame)][number], self.height, self.width))

    def write(self, path: Path) -> None:
        capture = cv2.VideoCapture(str(ROOT / "assets" / "sample.mp4"))
        pictures = []
        while (read := capture.read())[0]:
            pictures.append(np.ascontiguousarray(read[1][..., ::-1], np.uint8))
        capture.release()
        with VideoWriter(path, self.width, self.height, FPS) as writer:
            for frame in range(self.frames):
                writer.write(pictures[self._source(frame)])
