"""What runs in the process of each further GPU of a group: one model, and calls in turn."""

from __future__ import annotations

import contextlib
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from backend.domain import BoolMask, Image
from backend.engines.sam.model import Found, SamModel
from backend.errors import ServiceError

ENCODED = 4
"""Frames whose features are kept: enough for one that all go on to, and those that condition objects."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call from the first GPU's process."""

    call: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that failed here. `error` where a person can do something about it."""

    kind: str
    out_of_memory: bool = False
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A mask on its way between processes, an eighth of its size."""

    bits: bytes
    size: tuple[int, int]

    @classmethod
    def of(cls, mask: BoolMask) -> Pack:
        """Pack a mask, bool (H, W)."""
        return cls(np.packbits(mask).tobytes(), (mask.shape[0], mask.shape[1]))

    def mask(self) -> BoolMask:
        """The mask again."""
        height, width = self.size
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=height * width)
        return bits.reshape(height, width).astype(np.bool_)


def pack(found: Mapping[int, Found]) -> dict[int, tuple[Pack, float]]:
    """What was found, for the way to another process."""
    return {i: (Pack.of(f.mask), f.score) for i, f in found.items()}


def unpack(found: Mapping[int, tuple[Pack, float]]) -> dict[int, Found]:
    """The opposite of `pack`."""
    return {i: Found(packed.mask(), score) for i, (packed, score) in found.items()}


class Encodings:
    """The last few frames of all videos, as this GPU's model sees them."""

    def __init__(self, model: SamModel) -> None:
        self._model = model
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def of(self, video: int, frame_index: int, picture: Image) -> Any:
        """What the model made of a picture; encodes it where it is not kept."""
        key = video, frame_index
        if key not in self._kept:
            self._kept[key] = self._model.encode(picture)
            while len(self._kept) > ENCODED:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()


class Sent:
    """A video of which pictures come with each step; see `Views`."""

    def __init__(self, encodings: Encodings, video: int, num_frames: int, size: tuple[int, int]) -> None:
        self._encodings = encodings
        self._video = video
        self._num_frames = num_frames
        self._size = size
        self.pictures: dict[int, Image] = {}
        """By frame index: those that the next step needs."""

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __len__(self) -> int:
        return self._num_frames

    def features(self, frame_index: int) -> Any:
        """What the model made of a frame that was sent."""
        return self._encodings.of(self._video, frame_index, self.pictures[frame_index])


class Desk:
    """Does what is asked.

    Args:
        model: this GPU's.
    """

    def __init__(self, model: SamModel) -> None:
        self._model = model
        self._encodings = Encodings(model)
        self._open: dict[int, tuple[Any, Sent]] = {}

    def do(self, asked: Asked) -> Any:
        """The answer to a call, or how it failed."""
        try:
            return getattr(self, f"_{asked.call}")(*asked.args)
        except ServiceError as error:
            return Failed(type(error).__name__, error=error)
        except Exception as error:
            full = isinstance(error, MemoryError) or self._model.is_out_of_memory(error)
            return Failed(type(error).__name__, out_of_memory=full)

    def _track(self, number: int, video: int, num_frames: int, size: tuple[int, int], held: int) -> None:
        views = Sent(self._encodings, video, num_frames, size)
        self._open[number] = self._model.track(views, held), views

    def _follow(self, number: int, video: int, num_frames: int, size: tuple[int, int], text: str, held: int) -> None:
        views = Sent(self._encodings, video, num_frames, size)
        self._open[number] = self._model.follow(views, text, held), views

    def _add(self, number: int, obj_id: int, masks: dict[int, Pack]) -> None:
        self._open[number][0].add(obj_id, {i: m.mask() for i, m in masks.items()})

    def _step(
        self, number: int, frame_index: int, reverse: bool, pictures: dict[int, Image]
    ) -> tuple[dict[int, tuple[Pack, float]], int]:
        who, views = self._open[number]
        views.pictures = pictures
        found = who.step(frame_index, reverse=reverse)
        views.pictures = {}
        return pack(found), who.nbytes

    def _remove(self, number: int, obj_id: int) -> None:
        self._open[number][0].remove(obj_id)

    def _close(self, number: int) -> None:
        who, _ = self._open.pop(number, (None, None))
        if who is not None:
            who.close()
        if not self._open:
            self._encodings.clear()

    def _release_memory(self) -> None:
        self._encodings.clear()
        self._model.release_memory()


def main() -> None:
    """Serve the process on the other end of the connection that the command line names, until it ends."""
    from backend.engines.sam3.load import load_one

    line = Connection(int(sys.argv[1]))
    asked: Asked = line.recv()
    with contextlib.suppress(EOFError, OSError):
        try:
            desk = Desk(load_one(asked.args[0], lambda stage: None))
        except ServiceError as error:
            line.send(Failed(type(error).__name__, error=error))
            return
        line.send(None)
        while True:
            line.send(desk.do(line.recv()))
