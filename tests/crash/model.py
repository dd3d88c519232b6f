"""What a session must be, worked out from what its clients were told, and from nothing else.

It knows the contract (what edits, undo and propagations mean) and the stand-in engine (a mask moves
two pixels right and one down a frame), and shares no code with the service, so that the two can
disagree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from pycocotools import mask as coco

STEP = (2, 1)
"""How far the stand-in moves a mask in a frame: columns, rows."""

Json = dict[str, Any]
Shape = tuple[str, tuple[float, ...] | None, float]
"""An object on a frame: its mask's counts, its box, its score."""


Version = tuple[int, Shape, bool, bool]
"""What is seen of an object on a frame: the edit's place, the shape, whether it is prompted, and approved."""


def shape_of(item: Json) -> Shape:
    """An object as the wire has it."""
    return item["mask"], tuple(item["box"]) if item["box"] else None, item["score"]


@lru_cache(maxsize=4096)
def moved(counts: str, height: int, width: int, frames: int) -> Shape:
    """A mask so many frames later (fewer than 0: earlier), as the stand-in makes it."""
    mask = np.zeros((height, width), np.uint8)
    old = _decode(counts, height, width)
    # A step at a time: what leaves the picture on the way does not come back.
    dx, dy = frames * STEP[0], frames * STEP[1]
    if abs(dx) < width and abs(dy) < height:
        mask[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] = old[
            max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)
        ]
    counts = coco.encode(np.asfortranarray(mask))["counts"].decode()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return counts, None, 0.0
    left, top = int(columns[0]), int(rows[0])
    box = (left / width, top / height, (int(columns[-1]) + 1 - left) / width, (int(rows[-1]) + 1 - top) / height)
    return counts, box, 0.9


def _decode(counts: str, height: int, width: int) -> np.ndarray:
    return np.array(coco.decode({"size": [height, width], "counts": counts.encode()}))


def same(a: Shape | None, b: Shape | None) -> bool:
    """Whether two shapes are the same; boxes may differ by a rounding of the arithmetic."""
    if a is None or b is None or a[1] is None or b[1] is None:
        return a == b
    return a[0] == b[0] and a[2] == b[2] and all(abs(p - q) < 1e-9 for p, q in zip(a[1], b[1], strict=True))


@dataclass
class RunModel:
    """A propagation: the frames it has to make, in their order, and how far it is known to have come."""

    plan: list[tuple[int, dict[int, Shape]]]
    run_id: str | None = None
    seen: int = 0
    """Frames that a client has got, from the first on."""
    ended: str | None = None
    """How it is known to have ended."""
    done: int | None = None
    """How many frames it made, where that is known."""
    possible: set[str] = field(default_factory=lambda: {"interrupted", "complete"})
    """How it may have ended, where it is not known."""


@dataclass
class EditModel:
    """An edit. `detail` is what the log has to show of it."""

    kind: str
    detail: Json = field(default_factory=dict)
    writes: dict[tuple[int, int], Shape] | None = field(default_factory=dict)
    """By (frame, object); None: not known, since the reply never came."""
    born: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Name and label of the objects that it made."""
    run: RunModel | None = None
    seq: int | None = None

    @property
    def frames(self) -> dict[tuple[int, int], Shape]:
        if self.run is not None:
            done = self.run.done if self.run.done is not None else self.run.seen
            return {(f, i): s for f, objects in self.run.plan[:done] for i, s in objects.items()}
        return self.writes or {}


@dataclass
class SessionModel:
    """A session as its clients know it."""

    height: int
    width: int
    num_frames: int
    edits: list[EditModel] = field(default_factory=list)
    undone: int = 0

    def copy(self) -> SessionModel:
        return copy.deepcopy(self)

    # --- what follows from the edits -----------------------------------------------------------------

    @property
    def active(self) -> list[EditModel]:
        return self.edits[: len(self.edits) - self.undone]

    def objects(self) -> dict[int, tuple[str, str]]:
        """Name and label of the objects there are, by id."""
        out: dict[int, tuple[str, str]] = {}
        for edit in self.active:
            out.update(edit.born)
            obj_id = edit.detail.get("obj_id")
            if edit.kind == "remove":
                out.pop(obj_id, None)
            elif edit.kind == "reset":
                out.clear()
            elif edit.kind == "rename" and obj_id in out:
                name, label = edit.detail["name"], edit.detail["label"]
                old = out[obj_id]
                out[obj_id] = (old[0] if name is None else name, old[1] if label is None else label)
        return out

    def versions(self) -> dict[int, dict[int, Version]]:
        """For each object its visible versions by frame."""
        out: dict[int, dict[int, Version]] = {i: {} for i in self.objects()}
        for place, edit in enumerate(self.active):
            prompted = edit.kind == "prompt"
            for (frame, obj_id), shape in edit.frames.items():
                if obj_id in out and (prompted or not any(out[obj_id].get(frame, ())[2:])):
                    out[obj_id][frame] = (place, shape, prompted, False)
            if edit.kind == "approve" and edit.detail["obj_id"] in out:
                mine = out[edit.detail["obj_id"]]
                for first, last in edit.detail["frames"]:
                    for frame in range(first, last + 1):
                        mine[frame] = (*mine[frame][:3], edit.detail["approved"])
        return out

    def approval(self, obj_id: int, first: int, last: int, approved: bool) -> list[list[int]]:
        """The frames that an approval of a span, or its taking back, changes, as ranges."""
        out: list[list[int]] = []
        for frame, version in sorted(self.versions()[obj_id].items()):
            if first <= frame <= last and version[3] != approved:
                if out and out[-1][1] == frame - 1:
                    out[-1][1] = frame
                else:
                    out.append([frame, frame])
        return out

    def results(self) -> dict[int, dict[int, Shape]]:
        """What is seen, by frame and object."""
        out: dict[int, dict[int, Shape]] = {}
        for obj_id, frames in self.versions().items():
            for frame, (_, shape, *_) in frames.items():
                out.setdefault(frame, {})[obj_id] = shape
        return out

    def newest(self) -> EditModel | None:
        return next((e for e in reversed(self.active) if e.kind != "rename"), None)

    def resumable(self) -> EditModel | None:
        """The propagation that can be gone on with."""
        newest = self.newest()
        last = next((e for e in reversed(self.edits) if e.run), None)
        # Only the last: one that was undone since counts too.
        return newest if newest and newest is last and newest.run.ended not in (None, "complete") else None

    def _searched(self) -> set[int]:
        """The frames on which words were asked for that are looked for still."""
        objects = self.objects()
        frames: dict[str, set[int]] = {}
        born: dict[str, list[int]] = {}
        for edit in self.active:
            if edit.kind == "reset":
                frames, born = {}, {}
            for obj_id, (_, label) in edit.born.items():
                born.setdefault(label, []).append(obj_id)
            if edit.kind == "prompt" and edit.detail["obj_id"] is None:
                for prompt in edit.detail["prompts"]:
                    if prompt["type"] == "text":
                        frames.setdefault(prompt["text"], set()).add(edit.detail["frame_index"])
        return {f for text, at in frames.items() if any(i in objects for i in born[text]) for f in at}

    # --- what changes them ---------------------------------------------------------------------------

    def append(self, edit: EditModel) -> EditModel:
        """A new edit; what could be redone is gone."""
        self.forget_undone()
        self.edits.append(edit)
        return edit

    def forget_undone(self) -> None:
        del self.edits[len(self.edits) - self.undone :]
        self.undone = 0

    # --- propagations --------------------------------------------------------------------------------

    def plan(self, direction: str, start: int | None, max_frames: int | None, obj_ids: Sequence[int] | None) -> Any:
        """The frames of a propagation, each with what its objects must be; empty where nothing joins."""
        versions = self.versions()
        chosen = list(obj_ids) if obj_ids is not None else list(versions)
        asked = self._searched() if obj_ids is None else set()
        if start is None:
            prompted = {f for i in chosen for f, v in versions[i].items() if v[2]} | asked
            if not prompted:
                return []
            start = min(prompted)
        count = max_frames or self.num_frames
        forward = list(range(start, min(start + count, self.num_frames)))
        last_prompt: dict[int, int] = {}
        for place, edit in enumerate(self.active):
            if edit.kind == "prompt":
                last_prompt.update(dict.fromkeys(edit.detail["obj_ids"], place))
        out: list[tuple[int, dict[int, Shape]]] = []
        if direction in ("forward", "both"):
            out += self._leg(forward, None, 1, chosen, versions, last_prompt, asked)
        if direction == "backward":
            out += self._leg(
                list(range(start, max(start - count, -1), -1)), None, -1, chosen, versions, last_prompt, asked
            )
        if direction == "both":
            backward = list(range(start - 1, max(start - count, -1), -1))
            out += self._leg(backward, start, -1, chosen, versions, last_prompt, asked)
        return out

    def _leg(
        self,
        frames: list[int],
        anchor: int | None,
        step: int,
        chosen: Iterable[int],
        versions: dict[int, dict[int, Version]],
        last_prompt: dict[int, int],
        asked: set[int],
    ) -> list[tuple[int, dict[int, Shape]]]:
        """One direction. An object joins on the first frame with a mask that is prompted or up to date."""
        seeds: dict[tuple[int, int], tuple[Shape, bool]] = {}
        joins = []
        order = frames if anchor is None else [anchor, *frames]
        for obj_id in chosen:
            approved = {frame for frame, version in versions[obj_id].items() if version[3]}
            for frame, (_, shape, prompted, _) in versions[obj_id].items():
                if prompted:
                    seeds[frame, obj_id] = (shape, True)
            for frame, following in pairwise(order):
                # From the last of a stretch of approved frames it is followed on.
                if frame in approved and following not in approved:
                    seeds[frame, obj_id] = (versions[obj_id][frame][1], True)
            for place, frame in enumerate(order):
                found = versions[obj_id].get(frame)
                if found and found[1][1] and (any(found[2:]) or found[0] > last_prompt.get(obj_id, -1)):
                    seeds.setdefault((frame, obj_id), (found[1], False))
                    joins.append(place)
                    break
        # Words join on the first frame that they were asked for on, whatever became of what they found there.
        joins += [place for place, frame in enumerate(order) if frame in asked][:1]
        if not joins:
            return []
        if min(joins) > (0 if anchor is None else 1):
            order, anchor = order[min(joins) :], None
        tracked: dict[int, Shape] = {}
        out = []
        for frame in order:
            for obj_id, (counts, _, _) in tracked.items():
                tracked[obj_id] = moved(counts, self.height, self.width, step)
            for obj_id in chosen:
                seed = seeds.get((frame, obj_id))
                if seed and (seed[1] or obj_id not in tracked):
                    tracked[obj_id] = seed[0]
            if frame != anchor:
                stands = {i: v[1] for i in tracked if (v := versions[i].get(frame)) and any(v[2:])}
                out.append((frame, tracked | stands))
        return out
