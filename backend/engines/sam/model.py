"""What a package that holds a SAM model has to offer; `SamEngine` does everything else with it.

A model here knows pictures and masks, nothing of sessions, edits or ids of objects. Its trackers
and followers live for one propagation: what conditions them are stored masks, so that a state
which was thrown away is built again with equal results.

Points and boxes are normalised to [0, 1] of the picture, as in `backend.domain`. Masks are bool
(H, W) at the picture's own size. All of it is called on one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from backend.domain import BoolMask, Box, Capabilities, Image, NormBox
from backend.engines.prompter import Found

__all__ = ["Clicks", "Features", "Follower", "Found", "SamModel", "Tracker", "Views"]

Features = Any
"""What a model's vision encoder makes of a picture; opaque to everybody but the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Clicks:
    """What points at one object on a picture.

    `labels` holds 1 (on it) or 0 (not on it) for each point; `start` is its mask before, which the
    answer refines. There is a point, a box, or both.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: NormBox | None = None
    start: BoolMask | None = None


class Views(Protocol):
    """A video as a model sees it: each frame encoded at most once while it is kept.

    Trackers, followers and prompts of one session share it, so that the vision encoder, by far the
    dearest part, runs once a frame.
    """

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame."""
        ...

    def __len__(self) -> int:
        """How many frames the video has."""
        ...

    def features(self, frame_index: int) -> Features:
        """What `SamModel.encode` made of the frame; encodes it where it is not kept."""
        ...


class Tracker(Protocol):
    """Follows objects through a video from masks that it is given."""

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        """Take an object in, from the next step on: its masks by frame index, none of them empty.

        They condition it wherever the tracker goes, later frames and earlier ones included. An id
        that is known already is replaced.
        """
        ...

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every object's mask on the frame; frames come one after the other, downwards with `reverse`.

        On a frame for which an object was given a mask, that mask itself. The score is the model's
        own for this object on this frame (for SAM 2 and 3 its object score).
        """
        ...

    def remove(self, obj_id: int) -> None:
        """Follow an object no longer. Unknown ids are no error."""
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...

    @property
    def nbytes(self) -> int:
        """What it holds of the device's memory, in bytes; an estimate will do."""
        ...


class Follower(Protocol):
    """Finds and follows everything that a concept names, in the model's own way."""

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every find's mask on the frame, by an id of the follower's own that is never used twice.

        Frames come one after the other, downwards with `reverse`, from any frame on. The answer
        comes with the frame: no waiting for later ones. The score is the frame's own.
        """
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...

    @property
    def nbytes(self) -> int:
        """What it holds of the device's memory, in bytes; an estimate will do."""
        ...


class SamModel(Protocol):
    """A loaded model.

    Methods raise what their package raises: the engine translates it. Only what a person can do
    something about is raised as an `InvalidInput` (a text with too many tokens).
    """

    name: str
    """The engine's name: "sam3", "transformers"."""
    title: str
    """As people call it: "SAM 3", "SAM 2.1"."""
    checkpoint: str
    """The checkpoint's name, never a path."""
    device: str
    """Where it runs, as people call it: "CPU", "NVIDIA H100"."""
    note: str
    """One sentence for the page, or empty."""
    capabilities: Capabilities

    def encode(self, picture: Image) -> Features:
        """Run the vision encoder on a picture: RGB uint8 (H, W, 3)."""
        ...

    def nbytes(self, features: Features) -> int:
        """What the features hold of the device's memory, in bytes."""
        ...

    def segment(self, features: Features, size: tuple[int, int], clicks: Clicks) -> Found:
        """The one object that clicks or a box mean.

        Args:
            features: of the picture.
            size: the picture's (height, width).
            clicks: what points at the object.
        """
        ...

    def detect(self, features: Features, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        """Everything on the picture that words and exemplar boxes name, best first.

        Args:
            features: of the picture.
            size: the picture's (height, width).
            text: the words; empty where the exemplars alone say it.
            exemplars: boxes with `label` True (like these) or False (not like these).

        Raises:
            InvalidInput: the text is too long for the model.
        """
        ...

    def track(self, views: Views, held: int) -> Tracker:
        """A new tracker over a video, which keeps what it knows of `held` frames besides the given masks.

        Below the model's own memory (7 frames for SAM 2 and 3) is as much as that.
        """
        ...

    def follow(self, views: Views, text: str, held: int) -> Follower:
        """A new follower of a concept over a video, which keeps what it knows of `held` frames.

        Raises:
            InvalidInput: the text is too long for the model.
        """
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether what was raised says that the device has no memory left."""
        ...

    def release_memory(self) -> None:
        """Give what the package caches but does not use back to the device."""
        ...
