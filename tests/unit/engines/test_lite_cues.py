"""Each of the tracker's cues by itself, on a disc that moved between two frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.domain import BoolMask
from backend.engines.lite import bilateral, cues, match, ridge
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.colour import Colours
from backend.engines.lite.cues import Past
from backend.engines.lite.flow import Motion, to_grey
from backend.engines.lite.match import Place
from backend.engines.lite.scene import Scene
from backend.engines.lite.view import GRID, Crop, View, crop_of, cut_mask
from tests.unit.engines.clips import iou, texture

SIZE = 180, 240
STEP = 9, 5
"""Columns and rows that the disc goes."""
WHOLE = slice(0, GRID), slice(0, GRID)


@dataclass(frozen=True)
class Pair:
    """The disc's mask, crop and view on the first frame, and the second frame with its motion."""

    before: BoolMask
    after: BoolMask
    crop: Crop
    then: View
    scene: Scene

    @property
    def past(self) -> Past:
        return Past(self.crop, self.then.lab, cut_mask(self.before, self.crop))

    @property
    def place(self) -> Place:
        return Place(100, 90, float(self.before.sum()) ** 0.5)

    def now(self) -> View:
        return self.scene.view(self.crop)

    def found(self, logits: cues.Floats) -> float:
        """IoU of what a cue says is the object with where it is now."""
        large = cv2.resize(logits, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        return iou(large > 0, cut_mask(self.after, self.crop) > 0.5)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    cache: Path = tmp_path_factory.mktemp("lite")
    ground, cloth = texture(1, *SIZE, (90, 110, 100)), texture(2, *SIZE, (190, 70, 60))
    frames, masks = [], []
    for n in range(2):
        mask = np.zeros(SIZE, np.uint8)
        cv2.circle(mask, (100 + n * STEP[0], 90 + n * STEP[1]), 34, 1, -1)
        moved = np.roll(cloth, (n * STEP[1], n * STEP[0]), (0, 1))
        frames.append(np.where(mask[..., None] > 0, moved, ground).astype(np.uint8))
        masks.append(mask > 0)
    backbone = Backbone(cache)
    flow = Motion().between(to_grey(frames[0]), to_grey(frames[1]), SIZE)
    crop = crop_of(masks[0])
    assert crop is not None
    return Pair(masks[0], masks[1], crop, Scene(backbone, frames[0], None).view(crop), Scene(backbone, frames[1], flow))


def test_the_carried_mask_is_where_the_object_went(pair: Pair) -> None:
    where = cues.origins(pair.scene, pair.past, pair.crop)
    carried = cues.carry(pair.past, where)
    now = cut_mask(pair.after, pair.crop) > 0.5
    assert iou(carried > 0.5, now) > 0.78
    assert iou(carried > 0.5, now) > iou(pair.past.soft > 0.5, now) + 0.1
    trust = cues.certainty(pair.scene, pair.past, pair.now(), where)
    was = cut_mask(pair.before, pair.crop) > 0.5
    # On the object the flow is sure; the ground that it uncovered came from nowhere.
    assert trust[now & was].mean() > trust[was & ~now].mean() + 0.2


def test_matching_finds_what_looks_like_the_remembered_cells(pair: Pair) -> None:
    cover = cut_mask(pair.before, pair.crop, match.CELLS)
    bank = match.remember(match.queries(pair.then, pair.place), cover, (400, 600), np.random.default_rng(0))
    went = Place(pair.place.x + STEP[0], pair.place.y + STEP[1], pair.place.size)
    cells = match.queries(pair.now(), went)
    first, second = match.compare(cells, [bank], [])
    assert pair.found(first) > 0.75
    assert np.array_equal(first, second)


def test_matching_a_region_gives_what_matching_everything_gives_there(pair: Pair) -> None:
    cover = cut_mask(pair.before, pair.crop, match.CELLS)
    rng = np.random.default_rng(0)
    bank, recent = (match.remember(match.queries(pair.then, pair.place), cover, (n, n), rng) for n in (200, 100))
    cells = match.queries(pair.now(), pair.place)
    rows, cols = match.cells_of((slice(40, 200), slice(90, 170)))
    assert (rows.start, rows.stop, cols.start, cols.stop) == (6, 39, 15, 33)
    for whole, part in zip(
        match.compare(cells, [bank], [recent]), match.compare(cells, [bank], [recent], (rows, cols)), strict=True
    ):
        assert np.allclose(whole[rows, cols], part[rows, cols], atol=1e-4)
        outside = np.ones_like(part, np.bool_)
        outside[rows, cols] = False
        assert (part[outside] == -match.LIMIT).all()
    assert match.cells_of(WHOLE) == (slice(0, match.CELLS), slice(0, match.CELLS))


def test_what_a_newer_memory_sees_otherwise_is_dropped(pair: Pair) -> None:
    cells = match.queries(pair.then, pair.place)
    cover = cut_mask(pair.before, pair.crop, match.CELLS)
    bank, opposite = (match.remember(cells, c, (200, 200), np.random.default_rng(0)) for c in (cover, 1 - cover))
    left, same = bank.without_contradictions(opposite), bank.without_contradictions(bank)
    assert len(left.fore) < 0.1 * len(bank.fore)
    assert len(same.fore) > 0.9 * len(bank.fore)


def test_the_linear_classifier_tells_the_object_on_the_next_frame(pair: Pair) -> None:
    cover = cut_mask(pair.before, pair.crop, ridge.CELLS)
    weights = ridge.observe(ridge.describe(pair.then), cover).solve()
    assert pair.found(ridge.classify(pair.now(), weights)) > 0.75
    # Some of the cells teach nearly as much as all.
    some = ridge.observe(*ridge.thinned(ridge.describe(pair.then), cover)).solve()
    assert pair.found(ridge.classify(pair.now(), some)) > 0.7


def test_enlarged_answers_are_the_answers_of_enlarged_taps(pair: Pair) -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, 177).astype(np.float32)
    plain = np.clip(2 * (ridge.describe(pair.then) @ weights), -ridge.LIMIT, ridge.LIMIT)
    assert np.allclose(ridge.classify(pair.then, weights).ravel(), plain, atol=1e-3)


def test_the_cells_that_are_learnt_from_lie_everywhere() -> None:
    index = np.arange(ridge.CELLS**2)
    kept, _ = ridge.thinned(index.astype(np.float32)[:, None], index.reshape(ridge.CELLS, ridge.CELLS))
    rows, cols = np.divmod(kept[:, 0].astype(int), ridge.CELLS)
    assert set(rows) == set(cols) == set(range(ridge.CELLS))


def test_colours_close_by_tell_the_object(pair: Pair) -> None:
    likely, count = cues.moved_colours(pair.scene, pair.past, pair.now(), WHOLE)
    assert pair.found(cues.logit(likely) * count) > 0.85
    half = slice(0, GRID), slice(GRID // 2, GRID)
    part, _ = cues.moved_colours(pair.scene, pair.past, pair.now(), half)
    assert part.shape == (GRID, GRID // 2)
    assert np.corrcoef(part.ravel(), likely[half].ravel())[0, 1] > 0.9


def test_the_grid_of_colours_is_blurred_alike_along_all_axes() -> None:
    rng = np.random.default_rng(0)
    grid = rng.random((2, 4, 3, 5, 6, 7)).astype(np.float32)
    grid[..., -1] = 0
    expected = grid
    for axis in range(1, grid.ndim):
        sides = [(1, 1) if i == axis else (0, 0) for i in range(grid.ndim)]
        low, middle, high = (
            np.take(np.pad(expected, sides), np.arange(grid.shape[axis]) + shift, axis) for shift in range(3)
        )
        expected = (low + 2 * middle + high) / 4
    # The layer that came empty takes up what is blurred into it from the next row as well; nobody reads it.
    assert np.allclose(bilateral._smooth(grid)[..., :-1], expected[..., :-1], atol=1e-5)


def test_colours_tell_the_object_and_follow_a_change_of_light(pair: Pair) -> None:
    colours = Colours(pair.then.lab, pair.past.soft)
    assert pair.found(cues.logit(colours.likely(pair.now().lab), 0.1)) > 0.7
    darker = pair.then.lab - np.array([0.15, 0, 0], np.float32)
    inside = pair.past.soft > 0.9
    before = colours.likely(darker)[inside].mean()
    for _ in range(20):
        colours.update(darker, pair.past.soft)
    assert colours.likely(darker)[inside].mean() > before


def test_the_distance_from_the_edge_is_signed_and_bounded() -> None:
    soft = np.zeros((GRID, GRID), np.float32)
    soft[100:140, 100:140] = 1
    depth = cues.signed_distance(soft, 10)
    assert depth[120, 120] == pytest.approx(2, abs=0.15)
    assert depth[120, 90] == pytest.approx(-1, abs=0.15)
    assert depth[0, 0] == -3


def test_a_mask_that_is_suddenly_another_size_jumped() -> None:
    soft = np.zeros((GRID, GRID), np.float32)
    soft[100:140, 100:140] = 1
    half, nothing = soft.copy(), np.zeros_like(soft)
    half[120:] = 0
    assert not cues.jumped(soft, soft)
    assert cues.jumped(soft, half)
    assert cues.jumped(half, soft)
    assert cues.jumped(soft, nothing)
    assert not cues.jumped(nothing, soft), "found again after it was lost: from nowhere is no jump"
