"""What only a GPU can show of Meta's package. Without one each of these says so and is skipped.

The weights are those that the settings name, as for a server.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.domain import Image
from backend.engines.sam.model import Clicks, SamModel, Views
from backend.engines.sam3 import Sam3Options, load
from backend.settings import Settings
from tests.models.shrunk import quietly, real

GPUS = torch.cuda.device_count() if real() else 0

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(GPUS == 0, reason="needs an NVIDIA GPU and SAM 3's weights: make gpu-check"),
]

HEIGHT, WIDTH = 360, 640


class Frames:
    """A disc that moves over a plain ground, as `Views` with a single frame kept."""

    size = HEIGHT, WIDTH

    def __init__(self, model: SamModel, frames: int) -> None:
        self._model = model
        self._frames = frames
        self._kept: tuple[int, object] | None = None

    def __len__(self) -> int:
        return self._frames

    def centre(self, frame_index: int) -> tuple[int, int]:
        return 100 + 3 * (frame_index % 100), 180

    def disc(self, frame_index: int) -> np.ndarray:
        x, y = self.centre(frame_index)
        rows, columns = np.ogrid[:HEIGHT, :WIDTH]
        return (columns - x) ** 2 + (rows - y) ** 2 < 50**2

    def picture(self, frame_index: int) -> Image:
        out = np.full((HEIGHT, WIDTH, 3), (60, 90, 60), np.uint8)
        out[self.disc(frame_index)] = (220, 40, 40)
        return out

    def features(self, frame_index: int) -> object:
        if self._kept is None or self._kept[0] != frame_index:
            self._kept = frame_index, self._model.encode(self.picture(frame_index))
        return self._kept[1]


def loaded(compile: bool = False, gpus: int = 1) -> SamModel:
    named = Settings()
    options = Sam3Options(named.sam3_checkpoint, named.sam3_bpe_path, gpus, compile)
    with quietly():
        return load(options, print)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


@pytest.fixture(scope="module")
def model() -> SamModel:
    return loaded()


def test_the_checkpoint_loads_and_segments_a_click(model: SamModel) -> None:
    frames = Frames(model, 1)
    x, y = frames.centre(0)
    found = model.segment(frames.features(0), frames.size, Clicks(((x / WIDTH, y / HEIGHT),), (1,)))
    assert iou(found.mask, frames.disc(0)) > 0.9
    assert found.score > 0.7


def test_words_find_and_exemplars_find(model: SamModel) -> None:
    frames = Frames(model, 1)
    found = model.detect(frames.features(0), frames.size, "red circle", ())
    assert iou(found[0].mask, frames.disc(0)) > 0.9


def test_objects_and_concepts_are_followed_both_ways(model: SamModel) -> None:
    frames = Frames(model, 40)
    for order, reverse in ((range(40), False), (range(39, -1, -1), True)):
        tracker, follower = model.track(frames, 16), model.follow(frames, "red circle", 16)
        tracker.add(1, {order[0]: frames.disc(order[0])})
        for frame_index in order:
            tracked = tracker.step(frame_index, reverse=reverse)[1]
            followed = follower.step(frame_index, reverse=reverse)
            assert iou(tracked.mask, frames.disc(frame_index)) > 0.8
            assert max(iou(f.mask, frames.disc(frame_index)) for f in followed.values()) > 0.8
        tracker.close()
        follower.close()


def test_it_runs_in_bfloat16(model: SamModel) -> None:
    features = model.encode(Frames(model, 1).picture(0))
    assert features.detector["backbone_fpn"][-1].dtype == torch.bfloat16
    assert model.nbytes(features) < 100e6


def test_memory_stays_bounded_and_comes_back(model: SamModel) -> None:
    frames: Views = Frames(model, 300)
    model.release_memory()
    before = torch.cuda.memory_allocated()
    tracker = model.track(frames, 16)
    for obj_id in range(5):
        tracker.add(obj_id, {0: frames.disc(0)})  # type: ignore[attr-defined]
    held = []
    for frame_index in range(300):
        tracker.step(frame_index, reverse=False)
        if frame_index in (50, 299):
            held.append(torch.cuda.memory_allocated())
    assert held[1] < held[0] * 1.1
    tracker.close()
    del tracker, frames
    model.release_memory()
    assert torch.cuda.memory_allocated() < before + 50e6


def test_a_full_gpu_is_known_as_such(model: SamModel) -> None:
    with pytest.raises(torch.OutOfMemoryError) as full:
        torch.empty(1 << 46, dtype=torch.uint8, device="cuda")
    assert model.is_out_of_memory(full.value)


def test_a_compiled_model_gives_the_same(model: SamModel) -> None:
    both = model, loaded(compile=True)
    found = [m.detect(Frames(m, 1).features(0), (HEIGHT, WIDTH), "red circle", ())[0] for m in both]
    assert iou(found[0].mask, found[1].mask) > 0.95


@pytest.mark.skipif(GPUS < 2, reason="needs two NVIDIA GPUs")
def test_two_gpus_work_on_one_session() -> None:
    group = loaded(gpus=2)
    frames = Frames(group, 10)
    tracker = group.track(frames, 16)
    for obj_id in range(4):
        tracker.add(obj_id, {0: frames.disc(0)})
    for frame_index in range(10):
        found = tracker.step(frame_index, reverse=False)
        assert all(iou(f.mask, frames.disc(frame_index)) > 0.8 for f in found.values())
