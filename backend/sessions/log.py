"""The edit log: what was done, what of it is undone, and what follows for the objects.

The edits are immutable. Undone ones stay at the end of the log until a new edit drops them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from backend.domain import (
    Action,
    Edit,
    MaskPrompt,
    ObjectInfo,
    Points,
    Prompt,
    PromptAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    Text,
)
from backend.errors import Conflict
from backend.sessions.store import Append, Change, Drop, Records, Undone


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

    `active` are the seqs of the edits that are not undone; `prompts` those of them that are
    prompts; `last_prompt` the newest active prompt edit of each object; `concepts` the words that
    are still looked for: those that found nothing yet, and those of whose finds one is left.
    """

    active: frozenset[int]
    prompts: frozenset[int]
    objects: dict[int, ObjectInfo]
    last_prompt: dict[int, int]
    concepts: tuple[Concept, ...]


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
        apart any more, and the mask they made is what the next prompt starts from.
        """
        out: list[Prompt] = []
        for edit in self.active:
            action = edit.action
            if isinstance(action, PromptAction) and action.frame_index == frame_index and action.obj_ids == (obj_id,):
                out += action.prompts
        return tuple(out)

    def _fold(self) -> View:
        active = self.active
        seqs = frozenset(e.seq for e in active)
        births = {obj_id: b for obj_id, b in sorted(self._records.births().items()) if b.seq in seqs}
        objects = {obj_id: b.info for obj_id, b in births.items()}
        last_prompt: dict[int, int] = {}
        prompts: set[int] = set()
        searches: dict[str, tuple[str, list[int]]] = {}
        touched: set[int] = set()
        began = 0
        for edit in active:
            match edit.action:
                case RemoveAction(obj_id):
                    objects.pop(obj_id, None)
                case ResetAction():
                    objects = {i: info for i, info in objects.items() if births[i].seq > edit.seq}
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
                    prompts.add(edit.seq)
                    last_prompt.update(dict.fromkeys(action.obj_ids, edit.seq))
                    if _touches(action):
                        touched.update(action.obj_ids)
                    for text in (p.text for p in action.prompts if isinstance(p, Text) and action.obj_id is None):
                        searches.setdefault(text.casefold(), (text, []))[1].append(action.frame_index)
        concepts = []
        for key, (text, frames) in searches.items():
            # An object's first label is the words that found it.
            born = [i for i, b in births.items() if b.seq > began and b.info.label.casefold() == key]
            if not born or any(i in objects for i in born):
                found = tuple(i for i in born if i in objects and i not in touched)
                concepts.append(Concept(text, tuple(frames), found, tuple(i for i in born if i not in objects)))
        return View(seqs, frozenset(prompts), objects, last_prompt, tuple(concepts))


def _touches(action: PromptAction) -> bool:
    """Whether a prompt says what one object's mask is, rather than naming a class of things."""
    texts = any(isinstance(p, Text) for p in action.prompts)
    return action.obj_id is not None or not texts or any(isinstance(p, Points | MaskPrompt) for p in action.prompts)
