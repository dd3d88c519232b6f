"""What becomes of stored masks when an object is split, or two are merged: worked out from them, without the engine.

It may take a while for a long video, so nothing here needs a session's lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backend.domain import BoolMask, MaskPrompt, ObjectResult, Points, Prompt
from backend.errors import InvalidInput
from backend.masks import decode, empty, encode, mask_box
from backend.masks.parts import carried_on, pieces, pieces_at
from backend.masks.rle import rle_box, united


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's mask on a frame, and how it stands."""

    result: ObjectResult
    prompted: bool
    stale: bool
    approved: bool


@dataclass(frozen=True, slots=True)
class Divided:
    """An object's two parts on a frame; `rest` None: the part is not there, and the object stays as it is."""

    part: ObjectResult
    rest: ObjectResult | None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge writes on a frame, and how that stands."""

    results: tuple[ObjectResult, ...]
    prompted: bool
    stale: bool
    approved: bool


# --- splitting -----------------------------------------------------------------------------------


def check_split(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts that can't say which part is meant.

    Raises:
        InvalidInput
    """
    positive = False
    for prompt in prompts:
        match prompt:
            case Points(_, labels):
                positive = positive or 1 in labels
            case MaskPrompt(_, mode):
                positive = positive or mode != "subtract"
            case _:
                raise InvalidInput("A split takes points or masks: say which part becomes an object.", "invalid_prompt")
    if not positive:
        raise InvalidInput("Mark the part that becomes an object: with a positive point or a mask.", "invalid_prompt")


def split(results: Mapping[int, ObjectResult], frame_index: int, prompts: Sequence[Prompt]) -> dict[int, Divided]:
    """Take a part of an object away, on each of some frames.

    Args:
        results: the object's stored results by frame.
        frame_index: the frame on which `prompts` say which part is meant. From there outwards the
            parts are told apart by their overlap with those of the frame before.

    Raises:
        InvalidInput: there is nothing to split there (`nothing_to_split`).
    """
    here = results.get(frame_index)
    if here is None or here.box is None:
        raise InvalidInput(f"The object has no mask on frame {frame_index}.", "nothing_to_split")
    whole = decode(here.rle)
    part = _meant(whole, prompts)
    if not part.any():
        raise InvalidInput("None of the object lies there: mark a part of it.", "nothing_to_split")
    if not (whole & ~part).any():
        one = pieces(whole)[0] == 1 and not any(isinstance(p, MaskPrompt) for p in prompts)
        raise InvalidInput(
            "The object is in one piece there: draw over the part that becomes an object of its own."
            if one
            else "That is all of the object: mark only a part of it.",
            "nothing_to_split",
        )
    out = {frame_index: _divided(here, part, whole & ~part)}
    ahead = sorted(f for f in results if f > frame_index)
    behind = sorted((f for f in results if f < frame_index), reverse=True)
    for order in (ahead, behind):
        last_part, last_rest = part, whole & ~part
        for frame in order:
            found = results[frame]
            mask = decode(found.rle)
            there = carried_on(mask, last_part, last_rest)
            out[frame] = _divided(found, there, mask & ~there)
            # A part that is out of sight is looked for where it was last.
            last_part = there if there.any() else last_part
            last_rest = mask & ~there if (mask & ~there).any() else last_rest
    return dict(sorted(out.items()))


def _meant(whole: BoolMask, prompts: Sequence[Prompt]) -> BoolMask:
    """The part (H, W) of a mask that prompts mean."""
    out = whole & False
    points = [p for p in prompts if isinstance(p, Points)]
    if points:
        out = pieces_at(whole, [xy for p in points for xy in p.points], [label for p in points for label in p.labels])
    for prompt in prompts:
        if isinstance(prompt, MaskPrompt):
            drawn = decode(prompt.rle)
            out = out & ~drawn if prompt.mode == "subtract" else out | (whole & drawn)
    return out


def _divided(found: ObjectResult, part: BoolMask, rest: BoolMask) -> Divided:
    return Divided(_with(found, part), _with(found, rest) if part.any() else None)


def _with(found: ObjectResult, mask: BoolMask) -> ObjectResult:
    box = mask_box(mask)
    return replace(found, rle=encode(mask), box=box, score=found.score if box else 0.0)


# --- merging -------------------------------------------------------------------------------------


def merge(obj_id: int, mine: Mapping[int, Stored], theirs: Mapping[int, Stored], whole: bool) -> dict[int, Merged]:
    """Give one object another's masks too.

    Args:
        obj_id: the object.
        mine: the object's masks by frame.
        theirs: those of the other, on the frames in question.
        whole: the other ceases to be; else it is emptied on these frames.

    Raises:
        InvalidInput: the other has no mask on these frames, where it does not cease to be (`nothing_to_merge`).
    """
    out: dict[int, Merged] = {}
    for frame, given in theirs.items():
        had = mine.get(frame)
        results: list[ObjectResult] = []
        if had is None or (given.result.box is not None and had.result.box is None):
            if whole or given.result.box is not None:
                results.append(replace(given.result, obj_id=obj_id))
        elif given.result.box is not None:
            rle = united([had.result.rle, given.result.rle])
            if rle != had.result.rle:
                score = max(had.result.score, given.result.score)
                results.append(replace(had.result, rle=rle, box=rle_box(rle), score=score))
        if not whole and given.result.box is not None:
            size = given.result.rle
            results.append(replace(given.result, rle=empty(size.height, size.width), box=None, score=0.0))
        if results:
            parts = [s for s in (had, given) if s is not None]
            seen = [s for s in parts if s.result.box is not None]
            prompted = any(s.prompted for s in parts)
            stale = any(s.stale for s in parts)
            out[frame] = Merged(tuple(results), prompted, stale, bool(seen) and all(s.approved for s in seen))
    if not out and not whole:
        raise InvalidInput(
            "The other object has no mask on these frames: there is nothing to merge.", "nothing_to_merge"
        )
    return dict(sorted(out.items()))
