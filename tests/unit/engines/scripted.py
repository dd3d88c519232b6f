"""A SAM model that follows a script: tests of the engine around a model need to know what it will say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.domain import BoolMask, Box, Capabilities, Image
from backend.engines.prompter import Found
from backend.engines.sam.model import Clicks, Views

SIZE = (40, 60)


def block(x: int, y: int = 10, w: int = 10, h: int = 10) -> BoolMask:
    """A mask (40, 60) with one rectangle."""
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + h, x : x + w] = True
    return mask


@dataclass
class ScriptedTracker:
    """Gives back the nearest mask it was given, and remembers what it was asked."""

    views: Views
    masks: dict[int, dict[int, BoolMask]] = field(default_factory=dict)
    steps: list[tuple[int, bool]] = field(default_factory=list)
    closed: bool = False
    nbytes: int = 1000

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        self.masks[obj_id] = dict(masks)

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        self.views.features(frame_index)
        self.steps.append((frame_index, reverse))
        out = {}
        for obj_id, masks in self.masks.items():
            nearest = min(masks, key=lambda f: abs(f - frame_index))
            out[obj_id] = Found(masks[nearest], 0.8)
        return out

    def remove(self, obj_id: int) -> None:
        self.masks.pop(obj_id, None)

    def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedFollower:
    """Finds what the script says for its text: by frame, masks by the follower's own ids."""

    views: Views
    script: Mapping[int, Mapping[int, BoolMask]]
    closed: bool = False
    nbytes: int = 2000

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        self.views.features(frame_index)
        return {own: Found(mask, 0.7) for own, mask in self.script.get(frame_index, {}).items()}

    def close(self) -> None:
        self.closed = True


class ScriptedModel:
    """See the module. `finds`: masks by text; `script`: what followers say, by text, frame and own id."""

    name = "scripted"
    title = "Scripted"
    checkpoint = "none"
    device = "CPU"
    note = "From a script."
    capabilities = Capabilities(text=True, exemplar=True, multi_concept=True)

    def __init__(self) -> None:
        self.encoded = 0
        self.finds: dict[str, list[BoolMask]] = {}
        self.script: dict[str, dict[int, dict[int, BoolMask]]] = {}
        self.clicks: list[Clicks] = []
        self.trackers: list[ScriptedTracker] = []
        self.followers: list[ScriptedFollower] = []
        self.held: list[int] = []
        self.raises: Exception | None = None
        self.released = 0

    def encode(self, picture: Image) -> int:
        if self.raises:
            raise self.raises
        self.encoded += 1
        return int(picture.sum())

    def nbytes(self, features: int) -> int:
        return 100

    def segment(self, features: int, size: tuple[int, int], clicks: Clicks) -> Found:
        self.clicks.append(clicks)
        x = int(clicks.points[0][0] * size[1]) if clicks.points else int(clicks.box[0] * size[1])
        return Found(block(min(x, size[1] - 10)), 0.9)

    def detect(self, features: int, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        return [Found(mask, 0.6) for mask in self.finds.get(text, [])]

    def track(self, views: Views, held: int) -> ScriptedTracker:
        self.held.append(held)
        self.trackers.append(ScriptedTracker(views))
        return self.trackers[-1]

    def follow(self, views: Views, text: str, held: int) -> ScriptedFollower:
        self.held.append(held)
        self.followers.append(ScriptedFollower(views, self.script.get(text, {})))
        return self.followers[-1]

    def is_out_of_memory(self, error: BaseException) -> bool:
        return "out of memory" in str(error)

    def release_memory(self) -> None:
        self.released += 1


class ScriptedFrames:
    """Frames (40, 60), each of one grey of its own."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count = count
        self.first = first

    def __len__(self) -> int:
        return self.count

    def read(self, frame_index: int) -> Image:
        return np.full((*SIZE, 3), self.first + frame_index, np.uint8)
