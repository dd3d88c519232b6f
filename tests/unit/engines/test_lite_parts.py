"""Parts of the embedded engine that can go wrong by themselves."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.engines.lite import LiteEngine
from backend.engines.lite.backbone import SIZE, Backbone
from backend.engines.lite.compose import paint
from backend.engines.lite.geodesic import distances
from backend.engines.lite.guided import refine, work_size
from backend.engines.lite.rules import only_near
from backend.engines.lite.solve import cut_out, drop_specks, edge_weights
from backend.engines.lite.view import Crop, crop_of, cut, cut_mask
from backend.engines.lite.weights import load_weights, read_legacy
from tests.unit.engines.clips import iou, texture


def test_the_weights_are_whole() -> None:
    weights = load_weights()
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(v).all() for v in weights.values())


def test_a_hostile_weight_file_runs_nothing(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    with pytest.raises(pickle.UnpicklingError):
        read_legacy(io.BytesIO(pickle.dumps(Hostile())))
    assert not (tmp_path / "ran").exists()


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    picture = texture(1, SIZE, SIZE, (120, 120, 120))
    expected = Backbone(tmp_path).features(picture)
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    for got, wanted in zip(Backbone(tmp_path).features(picture), expected, strict=True):
        assert np.array_equal(got, wanted)
    assert [p.name for p in tmp_path.iterdir()] == [cached.name]


def test_features_are_standardised(engine: LiteEngine, tmp_path: Path) -> None:
    taps = Backbone(tmp_path).features(texture(2, SIZE, SIZE, (120, 110, 90)))
    assert [t.shape for t in taps] == [(96, 96, 24), (48, 48, 40), (24, 24, 112)]
    assert all(0.2 < float(t.std()) < 3 for t in taps)


def test_a_cut_follows_the_edge_and_drops_noise() -> None:
    truth = np.zeros((40, 60), np.bool_)
    truth[10:30, 20:45] = True
    lab = np.repeat(truth[..., None], 3, -1).astype(np.float32) * 0.3
    evidence = np.where(truth, 1.5, -1.5) + np.random.default_rng(0).normal(0, 2, truth.shape)
    soft = cut_out(evidence.astype(np.float32), *edge_weights(lab, 0.08), strength=0.35, rounds=60)
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert iou(soft > 0.5, truth) > 0.97


def test_geodesic_distance_climbs_no_walls() -> None:
    lab = np.zeros((20, 40, 3), np.float32)
    lab[:, 20:] = 0.5
    seed = np.zeros((20, 40), np.bool_)
    seed[10, 5] = True
    near, nothing = distances(lab, (seed, np.zeros_like(seed)), step=0.01, rounds=2)
    assert near[10, 5] == 0
    assert near[10, 15] == pytest.approx(0.1, rel=0.01)
    assert near[10, 25] > 0.6
    assert nothing.min() > 1e5


@pytest.mark.parametrize("side", [40, 900])
def test_a_guided_mask_follows_the_picture(side: int) -> None:
    truth = np.zeros((side, side), np.bool_)
    truth[side // 4 : side // 2, side // 4 : -side // 4] = True
    picture = np.where(truth[..., None], np.uint8(220), np.uint8(40)).repeat(3, -1).astype(np.uint8)
    rows, cols = work_size(side, side)
    rough = np.zeros((rows, cols), np.float32)
    rough[rows // 4 + 2 : rows // 2 + 2, cols // 4 + 2 : -cols // 4 + 2] = 1
    assert iou(refine(picture, rough) > 0.5, truth) > 0.9


def test_a_small_thing_keeps_its_shape_on_a_picture_that_hardly_shows_it() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((120, 160), np.bool_)
    truth[60:66, 70:84] = True
    grey = 120 + rng.normal(0, 12, (120, 160, 1)) - 6 * truth[..., None]
    picture = np.clip(grey, 0, 255).astype(np.uint8).repeat(3, -1)
    crop = Crop(45, 31, 64)
    painted = paint(picture, crop, cut_mask(truth, crop))
    assert painted is not None
    rows, cols, level = painted
    out = np.zeros_like(truth)
    out[rows, cols] = level > 0.5
    assert iou(out, truth) > 0.9


def test_a_click_that_would_add_many_times_the_mask_adds_what_is_near_it() -> None:
    start, cut = np.zeros((2, 100, 200), np.bool_)
    start[40:50, 40:60] = True
    cut[:, 20:] = True
    out = only_near(cut, start, [((62, 45), 1)])
    assert out[45, 62]
    assert out[start].all()
    rows, cols = np.nonzero(out)
    assert cols.max() <= 62 + 20
    assert rows.min() >= 45 - 20
    # Three times as much is what a click may well mean.
    wanted = start.copy()
    wanted[40:50, 60:120] = True
    assert np.array_equal(only_near(wanted, start, [((62, 45), 1)]), wanted)


@pytest.mark.parametrize("crop", [Crop(-30, -20, 100), Crop(10, 5, 64), Crop(-500, -500, 1300), Crop(150, 90, 80)])
def test_a_crop_shows_what_lies_there(crop: Crop) -> None:
    picture = np.zeros((120, 200, 3), np.uint8)
    picture[40:80, 60:180] = 255
    seen = cut(picture, crop)
    assert seen.shape == (SIZE, SIZE, 3)
    cover = cut_mask(picture[..., 0] > 0, crop, SIZE)
    inside = cut_mask(np.ones((120, 200), np.bool_), crop, SIZE) > 0.99
    assert np.abs(cover - seen[..., 0] / 255)[inside].mean() < 0.02


def test_a_crop_holds_its_object() -> None:
    mask = np.zeros((100, 300), np.bool_)
    assert crop_of(mask) is None
    mask[20:50, 200:290] = True
    crop = crop_of(mask)
    assert crop is not None
    assert float(cut_mask(mask, crop, 200).sum()) * (crop.side / 200) ** 2 == pytest.approx(mask.sum(), rel=0.02)


def test_specks_go_and_what_was_clicked_stays():
    soft = np.zeros((60, 80), np.float32)
    soft[10:40, 10:40] = 0.9
    soft[50:53, 50:53] = 0.8
    soft[5:8, 60:63] = 0.7
    drop_specks(soft, [(61, 6)])
    assert not soft[50:53, 50:53].any()
    assert soft[5:8, 60:63].all()
    assert soft[10:40, 10:40].all()
    drop_specks(soft)
    assert not soft[5:8, 60:63].any()


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_without_a_package_it_says_what_to_install(package: str, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules[{package!r}] = None
from backend.engines.registry import EngineSpec, build
from backend.errors import EngineError
try:
    build(EngineSpec("lite", Path({str(tmp_path)!r})))
except EngineError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"Lite needs the package {package} (pip install -c constraints.txt .)."
