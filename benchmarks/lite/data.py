"""The evaluation data: sequences with exact masks, read from disk as they are asked for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, Video
from backend.settings import ROOT

UNKNOWN = 255
"""Grey value of pixels that belong to nobody knows which object, where a sequence has several."""


def on_one_thread() -> None:
    """Start the program again with one thread for numpy's algebra, which is settled at import."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def data_folder(name: str) -> Path | None:
    """A folder of the evaluation data; None, and a line that says so, where it is missing."""
    base = Path(os.environ.get("SAM3_EVAL_DATA") or ROOT / "../shared/data")
    if (base / name).is_dir():
        return base / name
    sys.stdout.write(f"Skipped: there is no folder “{name}” of evaluation data. Set SAM3_EVAL_DATA to where it is.\n")
    return None


def read_picture(path: Path) -> Image:
    """An RGB picture (H, W, 3)."""
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path) -> BoolMask:
    """A mask (H, W) from a grey picture of 0 and 255."""
    return np.asarray(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) > 127)


class Sequence:
    """Frames and exact masks of one or several objects; a `FrameSource`.

    Args:
        folder: holds `frames/` and `masks/`.
        several: grey values are ids, and 255 is nobody knows; otherwise 255 is the one object.
    """

    def __init__(self, folder: Path, several: bool = False) -> None:
        self.name = folder.name
        self._pictures = sorted((folder / "frames").iterdir())
        self._masks = sorted((folder / "masks").iterdir())
        self._several = several
        self.seconds = 0.0
        """CPU time spent on reading."""

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, frame_index: int) -> Image:
        began = time.process_time()
        picture = read_picture(self._pictures[frame_index])
        self.seconds += time.process_time() - began
        return picture

    def truth(self, frame_index: int) -> tuple[Mapping[int, BoolMask], BoolMask]:
        """The objects' masks (H, W) by id, and where the truth is known."""
        if not self._several:
            mask = read_mask(self._masks[frame_index])
            return {1: mask}, np.ones_like(mask)
        grey = np.asarray(cv2.imread(str(self._masks[frame_index]), cv2.IMREAD_GRAYSCALE), np.uint8)
        ids = [int(value) for value in np.unique(grey) if value not in (0, UNKNOWN)]
        return {i: grey == i for i in ids}, np.asarray(grey != UNKNOWN)

    def video(self) -> Video:
        height, width = read_picture(self._pictures[0]).shape[:2]
        size = len(self)
        return Video(self.name, self._pictures[0].parent, self.name, width, height, Fraction(24), size, size / 24)


def sequences(name: str, wanted: tuple[str, ...] = ()) -> Iterator[Sequence]:
    """The sequences of a set, or those of them that are wanted."""
    folder = data_folder(name)
    for one in sorted(folder.iterdir()) if folder else ():
        if one.is_dir() and (not wanted or one.name in wanted):
            yield Sequence(one, several=name == "multi")
