"""The JSON shapes of the wire contract, shared by every door: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.domain import (
    Action,
    ApproveAction,
    Box,
    Edit,
    FrameResult,
    MaskPrompt,
    MergeAction,
    ObjectInfo,
    ObjectResult,
    Points,
    Prompt,
    PromptAction,
    PropagateAction,
    RemoveAction,
    RenameAction,
    SplitAction,
    Stretches,
    Text,
    Video,
)
from backend.errors import InvalidInput
from backend.masks import parse
from backend.sessions.book import Repaired
from backend.sessions.problems import find, tracked
from backend.sessions.results import to_ranges
from backend.sessions.run import Run
from backend.sessions.session import PromptOutcome, Session
from backend.sessions.stretches import frames_of

Json = dict[str, Any]


# --- in ----------------------------------------------------------------------------------------


def prompts_in(items: Sequence[Mapping[str, Any]], video: Video) -> tuple[Prompt, ...]:
    """Prompts from their JSON shapes.

    Raises:
        InvalidInput: an unknown type, missing or extra fields, values out of range.
    """
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        raise InvalidInput("prompts is a list of objects with a type each.", "invalid_prompt")
    return tuple(_prompt_in(item, video) for item in items)


def _prompt_in(item: Mapping[str, Any], video: Video) -> Prompt:
    if not isinstance(item, Mapping):
        raise InvalidInput("A prompt is an object with a type: text, point, box or mask.", "invalid_prompt")
    kind = item.get("type")
    try:
        match kind:
            case "text":
                return Text(_typed(item, "text", str))
            case "point":
                points = tuple(_numbers(p) for p in _typed(item, "points", list))
                labels = item.get("point_labels")
                marks = tuple(_typed(item, "point_labels", list)) if labels is not None else (1,) * len(points)
                return Points(points, marks, bool(item.get("replace", False)))  # type: ignore[arg-type]
            case "box":
                box = _numbers(_typed(item, "box", list))
                return Box(box, bool(item.get("label", True)), bool(item.get("exemplar", False)))  # type: ignore[arg-type]
            case "mask":
                mode = item.get("mode", "replace")
                if mode not in ("replace", "add", "subtract"):
                    raise InvalidInput("A mask's mode is replace, add or subtract.", "invalid_prompt")
                return MaskPrompt(parse(_typed(item, "mask", str), video.height, video.width), mode)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The {kind} prompt is malformed.", "invalid_prompt") from error
    raise InvalidInput("A prompt's type is text, point, box or mask.", "invalid_prompt")


def _typed(item: Mapping[str, Any], key: str, kind: type) -> Any:
    value = item.get(key)
    if isinstance(value, tuple) and kind is list:
        value = list(value)
    if not isinstance(value, kind):
        raise InvalidInput(f"A {item.get('type')} prompt needs “{key}”.", "invalid_prompt")
    return value


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise InvalidInput("Coordinates are lists of numbers.", "invalid_prompt")
    return tuple(values)


# --- out ---------------------------------------------------------------------------------------


def video_out(video: Video) -> Json:
    return {
        "total_frames": video.num_frames,
        "fps": float(video.fps),
        "fps_fraction": f"{video.fps.numerator}/{video.fps.denominator}",
        "fps_assumed": video.fps_assumed,
        "resolution": {"width": video.width, "height": video.height},
        "duration_seconds": video.duration,
        "name": video.name,
        "kind": video.kind,
    }


def started_out(session: Session) -> Json:
    return {"session_id": session.id, "video_info": video_out(session.video), "status": "ready"}


def object_out(result: ObjectResult) -> Json:
    return {
        "id": result.obj_id,
        "mask": result.rle.counts,
        "box": list(result.box) if result.box else None,
        "score": result.score,
    }


def frame_out(frame: FrameResult) -> Json:
    return {"frame_index": frame.frame_index, "objects": [object_out(o) for o in frame.objects]}


def size_of(video: Video) -> list[int]:
    return [video.height, video.width]


def prompted_out(session: Session, outcome: PromptOutcome) -> Json:
    objects = outcome.frame.objects
    return {
        "frame_index": outcome.frame.frame_index,
        "obj_id": objects[0].obj_id if objects else None,
        "obj_ids": [o.obj_id for o in objects],
        "masks": [o.rle.counts for o in objects],
        "boxes": [list(o.box) if o.box else None for o in objects],
        "scores": [o.score for o in objects],
        "size": size_of(session.video),
        "status": "prompt_added",
        "message": outcome.message,
    }


def info_out(info: ObjectInfo) -> Json:
    return {"id": info.id, "name": info.name, "label": info.label, "color": info.color}


def status_out(session: Session, retention_seconds: float, engine: str, queue_position: int | None = None) -> Json:
    """The session's status, its objects with the ranges the timeline draws, and its run."""
    with session.lock:
        objects = [_object_status(session, info) for info in session.objects.values()]
        run = session.run
        expires = datetime.now(UTC) + timedelta(seconds=max(0.0, retention_seconds - session.idle_seconds))
        return {
            "session_id": session.id,
            "status": session.status,
            "current_objects": [o["id"] for o in objects],
            "objects": objects,
            "concepts": [
                {"text": c.text, "frames": list(c.frames), "obj_ids": list(c.found)} for c in session.log.view.concepts
            ],
            "frames_processed": len(session.results.computed()),
            "total_frames": session.video.num_frames,
            "gpu_memory_used_mb": round(session.memory_bytes / 1e6, 3),
            "engine": engine,
            "expires_at": time_out(expires),
            "queue_position": queue_position,
            "video_info": video_out(session.video),
            "can_undo": session.log.can_undo,
            "can_redo": session.log.can_redo,
            "run": run_out(run) | {"resumable": session.resumable} if run else None,
        }


def _object_status(session: Session, info: ObjectInfo) -> Json:
    versions = session.results.versions(info.id)
    marks: dict[int, list[str]] = {}
    for edit in session.log.active:
        for frame_index, kind in _words_about(edit.action, info.id):
            if kind not in marks.setdefault(frame_index, []):
                marks[frame_index].append(kind)
    scores = [v.result.score for v in versions.values() if v.result.box]
    return {
        **info_out(info),
        "frames": to_ranges(f for f, v in versions.items() if v.result.box),
        "computed": to_ranges(versions),
        "stale": to_ranges(f for f, v in versions.items() if session.results.is_stale(info.id, f, v)),
        "approved": stretches_out(session.log.view.approved.get(info.id, ())),
        "prompts": [{"frame_index": f, "kinds": kinds} for f, kinds in sorted(marks.items())],
        "score": round(sum(scores) / len(scores), 4) if scores else 0.0,
    }


def _words_about(action: Action, obj_id: int) -> Iterator[tuple[int, str]]:
    """The frames on which an edit says what an object's mask is, and with what."""
    match action:
        case PromptAction(frame_index, prompts, _, obj_ids) if obj_id in obj_ids:
            yield from ((frame_index, _kind(p)) for p in prompts)
        case SplitAction(one, new, frame_index, prompts) if obj_id in (one, new):
            yield from ((frame_index, _kind(p)) for p in prompts)
        case MergeAction(one, prompted=prompted) if obj_id == one:
            # Of whatever kind what the other object had there was: now it is a mask.
            yield from ((frame_index, "mask") for frame_index in frames_of(prompted))


def run_out(run: Run) -> Json:
    return {
        "run_id": run.id,
        "state": run.state,
        "direction": run.direction,
        "obj_ids": list(run.obj_ids),
        "start_frame_index": run.start,
        "done": run.done,
        "total": run.total,
        "frame_index": run.frames[-1][0] if run.frames else None,
        "frames_per_second": round(run.frames_per_second, 2),
        "error": run.error,
        "code": run.code,
    }


def results_out(session: Session, start: int | None = None, stop: int | None = None, obj_id: int | None = None) -> Json:
    """Stored results of a range (inclusive), and which of them are out of date."""
    with session.lock:
        chosen = list(session.objects) if obj_id is None else [obj_id]
        first = 0 if start is None else start
        last = session.video.num_frames - 1 if stop is None else stop
        frames = [f for f in session.results.computed(chosen) if first <= f <= last]
        results = {str(f): frame_out(r) for f in frames if (r := session.results.frame(f, chosen))}
        stale = {}
        for i in chosen:
            old = [f for f in frames if (v := session.results.visible(i, f)) and session.results.is_stale(i, f, v)]
            if old:
                stale[str(i)] = to_ranges(old)
    return {"results": results, "stale": stale, "size": size_of(session.video)}


MOST_PROBLEMS = 1000
"""Told at most; how many there are is told beside."""


def problems_out(session: Session, obj_id: int | None = None) -> Json:
    """The frames to look at, of one object or all."""
    with session.lock:
        if obj_id is not None:
            session.book.object_info(obj_id)
        evidence = [session.book.evidence(i) for i in session.objects]
    width, height = session.video.width, session.video.height
    # All of them, since one may have changed places with any other.
    tracks = [tracked(each, width, height) for each in evidence if each.results]
    found = [p for p in find(tracks, width, height) if obj_id in (None, p.obj_id)]
    return {"problems": [asdict(p) for p in found[:MOST_PROBLEMS]], "total": len(found)}


def log_out(session: Session) -> Json:
    """The edits, oldest first; undone ones are the last."""
    with session.lock:
        active = session.log.view.active
        return {"edits": [_edit_out(session, edit, edit.seq not in active) for edit in session.log.edits]}


def edit_summary(session: Session, edit: Edit) -> Json:
    return _edit_out(session, edit, undone=edit.seq not in session.log.view.active)


def _edit_out(session: Session, edit: Edit, undone: bool) -> Json:
    out: Json = {"seq": edit.seq, "at": time_out(edit.at), "kind": edit.kind, "undone": undone}
    match edit.action:
        case PromptAction(frame_index, prompts, obj_id, obj_ids):
            out |= {
                "frame_index": frame_index,
                "obj_id": obj_id,
                "obj_ids": list(obj_ids),
                "prompts": [prompt_out(p) for p in prompts],
            }
        case PropagateAction(run_id, direction, start, frames, obj_ids):
            state = session.run_state(edit.seq)
            ended = state not in ("queued", "running")
            done = [f for f, _ in session.book.records.steps(edit.seq)]
            out |= {
                "run_id": run_id,
                "direction": direction,
                "start_frame_index": start,
                # What it set out to do while it runs; once it has ended, what it did.
                "frames": [min(done), max(done)] if ended and done else list(frames),
                "obj_ids": list(obj_ids),
                "frames_written": len(done),
                "outcome": state if ended else "running",
            }
        case RemoveAction(obj_id):
            out |= {"obj_id": obj_id}
        case RenameAction(obj_id, name, label, color):
            out |= {"obj_id": obj_id, "name": name, "label": label, "color": color}
        case ApproveAction(obj_id, approved_frames, approved):
            out |= {"obj_id": obj_id, "frames": stretches_out(approved_frames), "approved": approved}
        case SplitAction() as split:
            out |= {
                "obj_id": split.obj_id,
                "new_obj_id": split.new_obj_id,
                "frame_index": split.frame_index,
                "prompts": [prompt_out(p) for p in split.prompts],
                "frames": stretches_out(split.frames),
            }
        case MergeAction() as merge:
            out |= {
                "obj_id": merge.obj_id,
                "obj_ids": [merge.obj_id, merge.other],
                "frames": stretches_out(merge.frames),
                "removed": merge.other if merge.whole else None,
            }
    return out


def stretches_out(stretches: Stretches) -> list[list[int]]:
    return [list(pair) for pair in stretches]


def prompt_out(prompt: Prompt) -> Json:
    match prompt:
        case Text(text):
            return {"type": "text", "text": text}
        case Points(points, labels, replace):
            return {
                "type": "point",
                "points": [list(p) for p in points],
                "point_labels": list(labels),
                "replace": replace,
            }
        case Box(box, label, exemplar):
            return {"type": "box", "box": list(box), "label": label, "exemplar": exemplar}
        case MaskPrompt(rle, mode):
            return {"type": "mask", "mask": rle.counts, "mode": mode}


def _kind(prompt: Prompt) -> str:
    return str(prompt_out(prompt)["type"])


def stepped_out(session: Session, obj_ids: Iterable[int] | None = None) -> Json:
    """The state after undo, redo or another step."""
    with session.lock:
        return {
            "session_id": session.id,
            "status": session.status,
            "obj_ids": list(session.objects) if obj_ids is None else list(obj_ids),
        }


def repaired_out(session: Session, done: Repaired) -> Json:
    """The state after a split or a merge, the frames that it wrote, and all objects that there are."""
    with session.lock:
        objects = [info_out(info) for info in session.objects.values()]
        return stepped_out(session) | {"frames": stretches_out(done.frames), "objects": objects}


def listed_out(session: Session, disk_bytes: int = 0) -> Json:
    standing = session.standing
    edits = session.log.edits
    return {
        "session_id": session.id,
        "type": "video",
        "created_at": time_out(session.created_at),
        "changed_at": time_out(edits[-1].at if edits else session.created_at),
        "status": session.status,
        "objects_count": len(session.objects),
        "name": session.video.name,
        "video_info": video_out(session.video),
        "memory_mb": round(session.memory_bytes / 1e6, 3) if session.holds_engine else 0.0,
        "disk_mb": round(disk_bytes / 1e6, 3),
        "run": asdict(standing) if standing else None,
    }


def time_out(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
