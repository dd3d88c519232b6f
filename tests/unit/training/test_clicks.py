"""What the click network is trained by: samples, the simulated person, and the file that comes out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from backend.engines.lite.backbone import open_session
from training.average import Average
from training.clicks.export import export
from training.clicks.network import CHANNELS, MAPS, POINTS, TAPS, Decoder
from training.clicks.person import Person
from training.clicks.samples import SIDE, Sampler
from training.data import Photograph, Target


def photograph(name: str, seed: int) -> Photograph:
    """A noisy picture with a red disc (1) and a blue square (2)."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 120, (300, 400, 3), dtype=np.uint8)
    labels = np.zeros((300, 400), np.uint8)
    cv2.circle(labels, (120, 140), 60, 1, -1)
    cv2.rectangle(labels, (240, 90), (339, 209), 2, -1)
    picture[labels == 1] = 250, 60, 60
    picture[labels == 2] = 10, 10, 150
    areas = [int((labels == v).sum()) for v in (1, 2)]
    return Photograph(
        name, picture, labels, (Target(1, areas[0], (60, 80, 181, 201)), Target(2, areas[1], (240, 90, 340, 210)))
    )


@pytest.fixture(scope="module")
def photographs() -> list[Photograph]:
    return [photograph("a", 1), photograph("b", 2)]


def test_samples_are_the_same_for_a_seed_and_show_the_object_under_the_mask(photographs: list[Photograph]) -> None:
    first, again = Sampler(photographs, 3), Sampler(photographs, 3)
    for _ in range(20):
        one, other = first.sample(), again.sample()
        assert np.array_equal(one.picture, other.picture)
        assert np.array_equal(one.mask, other.mask)
        assert one.picture.shape == (SIDE, SIDE, 3)
        assert 0 <= one.picture.min() <= one.picture.max() <= 1
        # Whatever was done to its colours, the object is even and the ground around it is not what it is.
        core = cv2.erode(one.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        away = cv2.dilate(one.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        if core.sum() > 50 and away.sum() > 50:
            inside = np.median(one.picture[core], 0)
            assert np.abs(inside - np.median(one.picture[away], 0)).max() > 0.03
        assert (one.weight[core] == 1).all()


def test_the_person_clicks_into_the_largest_mistake() -> None:
    truth = np.zeros((SIDE, SIDE), np.bool_)
    truth[40:120, 40:120] = True
    for seed in range(8):
        person = Person([truth], np.random.default_rng(seed))
        maps, on, off = person.tensors()
        boxed = bool(maps[0, 4].any())
        if boxed:
            rows, cols = np.nonzero(maps[0, 3].numpy())
            assert abs(int(rows.min()) - 40) <= 6
            assert abs(int(cols.max()) - 119) <= 6
        answered = np.zeros((1, SIDE, SIDE), np.float32)
        answered[0, 40:120, 40:80] = 0.9
        answered[0, 180:250, 180:250] = 0.9
        before = int(on[0, :, 2].sum())
        person.look(answered)
        maps, on, off = person.tensors()
        assert int(off[0, :, 2].sum()) == 1, "the blot is the largest mistake"
        assert int(on[0, :, 2].sum()) == before
        x, y, _ = off[0, 0].tolist()
        assert 180 <= x < 250
        assert 180 <= y < 250
        assert maps[0, 1, int(y), int(x)] == 1
        assert maps[0, 2, 60, 60] > 0.5


def test_what_is_exported_answers_as_the_network_does_at_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    decoder = Decoder()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(parameter.half().float())
    out = tmp_path / "clicks.onnx"
    export(decoder, out)
    assert out.stat().st_size < 1.2e6
    session = open_session(out)
    for height, width in ((96, 160), (128, 64)):
        picture = torch.rand(1, 3, height, width)
        taps = [torch.randn(1, c, height // s, width // s) for c, s in zip(CHANNELS, (2, 4, 8, 16, 32), strict=True)]
        maps = (torch.rand(1, MAPS, height, width) > 0.8).float()
        points = torch.zeros(2, 1, POINTS, 3)
        points[0, 0, 0] = torch.tensor([20.5, 30.5, 1])
        points[1, 0, :2] = torch.tensor([[50.5, 10.5, 1], [3.5, 60.5, 1]])
        with torch.no_grad():
            expected, _ = decoder(picture, taps, maps, points[0], points[1])
        inputs = {
            "picture": picture,
            "maps": maps,
            "on": points[0],
            "off": points[1],
            **dict(zip(TAPS, taps, strict=True)),
        }
        (answer,) = session.run(["logits"], {name: value.numpy() for name, value in inputs.items()})
        assert answer.shape == (1, 1, height, width)
        assert np.abs(answer - expected.numpy()).max() < 1e-3 * max(1.0, float(expected.abs().max()))


def test_the_average_forgets_its_start_and_then_follows_slowly() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    network.weight.data[:] = 0
    average = Average(network, slowest=0.9)
    kept = torch.nn.Linear(1, 1, bias=False)
    network.weight.data[:] = 1
    for _ in range(200):
        average.update()
    average.into(kept)
    assert kept.weight.item() == pytest.approx(1)
    network.weight.data[:] = 2
    average.update()
    average.into(kept)
    assert kept.weight.item() == pytest.approx(1.1)
