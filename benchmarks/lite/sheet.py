"""The contact sheet: a row a sequence, a few frames each, the engine's mask over the true one."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from backend.domain import BoolMask, Image

TILE = 240
"""Width of a picture on the sheet."""
COLUMNS = 6
_FOUND, _MISSED, _WRONG = (64, 200, 120), (70, 120, 255), (255, 70, 60)
_BAND = 18


def tile(picture: Image, found: Mapping[int, BoolMask], truth: Mapping[int, BoolMask], text: str) -> Image:
    """A frame: right pixels green, missed ones blue, wrong ones red, with a line of text under it."""
    shown = picture.astype(np.float32)
    empty = np.zeros(picture.shape[:2], np.bool_)
    right, missed, wrong = empty.copy(), empty.copy(), empty.copy()
    for obj_id in {*found, *truth}:
        mine, real = found.get(obj_id, empty), truth.get(obj_id, empty)
        right |= mine & real
        missed |= real & ~mine
        wrong |= mine & ~real
    for where, colour in ((right, _FOUND), (missed, _MISSED), (wrong, _WRONG)):
        shown[where] = 0.45 * shown[where] + 0.55 * np.array(colour, np.float32)
    height = round(TILE * picture.shape[0] / picture.shape[1])
    small = cv2.resize(shown.astype(np.uint8), (TILE, height), interpolation=cv2.INTER_AREA)
    band = np.full((_BAND, TILE, 3), 20, np.uint8)
    cv2.putText(band, text, (4, _BAND - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack([small, band]).astype(np.uint8)


def sheet(rows: list[list[Image]]) -> Image:
    """All rows below each other."""
    lines = []
    for row in rows:
        height = max(t.shape[0] for t in row)
        padded = [np.pad(t, ((0, height - t.shape[0]), (0, 4), (0, 0))) for t in row]
        lines.append(np.hstack(padded))
    width = max(line.shape[1] for line in lines)
    return np.vstack([np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0))) for line in lines]).astype(np.uint8)
