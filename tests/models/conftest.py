"""These tests need Meta's package; where it isn't installed they are not collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.models.shrunk import install, installed, real, shrunk_model

if TYPE_CHECKING:
    from backend.engines.sam3.model import Sam3Model

collect_ignore_glob: list[str] = [] if installed() else ["test_*.py"]
if installed():
    import torch

    if not real():
        torch.set_num_threads(1)
        install()


class Clip:
    """A short video as a tracker sees it: `Views` with all its frames kept, that counts what it encodes."""

    size = (60, 80)

    def __init__(self, model: Sam3Model, frames: int = 7, seed: int = 0) -> None:
        self.model = model
        self.encoded: list[int] = []
        self._pictures = pictures(frames, seed)
        self._kept: dict[int, object] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    def features(self, frame_index: int) -> object:
        if frame_index not in self._kept:
            self.encoded.append(frame_index)
            self._kept[frame_index] = self.model.encode(self._pictures[frame_index])
        return self._kept[frame_index]


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Frames with a bright square that moves over noise: uint8 (count, 60, 80, 3)."""
    noise = np.random.default_rng(seed).integers(0, 90, (count, 60, 80, 3), dtype=np.uint8)
    for index, picture in enumerate(noise):
        picture[10 + 2 * index : 30 + 2 * index, 10 + 4 * index : 30 + 4 * index] = 230
    return noise


def mask(x: int, y: int, side: int = 20) -> np.ndarray:
    """A square's mask on a frame of a `Clip`."""
    out = np.zeros(Clip.size, np.bool_)
    out[y : y + side, x : x + side] = True
    return out


@pytest.fixture(scope="session")
def model() -> Sam3Model:
    """The adapter over the shrunk package; nothing in it outlives a test."""
    return shrunk_model()


@pytest.fixture
def clip(model: Sam3Model) -> Clip:
    return Clip(model)
