"""The types everything speaks: frozen, numpy only, valid by construction.

Coordinates that leave or enter the service are normalised to [0, 1] of the displayed
(rotation-corrected) frame: points `[x, y]`, boxes `[x, y, w, h]` with the top-left corner first.
Masks are bool arrays of shape (H, W) while an engine works, and COCO compressed run-length codes
(`Rle`) everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.errors import InvalidInput

BoolMask = NDArray[np.bool_]
"""A mask, bool, (H, W)."""
Image = NDArray[np.uint8]
"""A picture, RGB, uint8, (H, W, 3)."""
NormBox = tuple[float, float, float, float]
"""x, y, w, h, normalised, top-left corner first."""

Direction = Literal["forward", "backward", "both"]
VideoKind = Literal["video", "frames", "image"]
Stretches = tuple[tuple[int, int], ...]
"""Frames as (first, last) pairs, ends inclusive, ascending and apart."""

EDGE = 1e-6
"""How far beyond 1 a normalised coordinate may lie and still count as rounding."""
_FAR = 1e12
MAX_TEXT = 200
MAX_NAME = 100


def _unit(value: float, what: str) -> float:
    # Of an integer of hundreds of digits even isfinite would fail.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_FAR < value < _FAR:
        raise InvalidInput(f"{what} must be a finite number between 0 and 1.", "invalid_coordinates")
    if value < 0 or value > 1 + EDGE:
        raise InvalidInput(
            f"{what} is {value:g}, outside the frame: coordinates run from 0 to 1.", "invalid_coordinates"
        )
    return min(float(value), 1.0)


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask as COCO compressed RLE (column-major, as pycocotools writes it)."""

    counts: str
    height: int
    width: int

    @property
    def size(self) -> list[int]:
        """`[height, width]`, the order of COCO."""
        return [self.height, self.width]


@dataclass(frozen=True, slots=True)
class Video:
    """A stored upload, as probed.

    `path` is the file itself, or for kind "frames" the folder of numbered pictures. `width` and
    `height` are those of the displayed frame, rotation applied. `duration` is in seconds.
    """

    id: str
    path: Path
    name: str
    width: int
    height: int
    fps: Fraction
    num_frames: int
    duration: float
    kind: VideoKind = "video"
    fps_assumed: bool = False
    has_audio: bool = False


# --- prompts ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A concept in words."""

    text: str

    def __post_init__(self) -> None:
        text = " ".join(self.text.split())
        if not text:
            raise InvalidInput("The text is empty: type what to find, for example “dog”.", "empty_text")
        if len(text) > MAX_TEXT:
            raise InvalidInput(f"The text is too long: {MAX_TEXT} characters at most.", "text_too_long")
        object.__setattr__(self, "text", text)


@dataclass(frozen=True, slots=True)
class Points:
    """Clicks on one object: normalised (x, y), and for each 1 (positive) or 0 (negative).

    They add to the object's earlier points on the frame unless `replace`.
    """

    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    replace: bool = False

    def __post_init__(self) -> None:
        if not self.points:
            raise InvalidInput("A point prompt needs at least one point.", "invalid_prompt")
        if len(self.points) != len(self.labels):
            raise InvalidInput(
                f"{len(self.points)} points but {len(self.labels)} labels: give one label for each point.",
                "invalid_prompt",
            )
        if any(label not in (0, 1) for label in self.labels):
            raise InvalidInput("A point's label is 1 (on the object) or 0 (not on it).", "invalid_prompt")
        if any(len(p) != 2 for p in self.points):
            raise InvalidInput("A point is [x, y].", "invalid_prompt")
        clean = tuple((_unit(x, "A point's x"), _unit(y, "A point's y")) for x, y in self.points)
        object.__setattr__(self, "points", clean)
        object.__setattr__(self, "labels", tuple(int(label) for label in self.labels))


@dataclass(frozen=True, slots=True)
class Box:
    """A normalised box `(x, y, w, h)`. `label` False: a negative exemplar. `exemplar`: all like it."""

    box: NormBox
    label: bool = True
    exemplar: bool = False

    def __post_init__(self) -> None:
        if len(self.box) != 4:
            raise InvalidInput("A box is [x, y, w, h].", "invalid_prompt")
        names = ("x", "y", "width", "height")
        x, y, w, h = (_unit(v, f"The box's {n}") for v, n in zip(self.box, names, strict=True))
        if w == 0 or h == 0:
            raise InvalidInput("The box has no area: width and height must be above 0.", "invalid_coordinates")
        if x + w > 1 + EDGE or y + h > 1 + EDGE:
            raise InvalidInput("The box reaches beyond the frame: x + w and y + h end at 1.", "invalid_coordinates")
        object.__setattr__(self, "box", (x, y, min(w, 1 - x), min(h, 1 - y)))


@dataclass(frozen=True, slots=True)
class MaskPrompt:
    """A drawn mask of the frame's size. "add" and "subtract" are brush and eraser strokes."""

    rle: Rle
    mode: Literal["replace", "add", "subtract"] = "replace"


Prompt = Text | Points | Box | MaskPrompt


# --- results ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object on one frame. `box` is None exactly when the mask is empty."""

    obj_id: int
    score: float
    box: NormBox | None
    rle: Rle


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What is kept of a computed frame."""

    frame_index: int
    objects: tuple[ObjectResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DenseResult:
    """What an engine yields for a frame. Short-lived: never leaves a worker.

    `masks` is bool (N, H, W) at the video's size, in the order of `obj_ids`; `scores` are in
    [0, 1]. An object that is not on the frame is listed with an empty mask. `concept_kept`: the
    engine goes on looking for a text's concept on later frames, so the prompt counts as an edit
    even where it found nothing. `born` holds, for objects that this result begins, the words that
    found them. `cache_hit`: whether the features of the picture were there already (None: this
    engine keeps none).
    """

    frame_index: int
    obj_ids: tuple[int, ...]
    scores: tuple[float, ...]
    masks: BoolMask
    concept_kept: bool = False
    born: Mapping[int, str] = field(default_factory=dict)
    cache_hit: bool | None = None


# --- edits -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromptAction:
    """Prompts on a frame. `obj_id` as asked (None: new); `obj_ids` the objects it wrote."""

    frame_index: int
    prompts: tuple[Prompt, ...]
    obj_id: int | None = None
    obj_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PropagateAction:
    run_id: str
    direction: Direction
    start: int
    frames: tuple[int, int]
    """The first and last frame index the run may touch, in presentation order."""
    obj_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RemoveAction:
    obj_id: int


@dataclass(frozen=True, slots=True)
class RenameAction:
    obj_id: int
    name: str | None = None
    label: str | None = None
    color: str | None = None


@dataclass(frozen=True, slots=True)
class ResetAction:
    pass


@dataclass(frozen=True, slots=True)
class ApproveAction:
    """A person says of an object's masks on `frames` that they are right, or takes that back."""

    obj_id: int
    frames: Stretches
    approved: bool = True


@dataclass(frozen=True, slots=True)
class SplitAction:
    """A part of an object became an object of its own.

    `prompts` said on `frame_index` which part. `frames` are those on which both were written.
    """

    obj_id: int
    new_obj_id: int
    frame_index: int
    prompts: tuple[Prompt, ...]
    frames: Stretches


@dataclass(frozen=True, slots=True)
class MergeAction:
    """The masks of `other` went to `obj_id` on `frames`.

    `whole`: on all, so that there is no `other` any more; else it was emptied on those frames. Of
    `frames`, `prompted` are those that a person had made a mask of before, `stale` those that were
    out of date and still are, `approved` those whose parts were all approved.
    """

    obj_id: int
    other: int
    frames: Stretches
    whole: bool
    prompted: Stretches = ()
    stale: Stretches = ()
    approved: Stretches = ()


Action = (
    PromptAction
    | PropagateAction
    | RemoveAction
    | RenameAction
    | ResetAction
    | ApproveAction
    | SplitAction
    | MergeAction
)

_KINDS: dict[type, str] = {
    PromptAction: "prompt",
    PropagateAction: "propagate",
    RemoveAction: "remove",
    RenameAction: "rename",
    ResetAction: "reset",
    ApproveAction: "approve",
    SplitAction: "split",
    MergeAction: "merge",
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One step of a session's log; `seq` grows by one and is never used twice."""

    seq: int
    at: datetime
    action: Action

    @property
    def kind(self) -> str:
        return _KINDS[type(self.action)]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as people see it. `label` is its class; `color` is `#rrggbb`."""

    id: int
    name: str
    label: str
    color: str


# --- what a worker is asked ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seed:
    """A stored mask that conditions an engine. `prompted`: a person made it, it is not a guess."""

    frame_index: int
    obj_id: int
    rle: Rle
    prompted: bool


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a run in one direction.

    `frames` are computed in this order (`range` with step 1 or -1). `anchor` is a frame just
    before the first one that the tracker starts from but that is not computed again.
    """

    frames: range
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Follow:
    """A concept to be looked for on every frame of a propagation.

    Attributes:
        text: the words, as typed.
        frames: the frames on which they were asked for.
        obj_ids: the objects that the words found, and that no other prompt has touched since.
        find_new: whether objects that are not known yet are wanted.
    """

    text: str
    frames: tuple[int, ...]
    obj_ids: tuple[int, ...] = ()
    find_new: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """What a propagation has to do, settled by the session from its log and results.

    An object joins a leg at the first of its seeds that the leg meets (the anchor included) and
    is not computed before. A seed with `prompted` on a later frame of the leg replaces the
    object's mask there. A concept of `follows` joins at the first of its frames, or of its
    objects' seeds, that the leg meets. New objects get ids from `next_obj_id` on. `removed` are
    stored masks of removed objects: what a concept finds over one of them stays away.
    """

    direction: Direction
    legs: tuple[Leg, ...]
    obj_ids: tuple[int, ...]
    seeds: tuple[Seed, ...]
    next_obj_id: int
    follows: tuple[Follow, ...] = ()
    removed: tuple[Seed, ...] = ()

    @property
    def total_frames(self) -> int:
        return sum(len(leg.frames) for leg in self.legs)


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """One prompt request with what the log knows about its target.

    `history` holds the target's earlier active prompts on this frame, oldest first; `current` its
    visible mask there; `others` the visible masks of the other objects on the frame. Objects that
    the request creates are numbered from `next_obj_id` on.
    """

    frame_index: int
    prompts: tuple[Prompt, ...]
    obj_id: int | None
    next_obj_id: int
    history: tuple[Prompt, ...] = ()
    current: Rle | None = None
    others: Mapping[int, Rle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All an engine needs to build a session's state again: the active edits and prompted masks."""

    edits: tuple[Edit, ...] = ()
    seeds: tuple[Seed, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.

    `words`: the only nouns it knows; empty: any words. `filters`: what may stand beside one of them,
    like colours. `features`: whether it keeps what its vision encoder made of a picture, so that
    further prompts on it are quicker.
    """

    text: bool = False
    points: bool = True
    box: bool = True
    mask: bool = True
    exemplar: bool = False
    backward: bool = True
    multi_concept: bool = False
    words: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    features: bool = False


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine as it introduces itself once loaded. `checkpoint` is a name, never a path.

    `bytes_per_pixel`: the least that a session holds for each pixel of its video's frame; 0: unknown.
    """

    name: str
    title: str
    device: str
    checkpoint: str
    capabilities: Capabilities
    note: str = ""
    bytes_per_pixel: float = 0.0


def point_px(point: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """The pixel (column, row) a normalised point falls on."""
    return min(int(point[0] * width), width - 1), min(int(point[1] * height), height - 1)
