"""The looks, pixel by pixel: what they leave alone, and what is left of what they hide."""

from __future__ import annotations

import numpy as np
import pytest

from backend.domain import BoolMask, Image
from backend.errors import InvalidInput
from backend.masks.looks import BACKGROUND_CELLS, DIM, LOOKS, OBJECT_CELLS, Look, LookName, cut_out, paint
from backend.masks.overlay import FILL, Layer

HEIGHT, WIDTH = 180, 320
HIDING_OBJECT: tuple[LookName, ...] = ("blur_object", "pixelate_object")
HIDING_BACKGROUND: tuple[LookName, ...] = ("blur_background", "pixelate_background")


@pytest.fixture(scope="module")
def image() -> Image:
    """Noise, read-only: every pixel differs from its neighbours."""
    picture = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    picture.flags.writeable = False
    return picture


@pytest.fixture(scope="module")
def mask() -> BoolMask:
    """A disc of 120 pixels with a hole."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    far = (y - 90) ** 2 + (x - 150) ** 2
    return np.asarray((far < 60**2) & (far > 12**2))


def look_at(image: Image, mask: BoolMask, name: LookName, opacity: float | None = None) -> Image:
    return paint(image, [Layer(mask, "#FF0000", "1 Disc")], Look(name, opacity))


@pytest.mark.parametrize("name", [*HIDING_OBJECT, *HIDING_BACKGROUND, "cutout", "spotlight"])
def test_what_a_look_leaves_alone_is_equal_to_the_byte(image: Image, mask: BoolMask, name: LookName) -> None:
    out = look_at(image, mask, name)
    kept = ~mask if name in HIDING_OBJECT else mask
    np.testing.assert_array_equal(out[kept], image[kept])
    assert (out[~kept] != image[~kept]).any(axis=-1).mean() > 0.95


def test_a_cutout_is_black_around_and_a_spotlight_as_dark_as_asked(image: Image, mask: BoolMask) -> None:
    assert not look_at(image, mask, "cutout")[~mask].any()
    for opacity, left in ((None, 1 - DIM), (0.25, 0.75), (1.0, 0.0), (0.0, 1.0)):
        out = look_at(image, mask, "spotlight", opacity)
        np.testing.assert_allclose(out[~mask], image[~mask] * left, atol=0.51)


def test_a_cut_out_with_transparency_holds_nothing_of_the_rest(image: Image, mask: BoolMask) -> None:
    out = cut_out(image, [Layer(mask, "#FF0000")])
    np.testing.assert_array_equal(out[..., 3], mask * 255)
    np.testing.assert_array_equal(out[mask][:, :3], image[mask])
    assert not out[~mask].any()


def test_a_fill_is_as_opaque_as_asked_and_none_is_an_outline(image: Image) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[40:140, 60:260] = True
    inner = np.s_[60:120, 80:240]
    for opacity, share in ((None, FILL), (0.8, 0.8), (1.0, 1.0)):
        expected = image[inner] * (1 - share) + np.array([255, 0, 0]) * share
        np.testing.assert_allclose(look_at(image, mask, "fill", opacity)[inner], expected, atol=1.01)
    outline = look_at(image, mask, "outline")
    np.testing.assert_array_equal(look_at(image, mask, "fill", 0.0), outline)
    np.testing.assert_array_equal(outline[inner], image[inner])
    rim = outline[39:41, 100:220].astype(int).mean(axis=(0, 1))
    assert rim[0] > 2 * rim[1:].max(), "a red line along the upper edge of grey noise"


@pytest.mark.parametrize("name", [*HIDING_OBJECT, *HIDING_BACKGROUND])
def test_what_is_finer_than_a_cell_is_gone(image: Image, name: LookName) -> None:
    """Two pictures that differ in every detail but not in a cell's mean come out the same."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[30:150, 100:220] = True
    y0, y1, x0, x1 = (30, 150, 100, 220) if name in HIDING_OBJECT else (0, HEIGHT, 0, WIDTH)
    cell = 120 // OBJECT_CELLS if name in HIDING_OBJECT else WIDTH // BACKGROUND_CELLS
    other = image.copy()
    for y in range(y0, y1, cell):
        for x in range(x0, x1, cell):
            block = other[y : y + cell, x : x + cell]
            counted = mask[y : y + cell, x : x + cell] == (name in HIDING_OBJECT)
            block[counted] = block[counted][::-1]
    hidden = mask if name in HIDING_OBJECT else ~mask
    assert np.abs(other[hidden].astype(int) - image[hidden]).mean() > 50
    seen, same = look_at(image, mask, name), look_at(other, mask, name)
    assert np.abs(same[hidden].astype(int) - seen[hidden]).max() <= 2
    smooth = np.abs(np.diff(seen.astype(int), axis=1)).sum(axis=2)[hidden[:, 1:] & hidden[:, :-1]]
    assert np.median(smooth) <= 6, "neighbours differ by some 250 in the noise"


@pytest.mark.parametrize("size", [8, 40, 90, 170])
def test_of_an_object_of_any_size_there_are_six_cells_along_its_longer_side(size: int) -> None:
    picture = np.random.default_rng(size).integers(0, 256, (720, 1280, 3), np.uint8)
    mask = np.zeros((720, 1280), np.bool_)
    mask[100 : 100 + size, 200 : 200 + size // 2] = True
    out = look_at(picture, mask, "pixelate_object")
    colours = np.unique(out[mask], axis=0)
    assert len(colours) <= OBJECT_CELLS * OBJECT_CELLS // 2
    assert len(colours) == (18 if size > 48 else 1 if size == 8 else len(colours))


def test_nothing_bleeds_from_one_side_to_the_other() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 2] = 200
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[33:141, 57:203] = True
    picture[mask] = (180, 0, 0)
    for name in HIDING_BACKGROUND:
        out = look_at(picture, mask, name)
        assert out[~mask][:, 0].max() <= 1, "no red glow around the object"
        np.testing.assert_allclose(out[~mask][:, 2], 200, atol=2)
    for name in HIDING_OBJECT:
        assert np.abs(look_at(picture, mask, name)[mask].astype(int) - (180, 0, 0)).max() <= 2


def test_with_no_objects_all_is_background(image: Image) -> None:
    for name in LOOKS:
        out = paint(image, [], Look(name))
        assert out is not image
        untouched = name in ("fill", "outline", *HIDING_OBJECT)
        assert np.array_equal(out, image) == untouched, name
        empty = paint(image, [Layer(np.zeros((HEIGHT, WIDTH), np.bool_), "#FF0000", "1 Nothing")], Look(name))
        np.testing.assert_array_equal(empty, out)


def test_objects_together(image: Image, mask: BoolMask) -> None:
    other = np.zeros_like(mask)
    other[100:170, 180:300] = True
    layers = [Layer(mask, "#FF0000"), Layer(other, "#00FF00")]
    both = mask | other
    for name in HIDING_OBJECT:
        np.testing.assert_array_equal(paint(image, layers, Look(name))[~both], image[~both])
        np.testing.assert_array_equal(paint(image, layers, Look(name))[other], look_at(image, other, name)[other])
    for name in (*HIDING_BACKGROUND, "cutout", "spotlight"):
        np.testing.assert_array_equal(paint(image, layers, Look(name))[both], image[both])


def test_names_are_shown_where_a_look_has_them_or_they_are_asked_for(image: Image, mask: BoolMask) -> None:
    layers = [Layer(mask, "#FF0000", "1 Disc")]
    for name in LOOKS:
        shown, bare = (paint(image, layers, Look(name), labels=labels) for labels in (True, False))
        assert not np.array_equal(shown, bare)
        np.testing.assert_array_equal(paint(image, layers, Look(name)), shown if name in LOOKS[:2] else bare)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (67, 131), (541, 959)])
@pytest.mark.parametrize("name", LOOKS)
def test_pictures_of_any_size(shape: tuple[int, int], name: LookName) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)
    mask = np.zeros(shape, np.bool_)
    mask[: max(1, shape[0] // 2), : max(1, shape[1] // 2)] = True
    out = look_at(picture, mask, name)
    assert out.shape == picture.shape
    if name in (*HIDING_BACKGROUND, *HIDING_OBJECT):
        np.testing.assert_allclose(out, 90, atol=2)


@pytest.mark.parametrize(
    ("name", "opacity"),
    [("blur", None), ("", None), ("fill", -0.1), ("fill", 1.1), ("spotlight", float("nan")), ("cutout", 0.5)],
)
def test_a_look_that_is_none(name: LookName, opacity: float | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        Look(name, opacity)
    assert caught.value.code == "invalid_look"


@pytest.mark.parametrize("name", LOOKS)
def test_a_mask_of_another_size_is_refused(image: Image, name: LookName) -> None:
    with pytest.raises(InvalidInput) as caught:
        look_at(image, np.ones((20, 30), np.bool_), name)
    assert caught.value.code == "invalid_mask"
