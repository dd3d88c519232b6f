"""One object's track: what it remembers, and how it finds the object on the next frame.

The object's soft mask lives on the grid of its own crop. A step carries it along the flow, looks
at a fresh crop, gathers cues as logits, adds them up, and cuts the object out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask
from backend.engines.lite import certainty, cues, match, parts, ridge, search
from backend.engines.lite.bilateral import Roi
from backend.engines.lite.colour import Colours
from backend.engines.lite.cues import FUSION, Past
from backend.engines.lite.match import Bank, Place
from backend.engines.lite.refiner import Evidence, Refine
from backend.engines.lite.scene import Scene
from backend.engines.lite.solve import cut_out, drop_specks, edge_weights
from backend.engines.lite.view import GRID, MARGIN, WIDEST, Crop, View, around, crop_of, cut_mask

Floats = NDArray[np.float32]

_REFERENCE = (400, 600)
"""Cells of the object and of the rest that a reference keeps, at most."""
_MEMORY = (300, 400)
_MEMORIES = 2
_REMEMBER_EVERY = 5
_REFIT_EVERY = 3
_REFERENCES = 4
"""Frames that a person marked, kept as references at most: the newest ones."""
_RESIZE = 1.1
"""How much a crop may grow or shrink in a frame."""
_GONE = 0.02
"""Share of its usual area below which an object counts as out of sight."""
_FOUND_AREA, _FOUND_FIRM = 0.2, 0.93
"""Share of its usual area, and mean certainty, from which on an object is found again after a cut."""
_NEARBY = 2
"""Steps for which a lost object is looked for around where it was; then all over the frame in every other one."""
_LEARN = 0.1
"""Share of its usual area below which nothing is learnt from a frame; nor is it from one on which it jumped."""
_STRENGTH, _ROUNDS, _FLOOR = 0.35, 40, 0.08
_AGAINST = -0.5
"""Likeness to the references below which the refiner adds nothing."""
_FRESH = 0.1
"""Share of a new frame in the moving average of the linear classifier."""


class Track:
    """Follows one object along a run.

    Args:
        obj_id: the object.
        rng: decides which cells are remembered where there are too many; the track's own.
        refine: corrects the fused evidence; without it that stands as it is.
    """

    def __init__(self, obj_id: int, rng: np.random.Generator, refine: Refine | None = None) -> None:
        self.obj_id = obj_id
        self.score = 0.0
        """The IoU with the truth that the last mask probably has."""
        self.signs: certainty.Signs | None = None
        """What that was read off; None before the first step, and where the object is out of sight."""
        self._rng = rng
        self._refine = refine
        self._past: Past | None = None
        self._place = Place(0.0, 0.0, 1.0)
        self._usual = 0.0
        self._age = 0
        self._known = 0
        """The age at which the mask was given last."""
        self._missing = 0
        self._elsewhere = False
        """Whether it may be anywhere: the scene was cut since it was last seen, or it is looked for all over."""
        self._rest: Floats | None = None
        """How the rest of a frame looks on which a person marked it."""
        self._spread = 0.0
        """How far apart its parts were where a person marked it."""
        self._length = 0.0
        """Longer side of its box when it was last known well, in frame pixels."""
        self._references: list[Bank] = []
        self._memory: list[Bank] = []
        self._anchor: ridge.Normal | None = None
        self._recent: ridge.Normal | None = None
        self._weights: Floats | None = None
        self._colours: Colours | None = None
        self._guessed = False

    # --- what people say ---------------------------------------------------------------------

    def seed(self, scene: Scene, mask: BoolMask, sure: bool) -> None:
        """Take the object's mask (H, W) on this frame as given, and learn from it.

        Args:
            sure: a person made it. It then overrules whatever it contradicts in what was
                remembered; otherwise it is only where the track starts from.
        """
        self.score = 1.0 if mask.any() else 0.0
        self._known = self._age
        self._memory = []
        crop = crop_of(mask)
        if crop is None:
            self._forget_place()
            return
        view = scene.view(crop)
        soft = cut_mask(mask, view.crop)
        self._stand(view, soft)
        self._length = crop.side / MARGIN
        self._spread = max(self._spread, parts.spread(soft))
        if sure or self._rest is None:
            self._rest = search.backdrop(scene, mask, np.random.default_rng(self.obj_id))
        self._usual = self._area(view.crop, soft)
        self._learn(view, mask, sure, overrule=True)
        self._colours = Colours(view.lab, soft)

    def lose(self) -> None:
        """The picture changed altogether: where the object was says nothing about where it is."""
        self._forget_place()
        self._elsewhere = True

    def refer(self, scene: Scene, mask: BoolMask) -> None:
        """Learn from the object's mask on a frame elsewhere in the video, which a person made."""
        crop = crop_of(mask)
        if crop is None:
            return
        view = scene.view(crop)
        self._usual = self._usual or self._area(view.crop, cut_mask(mask, view.crop))
        if self._colours is None:
            self._colours = Colours(view.lab, cut_mask(mask, view.crop))
        self._learn(view, mask, sure=True, overrule=False)

    def _learn(self, view: View, mask: BoolMask, sure: bool, overrule: bool) -> None:
        place = _place_of(mask)
        cover = cut_mask(mask, view.crop, match.CELLS)
        bank = match.remember(match.queries(view, place), cover, _REFERENCE, self._rng)
        normal = ridge.observe(ridge.describe(view), cut_mask(mask, view.crop, ridge.CELLS))
        if not self._references:
            self._references, self._anchor, self._guessed = [bank], normal, not sure
        elif sure and self._guessed:
            # The first thing a person said replaces what was only guessed before.
            self._memory = [self._references[0].without_contradictions(bank)]
            self._references, self._anchor, self._guessed = [bank], normal, False
        elif not sure:
            self._memory = [bank]
        elif overrule:
            kept = [b.without_contradictions(bank) for b in self._references]
            self._references = [*kept, bank][-_REFERENCES:]
            assert self._anchor is not None
            self._anchor = self._anchor.mixed(normal, 0.7)
        else:
            self._references = [bank.without_contradictions(self._references[-1]), *self._references][-_REFERENCES:]
            assert self._anchor is not None
            self._anchor = self._anchor.mixed(normal, 0.3)
        self._recent = normal if (sure and overrule) or self._recent is None else self._recent
        self._fit()

    # --- the next frame ----------------------------------------------------------------------

    def step(self, scene: Scene) -> None:
        """Find the object on the next frame of the run."""
        self._age += 1
        self.score = 0.0
        self.signs = None
        if self._weights is None or self._colours is None or not self._references:
            return
        if self._past is None:
            crop = around(scene.size[1] / 2, scene.size[0] / 2, WIDEST * max(scene.size), scene.size)
            self._past = Past(crop, scene.view(crop).lab, np.zeros((GRID, GRID), np.float32))
            self._missing = max(self._missing, 1)
        past = self._past
        found = self._elsewhere_crop(scene) if self._missing > _NEARBY and self._missing % 2 else None
        if found is not None:
            past = self._past = Past(found, scene.view(found).lab, np.zeros((GRID, GRID), np.float32))
            self._place = Place(found.x + found.side / 2, found.y + found.side / 2, self._usual**0.5)
        # Whatever looks a little like it, a rim of it at the picture's edge included, is no longer enough.
        self._elsewhere |= self._missing > _NEARBY
        crop = found or self._next_crop(scene, past)
        view = scene.view(crop)
        where = cues.origins(scene, past, view.crop)
        carried = cues.carry(past, where)
        roi = self._region(view.crop, carried)
        evidence = self._gather(scene, past, view, where, carried, roi)
        logits = evidence.fused
        refined = self._refine(view, evidence) if self._refine is not None else None
        if refined is not None:
            # It may add what the cues missed. Where it took away, it lost what had changed most: rendered
            # objects, which it learnt from, change less than real ones.
            # What a person said is not the object stays away: the references speak against it.
            allowed = cues.enlarge(evidence.first)[roi] > _AGAINST
            logits = np.where(allowed, np.maximum(logits, np.clip(refined[roi], -cues.LIMIT, cues.LIMIT)), logits)
        across, down = edge_weights(view.lab[roi], _FLOOR)
        soft = np.zeros((GRID, GRID), np.float32)
        soft[roi] = cut_out(logits, across, down, _STRENGTH, _ROUNDS)
        drop_specks(soft)
        parts.drop_strays(soft, self._spread)
        self._settle(view, soft, logits, evidence)

    def _elsewhere_crop(self, scene: Scene) -> Crop | None:
        """What looks like the object anywhere on the frame."""
        if self._rest is None or not self._length:
            return None
        return search.candidate(scene, self._references, self._rest, self._length, self._missing // 2)

    def _next_crop(self, scene: Scene, past: Past) -> Crop:
        """Where to look: around the carried mask, or ever wider while the object is out of sight."""
        coarse = cues.carry(past, cues.origins(scene, past, past.crop, GRID // 2))
        x, y, w, h = cv2.boundingRect((coarse > 0.3).astype(np.uint8))
        cell = past.crop.side / (GRID // 2)
        if not w or float(coarse.sum()) * cell * cell < _GONE * self._usual:
            self._missing = max(self._missing, 1)
        if self._missing:
            return past.crop.wider(1.05, scene.size)
        side = MARGIN * max(w, h) * cell
        side = min(max(side, past.crop.side / _RESIZE), past.crop.side * _RESIZE)
        return around(past.crop.x + (x + w / 2) * cell, past.crop.y + (y + h / 2) * cell, side, scene.size)

    def _region(self, crop: Crop, carried: Floats) -> Roi:
        """The cells that can be the object: around the carried mask."""
        if self._missing:
            return slice(0, GRID), slice(0, GRID)
        x, y, w, h = cv2.boundingRect((carried > 0.3).astype(np.uint8))
        if not w:
            return slice(0, GRID), slice(0, GRID)
        edge = int(0.3 * self._place.size * crop.scale + 14)
        return (
            slice(max(y - edge, 0), min(y + h + edge, GRID)),
            slice(max(x - edge, 0), min(x + w + edge, GRID)),
        )

    def _gather(
        self, scene: Scene, past: Past, view: View, where: tuple[Floats, Floats], carried: Floats, roi: Roi
    ) -> Evidence:
        """Ask all cues, and add up what they say."""
        assert self._colours is not None
        assert self._weights is not None
        place = self._place if self._missing else _place_in(view.crop, carried, self._place)
        cells, near = match.queries(view, place), match.cells_of(roi)
        first, second = match.compare(cells, self._references, self._memory, near)
        linear = ridge.classify(view, self._weights)
        trust = cues.certainty(scene, past, view, where)
        sure = trust[roi]
        moved = cues.logit(carried[roi])
        likely, count = cues.moved_colours(scene, past, view, roi)
        out = np.full(sure.shape, FUSION.bias, np.float32)
        out += FUSION.carried * moved * sure
        out += FUSION.doubtful * moved * (1 - sure)
        local = cues.logit(likely) * count
        out += FUSION.local * local
        out += FUSION.colour * cues.logit(self._colours.likely(view.lab[roi]), 0.1)
        if not self._missing:
            depth = cues.signed_distance(carried, 0.12 * place.size * view.crop.scale + 3)
            out += FUSION.distance * depth[roi]
        out += FUSION.reference * cues.enlarge(first)[roi]
        out += FUSION.memory * cues.enlarge(second)[roi]
        out += FUSION.linear * cues.enlarge(linear)[roi]
        fused = np.clip(out, -cues.LIMIT, cues.LIMIT)
        return Evidence(roi, carried, trust, fused, local, first, second, linear)

    def _settle(self, view: View, soft: Floats, logits: Floats, evidence: Evidence) -> None:
        """Keep what was found, and learn from it now and then."""
        self._past = Past(view.crop, view.lab, soft)
        area = self._area(view.crop, soft)
        inside = soft[evidence.roi] > 0.5
        firm = float(cues.sigmoid(logits)[inside].mean()) if inside.any() else 0.0
        # In another scene, anything that looks a little like it would do: ask for more to find it again.
        doubtful = self._elsewhere and (area < _FOUND_AREA * self._usual or firm < _FOUND_FIRM)
        if area <= _GONE * self._usual or doubtful:
            self._missing += 1
            soft[:] = 0
            return
        growth, age = area / max(self._usual, 1.0), self._age - self._known
        self.signs = certainty.signs(soft, logits, evidence, growth, age, view.crop.scale)
        self.score = certainty.likely_iou(self.signs)
        self._missing = 0
        self._elsewhere = False
        self._place = _place_in(view.crop, soft, self._place)
        if area <= _LEARN * self._usual or cues.jumped(evidence.carried, soft):
            return
        if self._age % _REMEMBER_EVERY == 0:
            cover = _shrink(soft, match.CELLS)
            self._memory.append(match.remember(match.queries(view, self._place), cover, _MEMORY, self._rng))
            del self._memory[:-_MEMORIES]
            assert self._colours is not None
            self._colours.update(view.lab, soft)
        if self._age % _REMEMBER_EVERY == 0 or self._age % _REFIT_EVERY == 0:
            assert self._recent is not None
            now = ridge.observe(*ridge.thinned(ridge.describe(view), _shrink(soft, ridge.CELLS)))
            self._recent = self._recent.mixed(now, _FRESH)
            self._fit()

    # --- state -------------------------------------------------------------------------------

    @property
    def shape(self) -> Past | None:
        """The crop and soft mask on the frame last stepped to; None where nothing is known."""
        return self._past

    def give_up(self, taken: Floats) -> None:
        """Other objects were stronger on these cells (GRID, GRID) in [0, 1] of the crop."""
        if self._past is not None:
            soft = np.minimum(self._past.soft, 1 - taken)
            self._past = Past(self._past.crop, self._past.lab, soft)

    @property
    def nbytes(self) -> int:
        out = sum(b.nbytes for b in [*self._references, *self._memory])
        out += sum(n.nbytes for n in (self._anchor, self._recent) if n is not None)
        out += self._colours.nbytes if self._colours is not None else 0
        return out + (self._past.soft.nbytes + self._past.lab.nbytes if self._past is not None else 0)

    def _fit(self) -> None:
        assert self._anchor is not None
        assert self._recent is not None
        self._weights = self._anchor.mixed(self._recent, 0.5).solve()

    def _stand(self, view: View, soft: Floats) -> None:
        self._past = Past(view.crop, view.lab, soft)
        self._place = _place_in(view.crop, soft, self._place)
        self._missing = 0
        self._elsewhere = False

    def _forget_place(self) -> None:
        self._missing = max(self._missing, 1)
        if self._past is not None:
            self._past = Past(self._past.crop, self._past.lab, np.zeros((GRID, GRID), np.float32))

    @staticmethod
    def _area(crop: Crop, soft: Floats) -> float:
        """In frame pixels."""
        return float(soft.sum()) / crop.scale**2


def _place_in(crop: Crop, soft: Floats, default: Place) -> Place:
    total = float(soft.sum())
    if total < 1:
        return default
    cell = crop.side / GRID
    x = float(soft.sum(0) @ np.arange(GRID, dtype=np.float32)) / total
    y = float(soft.sum(1) @ np.arange(GRID, dtype=np.float32)) / total
    return Place(crop.x + (x + 0.5) * cell, crop.y + (y + 0.5) * cell, max(total**0.5 * cell, 1.0))


def _place_of(mask: BoolMask) -> Place:
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = max(moments["m00"], 1.0)
    return Place(moments["m10"] / area + 0.5, moments["m01"] / area + 0.5, area**0.5)


def _shrink(soft: Floats, cells: int) -> Floats:
    return np.asarray(cv2.resize(soft, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
