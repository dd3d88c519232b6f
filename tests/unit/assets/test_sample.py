"""The sample clip is what its script says, and its masks are exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest

from assets.make_sample import FPS, FRAMES, HEIGHT, OBJECTS, WIDTH, Scene
from backend.domain import Image
from backend.masks import decode, parse

ASSETS = Path(__file__).parents[3] / "assets"


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ASSETS / "sample_masks.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    with av.open(str(ASSETS / "sample.mp4")) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_clip_is_small_has_its_frames_and_sound(pictures: list[Image]) -> None:
    assert (ASSETS / "sample.mp4").stat().st_size < 1_500_000
    assert len(pictures) == FRAMES
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    with av.open(str(ASSETS / "sample.mp4")) as container:
        assert container.streams.video[0].average_rate == FPS
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        peak = max(np.abs(frame.to_ndarray()).max() for frame in container.decode(audio=0))
    assert 0.02 < peak < 0.3


def test_every_object_has_a_mask_on_every_frame_and_no_two_overlap(truth: dict[str, Any]) -> None:
    assert truth["objects"] == list(OBJECTS)
    assert truth["size"] == [HEIGHT, WIDTH]
    assert len(truth["frames"]) == FRAMES
    hidden = 1.0
    for counts in truth["frames"]:
        masks = [decode(parse(c, HEIGHT, WIDTH)) for c in counts]
        assert sum(m.astype(np.uint8) for m in masks).max() == 1
        hidden = min(hidden, min(m.sum() for m in masks) / 20_000)
    assert 0.2 < hidden < 0.6, "something is well hidden at some time, and never wholly"


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 76, FRAMES - 1])
def test_the_script_draws_what_is_in_the_files(truth: dict[str, Any], pictures: list[Image], index: int) -> None:
    picture, masks = Scene().frame(index)
    assert cv2.PSNR(picture, pictures[index]) > 33
    for mask, counts in zip(masks, truth["frames"][index], strict=True):
        stored = decode(parse(counts, HEIGHT, WIDTH))
        # Not all processors round the last bit alike.
        assert (mask & stored).sum() / (mask | stored).sum() > 0.999


def test_the_icon_is_an_svg_and_a_png() -> None:
    assert ElementTree.parse(ASSETS / "icon.svg").getroot().tag.endswith("svg")
    icon = cv2.imread(str(ASSETS / "favicon.png"), cv2.IMREAD_UNCHANGED)
    assert icon is not None
    assert icon.shape == (64, 64, 4)
    assert icon[32, 32, 3] == 255
    assert icon[0, 0, 3] == 0
