"""The engine protocol, and the plan by which every engine reads a mixed prompt request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from backend.domain import (
    Box,
    Capabilities,
    DenseResult,
    EngineInfo,
    Image,
    MaskPrompt,
    Points,
    PromptRequest,
    Rle,
    Snapshot,
    Span,
    Text,
    Video,
)
from backend.errors import InvalidInput, Unsupported

Handle = Any
"""An engine's own state of one session; opaque to everybody else."""


class FrameSource(Protocol):
    """Frames of one video, exact and in presentation order. Not thread-safe."""

    def __len__(self) -> int: ...

    def read(self, frame_index: int) -> Image:
        """Frame `frame_index` as RGB uint8 (H, W, 3), rotation applied."""
        ...


class Engine(Protocol):
    """A model, single-threaded and lock-free, with one handle a session.

    A handle is only a cache: it can be closed at any moment and opened again from a `Snapshot`.
    Whatever the model raises leaves here as an `EngineError`.
    """

    info: EngineInfo

    def open(self, video: Video, frames: FrameSource, snapshot: Snapshot) -> Handle:
        """Take a session in. Cheap where the engine can be lazy."""
        ...

    def apply(self, handle: Handle, request: PromptRequest) -> DenseResult:
        """Answer a prompt: the masks of the objects it wrote on its frame, new ones included.

        Raises:
            Unsupported: the engine can't do that kind of prompt.
        """
        ...

    def propagate(self, handle: Handle, span: Span) -> Iterator[DenseResult]:
        """Yield one result for each frame of each leg, in order, with the objects that joined.

        A frame that no object has joined yet is yielded with no objects. Closing the iterator
        cancels.
        """
        ...

    def remove(self, handle: Handle, obj_id: int) -> None:
        """Forget an object. Unknown ids are no error."""
        ...

    def reset(self, handle: Handle) -> None:
        """Forget all objects; the video stays."""
        ...

    def close(self, handle: Handle) -> None:
        """Free everything of the handle. Idempotent."""
        ...

    def memory_bytes(self, handle: Handle) -> int:
        """What the handle holds, in bytes: the device's memory where there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants of one object: `obj_id` None for a new one.

    `points` are the clicks that hold now, earlier ones on the frame included. `start` says what
    the object's mask on the frame is before this request (None: nothing).
    """

    obj_id: int | None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    new_points: int = 0
    """How many of `points`, counted from the end, came with this request."""
    box: Box | None = None
    masks: tuple[MaskPrompt, ...] = ()
    start: Rle | None = None


@dataclass(frozen=True, slots=True)
class Concept:
    """Words and exemplar boxes that together describe a class of things to find."""

    text: str
    exemplars: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A prompt request sorted out.

    `concepts` are searched first. `asks` are the objects asked for directly. `refine` are clicks
    that go to the found object under the first positive one, or start a new object where there is
    none. With `obj_id` and a concept, the concept's best match becomes that object.
    """

    concepts: tuple[Concept, ...]
    asks: tuple[Ask, ...]
    refine: Ask | None
    obj_id: int | None


def plan(request: PromptRequest) -> Plan:
    """Sort a request's prompts into concepts and objects, by the rules of the wire contract.

    Point items of one request form one object. Boxes alone mean one object each; a single box
    with points or strokes describes the same object as they do. A text with boxes means the
    concept with its exemplars.

    Raises:
        InvalidInput: combinations that can't mean anything.
    """
    texts = [p for p in request.prompts if isinstance(p, Text)]
    boxes = [p for p in request.prompts if isinstance(p, Box)]
    masks = tuple(p for p in request.prompts if isinstance(p, MaskPrompt))
    fresh = [p for p in request.prompts if isinstance(p, Points)]

    exemplars = tuple(b for b in boxes if texts or b.exemplar or not b.label)
    direct = [b for b in boxes if b not in exemplars]
    if any(not b.label for b in exemplars) and not texts and not any(b.label for b in exemplars):
        raise InvalidInput(
            "A negative box only means something beside a text or a positive exemplar box.", "invalid_prompt"
        )
    if len(texts) > 1 and exemplars:
        raise InvalidInput("Boxes go with one text at a time: send one text with its boxes.", "invalid_prompt")
    if request.obj_id is not None and len(direct) > 1:
        raise InvalidInput(
            "One object takes one box: leave obj_id out to start an object for each box.", "invalid_prompt"
        )

    concepts = tuple(Concept(t.text, exemplars) for t in texts)
    if exemplars and not texts:
        concepts = (Concept("", exemplars),)

    points, labels = _held_points(request, fresh)
    new = sum(len(p.points) for p in fresh)
    ask = Ask(request.obj_id, points, labels, new, None, masks, request.current)
    if concepts:
        refine = ask if fresh or masks else None
        return Plan(concepts, tuple(Ask(request.obj_id, box=b) for b in direct), refine, request.obj_id)
    if len(direct) == 1:
        return Plan(
            (), (Ask(request.obj_id, points, labels, new, direct[0], masks, request.current),), None, request.obj_id
        )
    asks = [Ask(None, box=b) for b in direct]
    if fresh or masks:
        asks.append(ask)
    return Plan((), tuple(asks), None, request.obj_id)


def _held_points(
    request: PromptRequest, fresh: list[Points]
) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    """The clicks that hold after the request: earlier ones too, back to the last `replace`."""
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    earlier = [p for p in request.history if isinstance(p, Points)]
    for prompt in [*earlier, *fresh] if fresh else []:
        if prompt.replace:
            points, labels = [], []
        points += prompt.points
        labels += prompt.labels
    return tuple(points), tuple(labels)


def require(capabilities: Capabilities, prompts: PromptRequest, engine: str) -> None:
    """Refuse the kinds of prompt an engine can't do, before anything is touched.

    Raises:
        Unsupported: with a sentence that says what to do instead.
    """
    for prompt in prompts.prompts:
        if isinstance(prompt, Text) and not capabilities.text:
            raise Unsupported(
                f"Finding by words needs another engine than {engine}. Click or draw a box instead.", "text_unsupported"
            )
        if isinstance(prompt, Points) and not capabilities.points:
            raise Unsupported(f"{engine} takes no clicks. Draw a box instead.", "points_unsupported")
        if isinstance(prompt, Box) and not capabilities.box:
            raise Unsupported(f"{engine} takes no boxes. Click instead.", "box_unsupported")
        if isinstance(prompt, Box) and (prompt.exemplar or not prompt.label) and not capabilities.exemplar:
            raise Unsupported(
                f"{engine} takes no exemplar boxes. Draw a box around each object instead.", "exemplar_unsupported"
            )
        if isinstance(prompt, MaskPrompt) and not capabilities.mask:
            raise Unsupported(f"{engine} takes no masks. Click or draw a box instead.", "mask_unsupported")
