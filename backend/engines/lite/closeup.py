"""From prompts to a mask with the click network: a look at the whole frame, then a close one.

The network says where the object is; total variation and a histogram of its colours say where it
ends; a guided filter carries that to the frame's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask, Image
from backend.engines.lite import guided
from backend.engines.lite.clicknet import ClickNetwork, Encoded, Part
from backend.engines.lite.cues import sigmoid
from backend.engines.lite.finds import PixelBox
from backend.engines.lite.palette import Palette
from backend.engines.lite.parts import drop_strays
from backend.engines.lite.rules import Clicks, Pixel
from backend.engines.lite.solve import cut_out, drop_specks, edge_weights
from backend.engines.lite.view import lab_of
from backend.engines.prompter import Found

Floats = NDArray[np.float32]

WHOLE = 384
"""Longer side of the picture that the network sees of the frame."""
CLOSE = 320, 480
"""Of the part around the object, at least and at most: tiny things, much enlarged, look like nothing known."""
_FINER = 1.35
"""How much it is enlarged between them."""
_MARGIN = 1.4
"""Sides of that part over the object's."""
_SMALLEST = 64
_NARROWEST = 0.6
"""Shorter side of that part over its longer one, at least."""
_CLOSE_ENOUGH = 0.6
"""Share of the frame from which on a part of it is not worth a look of its own."""
_WORK = 320
"""Longer side of the grid on which the outline is found."""
_ENLARGED = 2.0
_OFF = 2.4
"""How many of that grid's cells the outline may be off."""
_LIMIT = np.float32(4)
_STRENGTH, _ROUNDS, _FLOOR = 0.3, 40, 0.03
_COLOUR = np.float32(2.4)
"""What a pixel's colour counts at most, where the network is unsure."""
_CERTAIN = np.float32(2)
_UNSURE = np.float32(3)
_SURE = np.float32(8)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked on a frame.

    Args:
        clicks, box: in frame pixels.
        start: the object's mask so far, (H, W).
        forbidden: pixels (H, W) that belong to others.
    """

    clicks: Clicks | None
    box: PixelBox | None
    start: BoolMask | None
    forbidden: BoolMask


class CloseUp:
    """A frame for the click network; what was encoded is kept for the next prompt.

    Args:
        picture: RGB (H, W, 3).
    """

    def __init__(self, picture: Image, network: ClickNetwork) -> None:
        self._picture = picture
        self._network = network
        height, width = picture.shape[:2]
        self._frame = Part(0, 0, width, height)
        self._whole: Encoded | None = None
        self._near: Encoded | None = None

    @property
    def nbytes(self) -> int:
        return sum(e.nbytes for e in (self._whole, self._near) if e is not None)

    def cut(self, asked: Asked) -> Found:
        """The object that is asked for."""
        if self._whole is None:
            self._whole = self._network.encode(self._picture, self._frame, WHOLE)
        whole = self._whole
        so_far = None if asked.start is None else _reduced(asked.start, whole)
        logits = self._network.answer(whole, asked.clicks, asked.box, so_far)
        part = self._part_of_interest(logits, asked)
        if part is None:
            return self._outline(self._frame, logits, asked)
        if self._near is None or self._near.part != part:
            side = round(min(max(_FINER * max(part.width, part.height), CLOSE[0]), CLOSE[1]))
            self._near = self._network.encode(self._picture, part, side)
        share = _moved(sigmoid(logits), self._frame, part, self._near.size)
        close = self._network.answer(self._near, asked.clicks, asked.box, share)
        return self._outline(part, close, asked)

    def _part_of_interest(self, logits: Floats, asked: Asked) -> Part | None:
        """The part of the frame that holds the object with some room; None where that is most of it."""
        width, height = self._frame.width, self._frame.height
        x, y, w, h = cv2.boundingRect((logits > 0).astype(np.uint8))
        sx, sy = width / logits.shape[1], height / logits.shape[0]
        corners = [(x * sx, y * sy), ((x + w) * sx, (y + h) * sy)] if w else []
        if asked.box is not None:
            corners += [(asked.box[0], asked.box[1]), (asked.box[2], asked.box[3])]
        if asked.clicks is not None:
            corners += [(float(px), float(py)) for px, py in asked.clicks.of(1)]
            corners += [(float(px), float(py)) for (px, py), label in asked.clicks.newest() if not label]
        if asked.start is not None:
            left, top, wide, high = cv2.boundingRect(asked.start.view(np.uint8))
            corners += [(left, top), (left + wide, top + high)]
        if not corners:
            return None
        low, high_ = np.min(corners, 0), np.max(corners, 0)
        middle, span = (low + high_) / 2, np.maximum((high_ - low) * _MARGIN, _SMALLEST)
        span = np.maximum(span, span[::-1] * _NARROWEST)
        x0, y0 = (max(int(v), 0) for v in middle - span / 2)
        x1, y1 = min(int(middle[0] + span[0] / 2) + 1, width), min(int(middle[1] + span[1] / 2) + 1, height)
        if x0 >= x1 or y0 >= y1 or (x1 - x0) * (y1 - y0) > _CLOSE_ENOUGH * width * height:
            return None
        return Part(x0, y0, x1, y1)

    def _outline(self, part: Part, logits: Floats, asked: Asked) -> Found:
        """The mask that the network's answer for a part of the frame means."""
        scale = min(_WORK / max(part.width, part.height), _ENLARGED)
        size = max(round(part.width * scale), 4), max(round(part.height * scale), 4)
        inside = np.ascontiguousarray(part.of(self._picture))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        lab = lab_of(np.asarray(cv2.resize(inside, size, interpolation=way), np.uint8))
        evidence = np.asarray(cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR), np.float32)
        evidence = np.clip(evidence, -_LIMIT, _LIMIT)
        evidence += self._colours(lab, evidence)
        pressed = self._press(evidence, part, asked)
        soft = cut_out(evidence, *edge_weights(lab, _FLOOR), _STRENGTH, _ROUNDS)
        drop_specks(soft, pressed)
        if pressed:
            # A thing far from every click that only looks like it is another one.
            drop_strays(soft, 0.0, pressed)
        held = soft > 0.5
        score = float(sigmoid(evidence)[held].mean()) if held.any() else 0.0
        rows, cols = guided.work_size(part.height, part.width, guided.WORK)
        fitted = np.asarray(cv2.resize(soft, (cols, rows), interpolation=cv2.INTER_LINEAR), np.float32)
        mask = np.zeros(self._picture.shape[:2], np.bool_)
        # The outline is right to some of its cells: a wider window loses small things, and clicks on them.
        mask[part.y0 : part.y1, part.x0 : part.x1] = guided.refine(inside, fitted, guided.window(_OFF / scale)) > 0.5
        return Found(mask & ~asked.forbidden, score)

    def _colours(self, lab: Floats, evidence: Floats) -> Floats:
        """What colours say where the network is unsure, learnt from where it is sure."""
        sure_on, sure_off = evidence > _CERTAIN, evidence < -_CERTAIN
        if not sure_on.any() or not sure_off.any():
            return np.zeros_like(evidence)
        reach = max(evidence.shape) // 10 * 2 + 1
        near = cv2.dilate((evidence > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        palette = Palette(lab)
        contrast = palette.contrast(palette.count(sure_on), palette.count(sure_off & near))
        return np.asarray(_COLOUR * contrast * (np.abs(evidence) < _UNSURE), np.float32)

    def _press(self, evidence: Floats, part: Part, asked: Asked) -> list[Pixel]:
        """What is certain: clicks, others' pixels, the box. Returns the clicked cells on the object."""
        height, width = evidence.shape
        blocked = cv2.resize(part.of(asked.forbidden).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        evidence[np.asarray(blocked) > 0.5] = -_SURE
        if asked.box is not None:
            x0, y0, x1, y1 = asked.box
            sx, sy = width / part.width, height / part.height
            outside = np.ones((height, width), np.bool_)
            rows = slice(max(int((y0 - part.y0) * sy) - 1, 0), max(int(np.ceil((y1 - part.y0) * sy)) + 1, 0))
            cols = slice(max(int((x0 - part.x0) * sx) - 1, 0), max(int(np.ceil((x1 - part.x0) * sx)) + 1, 0))
            outside[rows, cols] = False
            evidence[outside] = -_SURE
        on: list[Pixel] = []
        if asked.clicks is None:
            return on
        for label in (1, 0):
            for px, py in asked.clicks.of(label):
                x = int((px + 0.5 - part.x0) * width / part.width)
                y = int((py + 0.5 - part.y0) * height / part.height)
                if 0 <= x < width and 0 <= y < height:
                    cv2.circle(evidence, (x, y), 2, float(_SURE if label else -_SURE), -1)
                    if label:
                        on.append((x, y))
        return on


def _reduced(mask: BoolMask, encoded: Encoded) -> Floats:
    height, width = encoded.size
    return np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _moved(values: Floats, source: Part, to: Part, size: tuple[int, int]) -> Floats:
    """Values over one part of the frame as (h, w) over another."""
    height, width = size
    kx, ky = values.shape[1] / source.width, values.shape[0] / source.height
    matrix = np.array(
        [
            [to.width / width * kx, 0, (to.x0 + to.width / width / 2 - source.x0) * kx - 0.5],
            [0, to.height / height * ky, (to.y0 + to.height / height / 2 - source.y0) * ky - 0.5],
        ],
        np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(values, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)
