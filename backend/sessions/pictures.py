"""A session's frame as a still picture with its objects, in a look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from backend.domain import Image
from backend.errors import EngineError
from backend.masks import decode
from backend.masks.looks import Look, cut_out, paint
from backend.masks.overlay import Layer
from backend.sessions.session import Session

PictureFormat = Literal["jpeg", "png"]
Uncomputed = Literal["black", "keep"]
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 85]
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


@dataclass(frozen=True, slots=True)
class Still:
    """What a picture is to look like.

    `look`: None paints nothing. `width`: at most so many pixels wide. `uncomputed`: what becomes of
    a frame on which an object was never computed; None is `black` where the look hides objects, as
    else it would show them, and else `keep`: an object that is not known there is not painted.
    """

    look: Look | None = field(default_factory=Look)
    width: int | None = None
    format: PictureFormat = "jpeg"
    uncomputed: Uncomputed | None = None

    @property
    def blackens(self) -> bool:
        if self.look is None:
            return False
        return self.look.hides_objects if self.uncomputed is None else self.uncomputed == "black"


def painted(session: Session, jpeg: bytes, frame_index: int, still: Still) -> bytes:
    """The frame, whose picture comes as JPEG, encoded as `still` has it; a cut-out as PNG is transparent.

    Raises:
        EngineError: the picture can't be read.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise EngineError("The frame could not be read.", "frame_unreadable")
    return _encoded(_looking(session, np.asarray(picture, np.uint8), frame_index, still), still)


def _looking(session: Session, picture: Image, frame_index: int, still: Still) -> Image:
    """The picture (H, W, 3), or (H, W, 4) where it has transparency."""
    if still.look is None:
        return picture
    layers, known = _on(session, frame_index)
    if still.blackens and not known:
        return np.zeros_like(picture)
    if still.look.name == "cutout" and still.format == "png":
        return cut_out(picture, layers)
    return paint(picture, layers, still.look)


def _on(session: Session, frame_index: int) -> tuple[list[Layer], bool]:
    """The visible objects of a frame, ready to be painted, and whether it is known of each where it is."""
    with session.lock:
        objects, results = dict(session.objects), session.results
        found = {i: v.result for i in objects if (v := results.visible(i, frame_index))}
        known = all(i in found or frame_index in results.searched(i) for i in objects)
    layers = [
        Layer(decode(r.rle), objects[i].color, f"{i} {objects[i].name}") for i, r in sorted(found.items()) if r.box
    ]
    return layers, known


def _encoded(picture: Image, still: Still) -> bytes:
    if still.width and still.width < picture.shape[1]:
        size = (still.width, max(1, round(picture.shape[0] * still.width / picture.shape[1])))
        picture = _smaller(picture, size)
    order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    ending, flags = (".png", _PNG) if still.format == "png" else (".jpg", _JPEG)
    _, out = cv2.imencode(ending, cv2.cvtColor(picture, order), flags)
    return out.tobytes()


def _smaller(picture: Image, size: tuple[int, int]) -> Image:
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if picture.shape[2] == 4:
        # Half-transparent pixels have the black beneath mixed in: it is taken out again.
        alpha = np.maximum(small[..., 3:], 1).astype(np.float32) / 255
        small[..., :3] = np.clip(small[..., :3] / alpha + 0.5, 0, 255)
        small[small[..., 3] == 0] = 0
    return small
