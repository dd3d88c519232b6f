"""What a session is to its users, written down a second time and simply: a list of edits, folded anew each time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from backend.domain import BoolMask
from backend.masks import decode, encode
from backend.masks.rle import parse

FRAMES, HEIGHT, WIDTH = 12, 48, 64
Masks = dict[tuple[int, int], str]
"""A mask's counts by (frame, object)."""


@dataclass
class Entry:
    """An edit and what it did: masks it wrote, objects it brought, removed or named."""

    kind: Literal["prompt", "propagate", "remove", "rename", "reset", "approve", "split", "merge"]
    masks: Masks = field(default_factory=dict)
    born: tuple[int, ...] = ()
    touched: tuple[int, ...] = ()
    gone: int = 0
    name: str = ""
    approved: tuple[tuple[int, int], ...] = ()
    """(frame, object) pairs that it approved, or took the approval of."""
    takes_back: bool = False
    words: frozenset[tuple[int, int]] = frozenset()
    """Of its masks, by (frame, object), those that are a person's word."""
    outdated: frozenset[tuple[int, int]] = frozenset()
    """Of those that a merge wrote, the ones that were made of stale masks."""


@dataclass
class Seen:
    """What an entry list amounts to."""

    objects: dict[int, str]
    masks: Masks
    prompted: set[tuple[int, int]]
    stale: set[tuple[int, int]]
    approved: set[tuple[int, int]]

    @property
    def settled(self) -> set[tuple[int, int]]:
        """What no propagation overwrites."""
        return self.prompted | self.approved


@dataclass
class Model:
    done: list[Entry] = field(default_factory=list)
    undone: list[Entry] = field(default_factory=list)
    """The one that was undone last comes last."""
    next_id: int = 1

    def do(self, entry: Entry) -> None:
        self.done.append(entry)
        self.undone.clear()
        self.next_id = max([self.next_id, *(i + 1 for i in entry.born)])

    def see(self) -> Seen:
        objects: dict[int, str] = {}
        masks: Masks = {}
        by: dict[tuple[int, int], int] = {}
        prompt_of: dict[int, int] = {}
        approved: set[tuple[int, int]] = set()
        for number, entry in enumerate(self.done):
            objects |= {i: f"Object {i}" for i in entry.born}
            if entry.kind == "remove" or (entry.kind == "merge" and entry.gone):
                del objects[entry.gone]
            elif entry.kind == "reset":
                objects.clear()
            elif entry.kind == "rename":
                objects[entry.gone] = entry.name
            masks |= entry.masks
            by |= dict.fromkeys(entry.masks, number)
            prompt_of |= dict.fromkeys(entry.touched, number)
            if entry.kind == "merge":
                approved = approved - entry.masks.keys() | set(entry.approved)
            elif entry.kind == "approve":
                approved = approved - set(entry.approved) if entry.takes_back else approved | set(entry.approved)
            elif entry.kind in ("prompt", "split"):
                approved -= entry.masks.keys()
        here = {key for key in masks if key[1] in objects}
        prompted = {key for key in here if key in self.done[by[key]].words}
        approved &= here
        old = {key for key in here if by[key] < prompt_of.get(key[1], -1) or key in self.done[by[key]].outdated}
        stale = old - prompted - approved
        return Seen(dict(sorted(objects.items())), {k: masks[k] for k in sorted(here)}, prompted, stale, approved)

    def approval(self, obj_id: int, start: int | None, stop: int | None, approved: bool) -> Entry | None:
        """An approval of a span, or its taking back; None: it changes nothing."""
        seen = self.see()
        first, last = 0 if start is None else start, FRAMES - 1 if stop is None else stop
        mine = {key for key in seen.masks if key[1] == obj_id and first <= key[0] <= last}
        changed = mine - seen.approved if approved else mine & seen.approved
        return Entry("approve", approved=tuple(sorted(changed)), takes_back=not approved) if changed else None

    def splitting(self, obj_id: int, frame: int, drawn: BoolMask) -> Entry | None:
        """A split on one frame, by a mask; None: there is nothing to split."""
        key, new = (frame, obj_id), (frame, self.next_id)
        masks = self.see().masks
        if key not in masks:
            return None
        whole = mask_of(masks[key])
        part, rest = whole & drawn, whole & ~drawn
        if not part.any() or not rest.any():
            return None
        wrote = {key: encode(rest).counts, new: encode(part).counts}
        return Entry("split", wrote, (new[1],), (obj_id, new[1]), words=frozenset(wrote))

    def merging(self, obj_id: int, other: int, span: tuple[int, int] | None) -> Entry | None:
        """A merge; None: the other has nothing to give there."""
        seen = self.see()
        first, last = span or (0, FRAMES - 1)
        wrote: Masks = {}
        words, outdated, approved = set(), set(), set()
        for frame in range(first, last + 1):
            mine, theirs = (frame, obj_id), (frame, other)
            if theirs not in seen.masks:
                continue
            given = mask_of(seen.masks[theirs])
            had = mask_of(seen.masks[mine]) if mine in seen.masks else None
            here: Masks = {}
            if (had is None and (given.any() or span is None)) or (had is not None and (given & ~had).any()):
                here[mine] = encode(given if had is None else given | had).counts
            if span and given.any():
                here[theirs] = encode(np.zeros_like(given)).counts
            wrote |= here
            parts = {key for key in (mine, theirs) if key in seen.masks}
            if parts & seen.prompted:
                words |= here.keys()
            if parts & seen.stale:
                outdated |= here.keys()
            there = {key for key in parts if mask_of(seen.masks[key]).any()}
            if here and there and there <= seen.approved:
                approved.add(mine)
        if span and not wrote:
            return None
        gone = 0 if span else other
        return Entry(
            "merge",
            wrote,
            gone=gone,
            approved=tuple(approved),
            words=frozenset(words),
            outdated=frozenset(outdated),
        )

    def run(
        self, direction: str, start: int | None, most: int | None, chosen: Iterable[int] | None
    ) -> list[tuple[int, Masks]] | None:
        """The frames of a propagation in their order, and the masks it writes on each; None: there is nothing to do.

        The stand-in engine moves each mask two pixels right and one down a frame.
        """
        seen = self.see()
        ids = list(seen.objects if chosen is None else dict.fromkeys(chosen))
        if start is None:
            start = min((f for f, i in seen.prompted if i in ids), default=None)
        if start is None:
            start = min((f for f, i in seen.masks if i in ids), default=None)
        if start is None:
            return None
        last = FRAMES - 1 if most is None else min(start + most - 1, FRAMES - 1)
        first = 0 if most is None else max(start - most + 1, 0)
        forward, backward = list(range(start, last + 1)), list(range(start, first - 1, -1))
        legs = {"forward": [(forward, 0, 1)], "backward": [(backward, 0, -1)]}.get(
            direction, [(forward, 0, 1), (backward, 1, -1)]
        )
        out: list[tuple[int, Masks]] = []
        for frames, skip, step in legs:
            out += self._leg(seen, ids, frames, skip, step)
        return out or None

    def _leg(self, seen: Seen, ids: list[int], frames: list[int], skip: int, step: int) -> list[tuple[int, Masks]]:
        """`skip`: so many of the frames are there to start from only."""

        def fresh(frame: int, obj_id: int) -> bool:
            key = (frame, obj_id)
            return key in seen.masks and key not in seen.stale and bool(mask_of(seen.masks[key]).any())

        join = {i: next((f for f in frames if fresh(f, i)), None) for i in ids}
        met = [f for f in frames if f in join.values()]
        if not met:
            return []
        if met[0] != frames[0]:
            # Nothing joins on the frame to start from: the leg begins where the first object does.
            frames, skip = frames[frames.index(met[0]) :], 0
        tracked: dict[int, BoolMask] = {}
        out: list[tuple[int, Masks]] = []
        for place, frame in enumerate(frames):
            tracked = {i: shifted(mask, step) for i, mask in tracked.items()}
            for i in ids:
                key = (frame, i)
                if key in seen.settled or (i not in tracked and join[i] == frame):
                    tracked[i] = mask_of(seen.masks[key])
            if place >= skip:
                wrote = {(frame, i): encode(m).counts for i, m in tracked.items() if (frame, i) not in seen.settled}
                out.append((frame, wrote))
        return out


def mask_of(counts: str) -> BoolMask:
    return decode(parse(counts, HEIGHT, WIDTH))


def shifted(mask: BoolMask, step: int) -> BoolMask:
    moved = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    rows, columns = rows + step, columns + 2 * step
    inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
    moved[rows[inside], columns[inside]] = True
    return moved
