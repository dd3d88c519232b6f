"""What the feature cache saves, counted with real model code: passes of the vision encoder."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.domain import Image, PromptRequest, Snapshot, Text, Video
from backend.engines.sam.engine import SamEngine
from backend.engines.sam.model import SamModel
from backend.engines.transformers import load
from tests.tiny import make_checkpoint

TEXTS = ("ball", "cat", "dog", "tree", "car", "hat", "shoe", "sky")


class Photograph:
    """A `FrameSource` of one picture."""

    def __init__(self, picture: Image) -> None:
        self.picture = picture

    def __len__(self) -> int:
        return 1

    def read(self, frame_index: int) -> Image:
        return self.picture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SamModel:
    torch.set_num_threads(1)
    folder = make_checkpoint(tmp_path_factory.mktemp("tiny") / "model", "sam3")
    return load(str(folder), "cpu", lambda stage: None)


@pytest.fixture
def passes(model: SamModel) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of what went through the package's own vision encoder, whoever called it."""
    seen: list[tuple[int, ...]] = []
    encoder = vars(model)["_network"].model.detector_model.vision_encoder
    hook = encoder.register_forward_hook(lambda module, given, out: seen.append(tuple(out.last_hidden_state.shape)))
    yield seen
    hook.remove()


@pytest.fixture(scope="module")
def picture() -> Image:
    return np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)


def ask(engine: SamEngine, picture: Image, *texts: str) -> list[tuple[object, bool | None]]:
    """Each text's masks and whether it was a cache hit, in one session as one call has it."""
    video = Video("i", Path("i.png"), "i", 80, 60, Fraction(1), 1, 1.0, "image")
    handle = engine.open(video, Photograph(picture), Snapshot())
    out: list[tuple[object, bool | None]] = []
    for text in texts:
        found = engine.apply(handle, PromptRequest(0, (Text(text),), None, 1))
        out.append((found.masks.tobytes(), found.cache_hit))
    engine.close(handle)
    return out


def test_eight_texts_on_one_image_take_one_pass_where_eight_cold_calls_take_eight(model, passes, picture):
    cold = SamEngine(model, cache_bytes=0)
    alone = [ask(cold, picture, text)[0] for text in TEXTS]
    assert len(passes) == 8
    assert [hit for _, hit in alone] == [False] * 8
    passes.clear()
    together = ask(cold, picture, *TEXTS)
    assert len(passes) == 1
    assert [masks for masks, _ in together] == [masks for masks, _ in alone]


def test_with_the_cache_later_calls_take_none_and_give_the_same(model, passes, picture):
    engine = SamEngine(model, cache_bytes=1_000_000_000)
    first = [ask(engine, picture, text)[0] for text in TEXTS]
    assert len(passes) == 1
    assert [hit for _, hit in first] == [False] + [True] * 7
    second = [ask(engine, picture.copy(), text)[0] for text in TEXTS]
    assert len(passes) == 1
    assert [masks for masks, _ in second] == [masks for masks, _ in first]
    other = picture.copy()
    other[0, 0, 0] ^= 1
    assert ask(engine, other, TEXTS[0])[0][1] is False
    assert len(passes) == 2


def test_the_cache_counts_what_features_really_hold(model, passes, picture):
    one = model.nbytes(model.encode(picture))
    engine = SamEngine(model, cache_bytes=int(one * 2.5))
    pictures = [np.roll(picture, i, axis=0) for i in range(3)]
    for each in pictures:
        ask(engine, each, "ball")
    hits = [ask(engine, each, "ball")[0][1] for each in reversed(pictures)]
    assert hits == [True, True, False]
