"""The embedded engine's trained parts: what they are given, where they look, and what scores are read off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.domain import BoolMask, Image
from backend.engines.lite import certainty, refiner
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.clicknet import HEAD, ClickNetwork, Part
from backend.engines.lite.closeup import Asked, CloseUp
from backend.engines.lite.refiner import Evidence, Refiner
from backend.engines.lite.rules import Clicks
from backend.engines.lite.view import FINE, GRID, Crop, look
from tests.unit.engines.clips import iou, texture

HEADS = (HEAD, refiner.HEAD)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> ClickNetwork:
    return ClickNetwork(tmp_path_factory.mktemp("network"))


def ball(width: int, height: int, x: int, y: int, radius: int) -> tuple[Image, BoolMask]:
    """A shaded orange ball on a grey, textured ground."""
    ground = texture(3, height, width, (120, 120, 125), 40)
    rows, cols = np.mgrid[:height, :width]
    away = np.hypot(cols - x, rows - y)
    mask = away <= radius
    light = np.clip(1.15 - np.hypot(cols - x + radius / 3, rows - y + radius / 3) / (2.2 * radius), 0.2, 1)
    picture = np.where(mask[..., None], light[..., None] * np.array([250, 140, 30]), ground).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.uint8), mask


def test_the_files_are_small_and_each_has_its_card() -> None:
    for head in HEADS:
        card = head.with_suffix(".md").read_text()
        assert "CC BY 4.0" in card
        assert "--seed" in card
    assert sum(head.stat().st_size for head in HEADS) < 4e6


@pytest.mark.parametrize(("size", "place", "radius"), [((640, 360), (400, 200), 80), ((1920, 1080), (1500, 300), 45)])
def test_a_click_finds_a_ball_of_any_size(
    network: ClickNetwork, size: tuple[int, int], place: tuple[int, int], radius: int
) -> None:
    picture, truth = ball(*size, *place, radius)
    nothing = np.zeros(truth.shape, np.bool_)
    close = CloseUp(picture, network)
    cut = close.cut(Asked(Clicks((place,), (1,), 1), None, None, nothing))
    assert iou(cut.mask, truth) > 0.85
    assert cut.score > 0.8
    x, y, w, h = cv2.boundingRect(truth.view(np.uint8))
    boxed = close.cut(Asked(None, (x, y, x + w, y + h), None, nothing))
    assert iou(boxed.mask, truth) > 0.85
    assert close.nbytes > 1e6


def test_what_belongs_to_others_and_what_lies_outside_the_box_stays_out(network: ClickNetwork) -> None:
    picture, truth = ball(640, 360, 320, 180, 80)
    left = np.zeros(truth.shape, np.bool_)
    left[:, :320] = True
    close = CloseUp(picture, network)
    cut = close.cut(Asked(Clicks(((360, 180),), (1,), 1), None, None, left))
    assert not (cut.mask & left).any()
    assert iou(cut.mask, truth & ~left) > 0.7
    half = close.cut(Asked(None, (320, 100, 401, 261), None, np.zeros_like(left)))
    assert half.mask[:, :312].sum() == 0


def test_a_frame_is_encoded_once_and_so_is_the_same_part_of_it(
    network: ClickNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, truth = ball(640, 360, 320, 180, 50)
    parts: list[Part] = []
    encode = ClickNetwork.encode

    def counted(self: ClickNetwork, picture: Image, part: Part, long_side: int) -> object:
        parts.append(part)
        return encode(self, picture, part, long_side)

    monkeypatch.setattr(ClickNetwork, "encode", counted)
    close = CloseUp(picture, network)
    asked = Asked(None, (270, 130, 371, 231), None, np.zeros(truth.shape, np.bool_))
    close.cut(asked)
    close.cut(asked)
    assert len(parts) == 2
    assert parts[0] == Part(0, 0, 640, 360)
    assert parts[1].width < 250


def test_a_place_in_an_encoded_part_is_the_pixel_s_middle(network: ClickNetwork) -> None:
    picture, _ = ball(640, 360, 320, 180, 50)
    encoded = network.encode(picture, Part(100, 50, 420, 210), 384)
    height, width = encoded.size
    assert (height, width) == (192, 384)
    assert encoded.place((100, 50)) == (0.5 * 384 / 320, 0.5 * 192 / 160)
    assert encoded.place((419, 209)) == pytest.approx((384 - 0.6, 192 - 0.6))


def evidence(found: BoolMask, carried: BoolMask, fused: BoolMask) -> Evidence:
    """What cues would say of masks (GRID, GRID)."""
    whole = slice(0, GRID), slice(0, GRID)
    logits = np.where(fused, np.float32(4), np.float32(-4)).astype(np.float32)
    likeness = cv2.resize(np.where(found, 2.5, -2.5).astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA)
    linear = cv2.resize(np.where(found, 2.5, -2.5).astype(np.float32), (96, 96), interpolation=cv2.INTER_AREA)
    moved = carried.astype(np.float32)
    return Evidence(whole, moved, np.ones_like(moved), logits, logits, likeness, likeness, linear)


def disc(x: int, y: int, radius: int) -> BoolMask:
    rows, cols = np.mgrid[:GRID, :GRID]
    return np.asarray(np.hypot(cols - x, rows - y) <= radius)


def test_a_step_where_all_agrees_scores_high_and_one_where_nothing_does_low() -> None:
    here, there = disc(128, 128, 50), disc(170, 150, 40)
    good = evidence(here, here, here)
    firm = np.where(here, np.float32(5), np.float32(-5)).astype(np.float32)
    well = certainty.signs(here.astype(np.float32), firm, good, 1.0, 3, 1.0)
    assert well.stayed == well.corrected == 1
    assert well.unlike < -0.6 < 0.6 < well.alike
    bad = evidence(there, there, there)
    torn = np.where(here, np.float32(0.4), np.float32(-0.4)).astype(np.float32)
    badly = certainty.signs(here.astype(np.float32), torn, bad, 0.3, 60, 1.0)
    assert badly.stayed < 0.5
    assert certainty.likely_iou(well) > 0.8
    assert certainty.likely_iou(badly) < 0.5


def test_thin_and_small_things_score_less_than_round_ones() -> None:
    firm = np.full((GRID, GRID), -5, np.float32)
    scores = []
    for mask, scale in ((disc(128, 128, 50), 1.0), (disc(128, 128, 50), 4.0), (line(), 1.0)):
        said = np.where(mask, np.float32(5), firm)
        read = certainty.signs(mask.astype(np.float32), said, evidence(mask, mask, mask), 1.0, 3, scale)
        scores.append(certainty.likely_iou(read))
    assert scores[0] > scores[1] > scores[2]


def line() -> BoolMask:
    out = np.zeros((GRID, GRID), np.bool_)
    out[126:130, 40:216] = True
    return out


def test_an_empty_mask_has_signs_too() -> None:
    nothing = np.zeros((GRID, GRID), np.bool_)
    read = certainty.signs(
        np.zeros((GRID, GRID), np.float32),
        np.full((GRID, GRID), -5, np.float32),
        evidence(nothing, nothing, nothing),
        0.0,
        0,
        1.0,
    )
    assert all(np.isfinite(read))
    assert 0 <= certainty.likely_iou(read) <= 1


def test_the_refiner_s_maps_lie_on_the_crop(tmp_path: Path) -> None:
    picture, _ = ball(640, 360, 320, 180, 60)
    view = look(Backbone(tmp_path), picture, Crop(200, 60, 240))
    assert view.fine.shape == (FINE, FINE, 3)
    mask = disc(128, 128, 64)
    roi = slice(40, 216), slice(40, 216)
    told = evidence(mask, mask, mask)
    told = Evidence(
        roi, told.carried, told.sure, told.fused[roi], told.local[roi], told.first, told.second, told.linear
    )
    given = refiner.inputs(view, told)
    maps = given["cues"][0]
    assert maps.shape == (10, 96, 96)
    assert maps[0, 48, 48] == 1
    assert maps[0, 4, 4] == -1
    assert maps[2, 48, 48] == pytest.approx(4 / 3)
    assert maps[2, 2, 2] == pytest.approx(-4 / 3), "nobody looked there"
    # The ball is orange where the masks say it is.
    assert maps[7, 48, 48] > maps[9, 48, 48] + 0.5
    refined = Refiner()(view, told)
    assert refined.shape == (GRID, GRID)
    assert iou(refined > 0, mask) > 0.8
