"""What the tracker's refiner is trained by: rendered clips, the tracker's runs over them, and the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.engines.lite.backbone import Backbone, open_session
from tests.unit.training.test_clicks import photograph
from training.data import Photograph
from training.tracker.export import export
from training.tracker.network import CUES, Refiner
from training.tracker.render import SIZE, Renderer
from training.tracker.rollouts import Examples, roll_out


@pytest.fixture(scope="module")
def photographs() -> list[Photograph]:
    return [photograph("a", 1), photograph("b", 2)]


def test_a_clip_s_masks_lie_on_its_object(photographs: list[Photograph]) -> None:
    renderer = Renderer(photographs, 5)
    moved = 0
    for _ in range(4):
        clip = renderer.clip(6)
        assert len(clip.frames) == len(clip.masks) == 6
        for frame, mask in zip(clip.frames, clip.masks, strict=True):
            assert frame.shape == (*SIZE, 3)
            assert mask.shape == SIZE
            if mask.sum() < 200:
                continue
            red, _, blue = np.median(frame[mask], 0)
            assert abs(float(red) - float(blue)) > 80, "the cut-outs are red or blue, what is behind them is neither"
        moved += int((clip.masks[0] ^ clip.masks[-1]).any())
    assert moved == 4
    again = Renderer(photographs, 5).clip(2)
    assert np.array_equal(again.frames[1], Renderer(photographs, 5).clip(2).frames[1])


def test_a_run_leaves_an_example_for_each_frame(photographs: list[Photograph], tmp_path: Path) -> None:
    clip = Renderer(photographs, 7).clip(4)
    out = Examples()
    overlap = roll_out(Backbone(tmp_path), clip, np.random.default_rng(0), out)
    assert overlap > 0.6
    assert len(out.truth) == 3
    shapes = {name: rows[0].shape for name, rows in out.rows.items()}
    assert shapes == {
        "cues": (CUES, 96, 96), "b2": (24, 96, 96), "b3": (40, 48, 48), "b5": (112, 24, 24), "picture": (3, 192, 192),
    }  # fmt: skip
    fused = out.rows["cues"][0][2].astype(np.float32).repeat(2, 0).repeat(2, 1) > 0
    truth = out.truth[0] > 127
    assert (fused & truth).sum() / (fused | truth).sum() > 0.5, "the maps and the truth lie on the same crop"


def test_what_is_exported_answers_as_the_network_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = Refiner()
    sizes = {"cues": (CUES, 96), "b2": (24, 96), "b3": (40, 48), "b5": (112, 24), "picture": (3, 192)}
    given = {name: torch.randn(1, channels, side, side) for name, (channels, side) in sizes.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
        network.eval()
        untouched = network(**given)
        twice = torch.nn.functional.interpolate(given["cues"][:, 2:3], scale_factor=2.0, mode="bilinear")
        assert torch.allclose(untouched, 3 * twice, atol=1e-4), "untrained it only enlarges the evidence"
        torch.nn.init.normal_(network.last.weight, 0, 0.25)
        network.last.weight.copy_(network.last.weight.half().float())
        expected = network(**given).numpy()
    out = tmp_path / "tracker.onnx"
    export(network, out)
    (answer,) = open_session(out).run(["logits"], {name: value.numpy() for name, value in given.items()})
    assert np.abs(answer - expected).max() < 1e-3 * max(1.0, float(np.abs(expected).max()))
