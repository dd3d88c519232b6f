"""Cuts an object out of a still picture by clicks or a box, with nothing trained.

Seeds around the clicks, geodesic distances and colours to them as evidence, and a total variation
cut. A click on an object that already has a mask counts near itself only.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite import guided, match
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.cues import sigmoid
from backend.engines.lite.finds import PixelBox
from backend.engines.lite.geodesic import distances
from backend.engines.lite.palette import Palette, nearest
from backend.engines.lite.rules import Clicks, Pixel, only_near, rooted, still_true
from backend.engines.lite.solve import cut_out, edge_weights
from backend.engines.lite.view import Crop, View, look
from backend.engines.prompter import Found

Floats = NDArray[np.float32]

LONG_SIDE = 428
"""Longer side of the picture that is worked on."""
_ENLARGED = 2.0
"""How much a small picture is enlarged for it, at most."""
_DISC = 0.012
"""Radius of a click's seeds, over the picture's width."""
_STEP = 0.012
"""Cost of a pixel's way against colour differences."""
_SURE = np.float32(8)
_NEAR, _FADE = 0.10, 0.25
"""Over the picture's width: how far a new click unsettles a mask, and where that has faded."""
_ALIKE, _LINKED = 0.25, 0.001
"""A click reaches further over what looks the same: the weight of such distances (over the
picture's width), and the cost of a pixel's way in them."""
_HOLD = np.float32(2)
"""What a mask that is there already counts as evidence, away from new clicks."""
_LOOKS = np.float32(2)
"""What a cell's likeness to the seeds' looks counts at most, once there is a mask to compare with."""
_TEMPERATURE = np.float32(0.25)
_STRENGTH, _ROUNDS, _FLOOR = 0.5, 60, 0.05
_PASSES = 3


class SeededCut:
    """A frame made ready for cutting without a trained network.

    Args:
        picture: RGB (H, W, 3).
        backbone: the feature network; it looks when a mask is refined for the first time.
    """

    def __init__(self, picture: Image, backbone: Backbone) -> None:
        self.picture = picture
        self._backbone = backbone
        self._view: View | None = None
        height, width = picture.shape[:2]
        scale = min(LONG_SIDE / max(height, width), _ENLARGED)
        self._width, self._height = max(round(width * scale), 4), max(round(height * scale), 4)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._small = np.asarray(cv2.resize(picture, (self._width, self._height), interpolation=way), np.uint8)
        calm = cv2.bilateralFilter(self._small, 5, 25, 3).astype(np.float32)
        lab = cv2.cvtColor(calm / np.float32(255), cv2.COLOR_RGB2LAB)
        self._lab = np.asarray(lab * np.array([0.007, 0.015, 0.015]), np.float32)
        self._palette = Palette(self._lab)
        self._across, self._down = edge_weights(self._lab, _FLOOR)

    @property
    def nbytes(self) -> int:
        arrays = (self.picture, self._small, self._lab, self._across, self._down)
        view = 0 if self._view is None else self._view.nbytes
        return sum(a.nbytes for a in arrays) + self._palette.nbytes + view

    # --- what is asked -----------------------------------------------------------------------

    def by_clicks(self, clicks: Clicks, start: BoolMask | None, forbidden: BoolMask) -> Found:
        """The object that was clicked.

        Args:
            clicks: all that hold; where `start` contradicts an older one, a later edit undid it.
            start: the object's mask so far (H, W); only what is near new clicks is cut anew.
            forbidden: pixels (H, W) that belong to others.
        """
        if start is not None and not start.any():
            start = None
        if start is not None:
            clicks = still_true(clicks, start)
        on, off = clicks.of(1), clicks.of(0)
        if not on and start is None:
            return Found(np.zeros(self.picture.shape[:2], np.bool_), 0.0)
        radius = max(3, int(_DISC * self._width))
        pressed = self._discs(off, max(2, radius // 2)), self._discs(on, max(2, radius // 2))
        blocked = self._reduce(forbidden) > 0.5
        if start is None:
            fore, back = self._discs(on, radius), self._discs(off, radius) | self._frame_edge()
            prior = None
        else:
            held = self._reduce(start) > 0.5
            new = [p for p, _ in clicks.newest()]
            away = self._away(new)
            # A part that stands apart and was never clicked on may go as a whole.
            doubted = rooted(held, self._small_points([p for p, label in clicks.newest() if not label]))
            if not (doubted & self._discs(on, 1)).any() and (held & ~doubted).any():
                away[doubted] = 0
            far = away > _NEAR * self._width
            fore = self._discs(on, radius) | (_depth(held, 3) & far)
            back = self._discs(off, radius) | (_depth(~held, 4) & far)
            hold = _HOLD * np.clip(away / np.float32(_FADE * self._width), 0.05, 1)
            prior = np.where(held, hold, -hold).astype(np.float32)
        back = (back | blocked) & ~self._discs(on, radius)
        fore &= ~(self._discs(off, radius) | blocked)
        soft, evidence = self._solve(fore, back, pressed, blocked, prior, self._small_points(on))
        cut = self._finish(soft | pressed[1], evidence)
        mask = cut.mask & ~forbidden
        if start is not None:
            mask = only_near(mask, start, clicks.newest())
        for (x, y), label in clicks.newest():
            mask[y, x] = bool(label)
        return Found(mask, cut.score)

    def by_box(self, box: PixelBox, forbidden: BoolMask) -> Found:
        """The object that fills a box; `forbidden` pixels (H, W) belong to others."""
        x0, y0, x1, y1 = self._small_box(box)
        inside = np.zeros((self._height, self._width), np.bool_)
        inside[y0:y1, x0:x1] = True
        blocked = (self._reduce(forbidden) > 0.5) | ~inside
        found = self._grab(inside & ~blocked)
        if found.sum() < 0.25 * inside.sum():
            fore = np.zeros_like(inside, np.uint8)
            axes = max(2, (x1 - x0) // 8), max(2, (y1 - y0) // 8)
            cv2.ellipse(fore, ((x0 + x1) // 2, (y0 + y1) // 2), axes, 0, 0, 360, 1, -1)
            seeds = fore.astype(np.bool_) & ~blocked
            nothing = np.zeros_like(inside)
            soft, evidence = self._solve(seeds, blocked, (nothing, nothing), blocked, None, [])
        else:
            soft, evidence = found, np.where(found, np.float32(2), np.float32(-2))
        cut = self._finish(soft, evidence)
        mask = cut.mask & ~forbidden
        return Found(mask, cut.score if mask.any() else 0.0)

    # --- how it is found ---------------------------------------------------------------------

    def _solve(
        self,
        fore: BoolMask,
        back: BoolMask,
        pressed: tuple[BoolMask, BoolMask],
        blocked: BoolMask,
        prior: Floats | None,
        roots: Sequence[Pixel],
    ) -> tuple[BoolMask, Floats]:
        """The mask on the small picture, and the evidence it was cut from.

        Args:
            fore, back: seeds that distances and colours are measured from.
            pressed: pixels certainly off, and certainly on the object.
            blocked: pixels that can't be the object.
            prior: evidence of what is there already.
            roots: clicked points; only parts of the mask that hold one are kept, if any is given.
        """
        near, far = distances(self._lab, (fore, back), _STEP, 3 if prior is None else 2)
        geodesic = (far - near) / (far + near + np.float32(1e-3))
        soft = None if prior is None else np.where(prior > 0.5, 1, np.where(prior < -0.5, 0, 0.5)).astype(np.float32)
        mask = fore
        logits = geodesic
        looks = self._looks(fore, back) if prior is not None else None
        for _ in range(_PASSES):
            logits = 3 * (geodesic + self._colour(fore, back, soft))
            if prior is not None and looks is not None:
                logits += prior + looks
            logits[pressed[1]] = _SURE
            logits[pressed[0]] = -_SURE
            logits[blocked] = -_SURE
            soft = cut_out(logits, self._across, self._down, _STRENGTH, _ROUNDS)
            mask = soft > 0.5
            if roots and prior is None:
                mask = rooted(mask, roots)
                soft = soft * mask
            if not mask.any():
                break
        return mask, logits

    def _colour(self, fore: BoolMask, back: BoolMask, soft: Floats | None) -> Floats:
        if soft is None:
            a, b = nearest(self._lab, fore), nearest(self._lab, back)
            return (b - a) / (a + b + np.float32(0.03))
        on = self._palette.count(fore, soft > 0.8)
        off = self._palette.count(back, soft < 0.2)
        return self._palette.contrast(on, off)

    def _looks(self, fore: BoolMask, back: BoolMask) -> Floats:
        """Whether the network sees each pixel more like one set of seeds than the other."""
        if self._view is None:
            self._view = look(self._backbone, self.picture, Crop(0, 0, max(self.picture.shape[:2])))
        cells = match.describe(self._view)
        on, off = self._cells(fore), self._cells(back)
        # A disc may cover no cell by half; its best covered one stands for it.
        known = cells[on >= max(min(float(on.max()), 0.5), 1e-6)], cells[(off > 0.3) & (on == 0)]
        if not len(known[0]) or not len(known[1]):
            return np.zeros((self._height, self._width), np.float32)
        margin = ((cells @ known[0].T).max(1) - (cells @ known[1].T).max(1)) / _TEMPERATURE
        coarse = np.clip(margin / 3, -1, 1).reshape(match.CELLS, match.CELLS)
        side = max(self._width, self._height)
        fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(_LOOKS * fine[: self._height, : self._width], np.float32)

    def _cells(self, mask: BoolMask) -> Floats:
        """How much of each of the network's cells a mask covers, (cells²,); the picture lies top left."""
        scale = match.CELLS / max(self._width, self._height)
        size = max(round(self._width * scale), 1), max(round(self._height * scale), 1)
        out = np.zeros((match.CELLS, match.CELLS), np.float32)
        out[: size[1], : size[0]] = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return out.ravel()

    def _grab(self, inside: BoolMask) -> BoolMask:
        """OpenCV's GrabCut, started from a region."""
        labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
        if not inside.any() or inside.all():
            return inside
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._small, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        return np.asarray(labels & 1, np.bool_)

    def _finish(self, mask: BoolMask, evidence: Floats) -> Found:
        """A mask on the small picture, brought to the frame's size along its edges."""
        height, width = self.picture.shape[:2]
        score = float(sigmoid(evidence)[mask].mean()) if mask.any() else 0.0
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        out = np.zeros((height, width), np.bool_)
        if not w:
            return Found(out, 0.0)
        sx, sy = width / self._width, height / self._height
        pad_x, pad_y = 8 * max(sx, 1), 8 * max(sy, 1)
        x0, x1 = max(int(x * sx - pad_x), 0), min(int((x + w) * sx + pad_x) + 1, width)
        y0, y1 = max(int(y * sy - pad_y), 0), min(int((y + h) * sy + pad_y) + 1, height)
        rows, cols = guided.work_size(y1 - y0, x1 - x0, guided.WORK)
        matrix = np.array(
            [
                [(x1 - x0) / cols / sx, 0, (x0 + (x1 - x0) / cols / 2) / sx - 0.5],
                [0, (y1 - y0) / rows / sy, (y0 + (y1 - y0) / rows / 2) / sy - 0.5],
            ],
            np.float32,
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        soft = cv2.warpAffine(mask.astype(np.float32), matrix, (cols, rows), flags=flags, borderMode=border)
        part = np.ascontiguousarray(self.picture[y0:y1, x0:x1])
        out[y0:y1, x0:x1] = guided.refine(part, np.asarray(soft, np.float32)) > 0.5
        return Found(out, score)

    # --- the small picture -------------------------------------------------------------------

    def _reduce(self, mask: BoolMask) -> Floats:
        small = cv2.resize(mask.astype(np.float32), (self._width, self._height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)

    def _small_points(self, points: Sequence[Pixel]) -> list[Pixel]:
        height, width = self.picture.shape[:2]
        return [(x * self._width // width, y * self._height // height) for x, y in points]

    def _small_box(self, box: PixelBox) -> PixelBox:
        (x0, y0), (x1, y1) = self._small_points([(box[0], box[1]), (box[2] - 1, box[3] - 1)])
        return x0, y0, x1 + 1, y1 + 1

    def _discs(self, points: Sequence[Pixel], radius: int) -> BoolMask:
        out = np.zeros((self._height, self._width), np.uint8)
        for point in self._small_points(points):
            cv2.circle(out, point, radius, 1, -1)
        return out.view(np.bool_)

    def _away(self, points: Sequence[Pixel]) -> Floats:
        """How far each pixel is from the nearest of some points; less across what looks alike."""
        free = np.ones((self._height, self._width), np.uint8)
        for x, y in self._small_points(points):
            free[y, x] = 0
        straight = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        (alike,) = distances(self._lab, (self._discs(points, 2),), _LINKED, 2)
        return np.asarray(np.minimum(straight, alike * np.float32(_ALIKE * self._width)), np.float32)

    def _frame_edge(self) -> BoolMask:
        out = np.ones((self._height, self._width), np.bool_)
        out[2:-2, 2:-2] = False
        return out


def _depth(mask: BoolMask, least: float) -> BoolMask:
    """The pixels of a mask deeper in it than that."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3) > least)
