"""Edits and videos as JSON, for what is kept of a session on disk and in files.

Reading checks everything: a file may come from a stranger, and the domain's types refuse what can't
be. What an older version wrote stays readable: fields are added with defaults, never renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.domain import (
    Action,
    ApproveAction,
    Box,
    Leg,
    MaskPrompt,
    MergeAction,
    Points,
    Prompt,
    PromptAction,
    PropagateAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    Rle,
    SplitAction,
    Stretches,
    Text,
    Video,
)
from backend.errors import InvalidInput
from backend.media.records import video_from_record, video_record

Json = dict[str, Any]
BAD = "This is not what was saved of a session: it is damaged, or was made by a newer version."


def damaged(error: Exception | None = None) -> InvalidInput:
    """The error for records that can't be read."""
    return InvalidInput(BAD, "invalid_session_file")


# --- out -----------------------------------------------------------------------------------------


def action_out(action: Action) -> Json:
    match action:
        case PromptAction(frame_index, prompts, obj_id, obj_ids):
            return {
                "kind": "prompt",
                "frame_index": frame_index,
                "prompts": [_prompt_out(p) for p in prompts],
                "obj_id": obj_id,
                "obj_ids": list(obj_ids),
            }
        case PropagateAction(run_id, direction, start, frames, obj_ids):
            return {
                "kind": "propagate",
                "run_id": run_id,
                "direction": direction,
                "start": start,
                "frames": list(frames),
                "obj_ids": list(obj_ids),
            }
        case RemoveAction(obj_id):
            return {"kind": "remove", "obj_id": obj_id}
        case RenameAction(obj_id, name, label, color):
            return {"kind": "rename", "obj_id": obj_id, "name": name, "label": label, "color": color}
        case ResetAction():
            return {"kind": "reset"}
        case ApproveAction(obj_id, frames, approved):
            return {"kind": "approve", "obj_id": obj_id, "frames": _stretches_out(frames), "approved": approved}
        case SplitAction(obj_id, new_obj_id, frame_index, prompts, frames):
            return {
                "kind": "split",
                "obj_id": obj_id,
                "new_obj_id": new_obj_id,
                "frame_index": frame_index,
                "prompts": [_prompt_out(p) for p in prompts],
                "frames": _stretches_out(frames),
            }
        case MergeAction(obj_id, other, frames, whole) as merge:
            return {
                "kind": "merge",
                "obj_id": obj_id,
                "other": other,
                "frames": _stretches_out(frames),
                "whole": whole,
                "prompted": _stretches_out(merge.prompted),
                "stale": _stretches_out(merge.stale),
                "approved": _stretches_out(merge.approved),
            }


def _stretches_out(stretches: Stretches) -> list[list[int]]:
    return [list(pair) for pair in stretches]


def _prompt_out(prompt: Prompt) -> Json:
    match prompt:
        case Text(text):
            return {"type": "text", "text": text}
        case Points(points, labels, replace):
            return {"type": "points", "points": [list(p) for p in points], "labels": list(labels), "replace": replace}
        case Box(box, label, exemplar):
            return {"type": "box", "box": list(box), "label": label, "exemplar": exemplar}
        case MaskPrompt(rle, mode):
            return {"type": "mask", "counts": rle.counts, "size": rle.size, "mode": mode}


def video_out(video: Video) -> Json:
    """All of a video but where it lies."""
    return video_record(video, "")


def legs_out(legs: Sequence[Leg]) -> list[Json]:
    return [
        {"start": leg.frames.start, "stop": leg.frames.stop, "step": leg.frames.step, "anchor": leg.anchor}
        for leg in legs
    ]


# --- in ------------------------------------------------------------------------------------------


def action_in(fields: Any, read_mask: Callable[[str, int, int], Rle] = Rle) -> Action:
    """Read what `action_out` made.

    Args:
        fields: the JSON.
        read_mask: makes a mask of its counts, height and width; one that checks, where the JSON
            comes from outside.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        match fields["kind"]:
            case "prompt":
                return PromptAction(
                    _whole(fields["frame_index"]),
                    tuple(_prompt_in(p, read_mask) for p in fields["prompts"]),
                    None if fields["obj_id"] is None else _whole(fields["obj_id"]),
                    _wholes(fields["obj_ids"]),
                )
            case "propagate":
                if fields["direction"] not in ("forward", "backward", "both"):
                    raise damaged()
                first, last = _wholes(fields["frames"])
                return PropagateAction(
                    _text(fields["run_id"]),
                    fields["direction"],
                    _whole(fields["start"]),
                    (first, last),
                    _wholes(fields["obj_ids"]),
                )
            case "remove":
                return RemoveAction(_whole(fields["obj_id"]))
            case "rename":
                texts = [None if fields[k] is None else _text(fields[k]) for k in ("name", "label", "color")]
                return RenameAction(_whole(fields["obj_id"]), *texts)
            case "reset":
                return ResetAction()
            case "approve":
                return ApproveAction(_whole(fields["obj_id"]), _stretches(fields["frames"]), _flag(fields["approved"]))
            case "split":
                return SplitAction(
                    _whole(fields["obj_id"]),
                    _whole(fields["new_obj_id"]),
                    _whole(fields["frame_index"]),
                    tuple(_prompt_in(p, read_mask) for p in fields["prompts"]),
                    _stretches(fields["frames"]),
                )
            case "merge":
                parts = [_stretches(fields[k]) for k in ("frames", "prompted", "stale", "approved")]
                ids = _whole(fields["obj_id"]), _whole(fields["other"])
                return MergeAction(*ids, parts[0], _flag(fields["whole"]), *parts[1:])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(error) from error
    raise damaged()


def _prompt_in(fields: Mapping[str, Any], read_mask: Callable[[str, int, int], Rle]) -> Prompt:
    match fields["type"]:
        case "text":
            return Text(_text(fields["text"]))
        case "points":
            points = tuple((p[0], p[1]) for p in fields["points"])
            return Points(points, _wholes(fields["labels"]), bool(fields["replace"]))
        case "box":
            x, y, w, h = fields["box"]
            return Box((x, y, w, h), bool(fields["label"]), bool(fields["exemplar"]))
        case "mask":
            height, width = _wholes(fields["size"])
            if fields["mode"] not in ("replace", "add", "subtract"):
                raise damaged()
            return MaskPrompt(read_mask(_text(fields["counts"]), height, width), fields["mode"])
    raise damaged()


def video_in(fields: Any, path: Path) -> Video:
    """Read what `video_out` made.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        return video_from_record(fields, path)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise damaged(error) from error


def legs_in(fields: Any) -> tuple[Leg, ...]:
    """Read what `legs_out` made.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        out = []
        for leg in fields:
            frames = range(_whole(leg["start"]), _whole(leg["stop"]), _whole(leg["step"]))
            if frames.step not in (1, -1) or not len(frames):
                raise damaged()
            out.append(Leg(frames, None if leg["anchor"] is None else _whole(leg["anchor"])))
        return tuple(out)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(error) from error


def _whole(value: Any) -> int:
    # The smallest is that of the end of a range that runs backward to frame 0.
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 2**53:
        raise damaged()
    return value


def _wholes(values: Any) -> tuple[int, ...]:
    return tuple(_whole(v) for v in values)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise damaged()
    return value


def _stretches(values: Any) -> Stretches:
    out: list[tuple[int, int]] = []
    for first, last in values:
        before = out[-1][1] + 1 if out else -1
        if not before < _whole(first) <= _whole(last):
            raise damaged()
        out.append((first, last))
    return tuple(out)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise damaged()
    return value
