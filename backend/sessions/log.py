"""The edit log: what was done, what of it is undone, and what follows for the objects.

The edits are immutable. Undone ones stay at the end of the log until a new edit drops them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from backend.domain import (
    Action,
    ApproveAction,
    Edit,
    MaskPrompt,
    MergeAction,
    ObjectInfo,
    Points,
    Prompt,
    PromptAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    SplitAction,
    Stretches,
    Text,
)
from backend.errors import Conflict
from backend.sessions.store import Append, Change, Drop, Records, Undone
from backend.sessions.stretches import covers, minus, union


@dataclass(frozen=True, slots=True)
class Concept:
    """Words that were searched for: where, what they found, and what became of it.

    `found` are the objects that there still are and that no click, box or stroke has touched;
    `removed` those that people took away.
    """

    text: str
    frames: tuple[int, ...]
    found: tuple[int, ...]
    removed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What the active edits amount to; made anew after each change of the log.

    `active` are the seqs of the edits that are not undone; `words` those of them that a person
    said a mask with, and on which frames (a prompt, a split, a merge of prompted masks);
    `last_word` the newest such edit of each object; `outdated` the merges of masks that were stale,
    and on which frames; `approved` the frames that are approved of each object; `concepts` the
    words that are still looked for: those that found nothing yet, and those of whose finds one is
    left.
    """

    active: frozenset[int]
    objects: dict[int, ObjectInfo]
    concepts: tuple[Concept, ...]
    words: dict[int, Stretches] = field(default_factory=dict)
    last_word: dict[int, int] = field(default_factory=dict)
    outdated: dict[int, Stretches] = field(default_factory=dict)
    approved: dict[int, Stretches] = field(default_factory=dict)


class EditLog:
    """A session's log over its records. Not thread-safe: the session's lock guards it.

    What would change it is worked out here, and takes effect when the changes are applied to the
    records; `changed` then has to be called.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._view: View | None = None

    @property
    def edits(self) -> Sequence[Edit]:
        """All edits, oldest first; the undone ones are the last."""
        return self._records.edits()

    @property
    def active(self) -> Sequence[Edit]:
        edits = self._records.edits()
        return edits[: len(edits) - self._undone]

    @property
    def _undone(self) -> int:
        return self._records.log.undone

    @property
    def can_undo(self) -> bool:
        return len(self.edits) > self._undone

    @property
    def can_redo(self) -> bool:
        return self._undone > 0

    def appended(self, action: Action) -> tuple[Edit, list[Change]]:
        """A new edit, and the changes that enter it; what could be redone is dropped for good."""
        changes: list[Change] = []
        if self._undone:
            gone = tuple(e.seq for e in self.edits[len(self.edits) - self._undone :])
            changes += [Drop(gone), Undone(0)]
        edit = Edit(self._records.log.next_seq, datetime.now(UTC), action)
        return edit, [*changes, Append(edit)]

    def changed(self) -> None:
        """The records have changed."""
        self._view = None

    def undo(self) -> tuple[Edit, list[Change]]:
        """The newest active edit, and the changes that undo it.

        Raises:
            Conflict: there is none.
        """
        if not self.can_undo:
            raise Conflict("There is nothing to undo.", "nothing_to_undo")
        return self.active[-1], [Undone(self._undone + 1)]

    def redo(self) -> tuple[Edit, list[Change]]:
        """The edit that was undone last, and the changes that bring it back.

        Raises:
            Conflict: there is none.
        """
        if not self._undone:
            raise Conflict("There is nothing to redo.", "nothing_to_redo")
        return self.edits[len(self.edits) - self._undone], [Undone(self._undone - 1)]

    def newest(self) -> Edit | None:
        """The newest active edit that is more than a name."""
        return next((e for e in reversed(self.active) if not isinstance(e.action, RenameAction)), None)

    @property
    def view(self) -> View:
        if self._view is None:
            self._view = self._fold()
        return self._view

    def prompts_on(self, obj_id: int, frame_index: int) -> tuple[Prompt, ...]:
        """The active prompts that wrote this object on this frame, oldest first.

        A request that wrote several objects (boxes, a text) is left out: its items can't be told
        apart any more, and the mask they made is what the next prompt starts from. So are those
        before a split or merge of that mask.
        """
        out: list[Prompt] = []
        for edit in self.active:
            match edit.action:
                case PromptAction(at, prompts, _, obj_ids) if at == frame_index and obj_ids == (obj_id,):
                    out += prompts
                case SplitAction(one, _, frames=frames) if obj_id == one and covers(frames, frame_index):
                    out.clear()
                case MergeAction(one, other, frames) if obj_id in (one, other) and covers(frames, frame_index):
                    out.clear()
        return tuple(out)

    def _fold(self) -> View:
        active = self.active
        seqs = frozenset(e.seq for e in active)
        births = {obj_id: b for obj_id, b in sorted(self._records.births().items()) if b.seq in seqs}
        objects = {obj_id: b.info for obj_id, b in births.items()}
        view = View(seqs, objects, ())
        split_off: set[int] = set()
        searches: dict[str, tuple[str, list[int]]] = {}
        touched: set[int] = set()
        began = 0
        for edit in active:
            match edit.action:
                case RemoveAction(obj_id):
                    objects.pop(obj_id, None)
                case ResetAction():
                    for i in [i for i in objects if births[i].seq <= edit.seq]:
                        del objects[i]
                    searches, began = {}, edit.seq
                case RenameAction(obj_id, name, label, color) if obj_id in objects:
                    info = objects[obj_id]
                    objects[obj_id] = replace(
                        info,
                        name=info.name if name is None else name,
                        label=info.label if label is None else label,
                        color=info.color if color is None else color,
                    )
                case PromptAction() as action:
                    _word(view, edit.seq, action.obj_ids, ((action.frame_index, action.frame_index),))
                    if _touches(action):
                        touched.update(action.obj_ids)
                    for text in (p.text for p in action.prompts if isinstance(p, Text) and action.obj_id is None):
                        searches.setdefault(text.casefold(), (text, []))[1].append(action.frame_index)
                case ApproveAction(obj_id, frames, approved):
                    before = view.approved.get(obj_id, ())
                    view.approved[obj_id] = union(before, frames) if approved else minus(before, frames)
                case SplitAction(obj_id, new_obj_id, frame_index, _, frames):
                    _word(view, edit.seq, (obj_id, new_obj_id), ((frame_index, frame_index),))
                    view.approved[obj_id] = minus(view.approved.get(obj_id, ()), frames)
                    touched.update((obj_id, new_obj_id))
                    split_off.add(new_obj_id)
                case MergeAction(obj_id, other, frames, whole) as merge:
                    # No frame that it did not write gets stale by it: it is right where it was.
                    view.words[edit.seq] = merge.prompted
                    view.outdated[edit.seq] = merge.stale
                    for i in (obj_id, other):
                        view.approved[i] = minus(view.approved.get(i, ()), frames)
                    view.approved[obj_id] = union(view.approved[obj_id], merge.approved)
                    touched.update((obj_id, other))
                    if whole:
                        objects.pop(other, None)
        concepts = []
        for key, (text, asked_on) in searches.items():
            # An object's first label is the words that found it.
            mine = [i for i, b in births.items() if b.seq > began and b.info.label.casefold() == key]
            born = [i for i in mine if i not in split_off]
            if not born or any(i in objects for i in born):
                found = tuple(i for i in born if i in objects and i not in touched)
                concepts.append(Concept(text, tuple(asked_on), found, tuple(i for i in born if i not in objects)))
        return replace(view, concepts=tuple(concepts))


def _word(view: View, seq: int, obj_ids: Iterable[int], frames: Stretches) -> None:
    """A person said what the objects' masks are on some frames: what was approved there is something else now."""
    view.words[seq] = frames
    for obj_id in obj_ids:
        view.last_word[obj_id] = seq
        if obj_id in view.approved:
            view.approved[obj_id] = minus(view.approved[obj_id], frames)


def _touches(action: PromptAction) -> bool:
    """Whether a prompt says what one object's mask is, rather than naming a class of things."""
    texts = any(isinstance(p, Text) for p in action.prompts)
    return action.obj_id is not None or not texts or any(isinstance(p, Points | MaskPrompt) for p in action.prompts)
