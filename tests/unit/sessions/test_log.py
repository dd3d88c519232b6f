"""The log, and what is seen through it."""

import pytest

from backend.domain import (
    ApproveAction,
    ObjectInfo,
    ObjectResult,
    Points,
    PromptAction,
    PropagateAction,
    RemoveAction,
    RenameAction,
    ResetAction,
    Rle,
)
from backend.errors import Conflict
from backend.sessions.log import EditLog
from backend.sessions.results import Results, to_ranges
from backend.sessions.store import Bear, Drop, Put, Records

CLICK = Points(((0.5, 0.5),), (1,))


class Book:
    """A log with results, written as a session would."""

    def __init__(self) -> None:
        self.records = Records()
        self.log = EditLog(self.records)
        self.results = Results(self.records, self.log)

    def append(self, action) -> int:
        edit, changes = self.log.appended(action)
        self._apply(changes)
        return edit.seq

    def undo(self) -> None:
        self._apply(self.log.undo()[1])

    def redo(self) -> None:
        self._apply(self.log.redo()[1])

    def drop(self, seq: int) -> None:
        self._apply([Drop((seq,))])

    def _apply(self, changes) -> None:
        self.records.apply(changes)
        self.log.changed()

    def prompt(self, frame: int, *ids: int, mark: str = "p") -> int:
        seq = self.append(PromptAction(frame, (CLICK,), None, ids))
        new = [i for i in ids if i not in self.records.births()]
        self._apply([Bear(seq, ObjectInfo(i, f"Object {i}", "", "#000000")) for i in new])
        self._put(seq, frame, ids, mark)
        return seq

    def propagate(self, first: int, last: int, *ids: int) -> int:
        seq = self.append(PropagateAction("r", "forward", first, (first, last), ids))
        for frame in range(first, last + 1):
            free = [
                i for i in ids if not ((v := self.results.visible(i, frame)) and self.results.is_settled(i, frame, v))
            ]
            self._put(seq, frame, free, "t")
        return seq

    def _put(self, seq: int, frame: int, ids, mark: str) -> None:
        results = [ObjectResult(i, 0.5, (0, 0, 1, 1), Rle(f"{mark}{seq}-{frame}-{i}", 1, 1)) for i in ids]
        self._apply([Put(seq, frame, tuple(results))])

    def seen(self) -> dict[tuple[int, int], str]:
        return {
            (obj_id, frame): version.result.rle.counts
            for obj_id in self.log.view.objects
            for frame, version in self.results.versions(obj_id).items()
        }

    def stale(self, obj_id: int) -> list[list[int]]:
        versions = self.results.versions(obj_id)
        return to_ranges(f for f, v in versions.items() if self.results.is_stale(obj_id, f, v))


def test_a_prompt_rewrites_its_frame_and_leaves_the_object_s_other_frames_stale():
    book = Book()
    book.prompt(2, 1)
    book.propagate(2, 6, 1)
    assert book.stale(1) == []
    book.prompt(4, 1, mark="fix")
    assert book.seen()[1, 4] == "fix3-4-1"
    # Frame 2 was prompted: a person made it, it does not go stale.
    assert book.stale(1) == [[3, 3], [5, 6]]
    book.propagate(4, 6, 1)
    assert book.stale(1) == [[3, 3]]
    assert book.seen()[1, 4] == "fix3-4-1"


def test_what_is_approved_is_not_stale_conditions_what_follows_and_ends_with_a_prompt():
    book = Book()
    book.prompt(2, 1)
    book.propagate(2, 9, 1)
    book.append(ApproveAction(1, ((4, 6),)))
    book.prompt(3, 1)
    assert book.stale(1) == [[7, 9]]
    # Of a stretch the last one on the way conditions what comes after it, in either direction.
    for order, last in ((range(3, 10), 6), (range(8, 2, -1), 4)):
        seeds, _ = book.results.seeds((1,), [list(order)])
        assert {s.frame_index: s.rle.counts for s in seeds if s.prompted}[last] == f"t2-{last}-1"
    before = book.seen()
    book.propagate(3, 9, 1)
    assert {key for key, mask in book.seen().items() if before[key] != mask} == {(1, 7), (1, 8), (1, 9)}
    book.undo()
    book.prompt(5, 1, mark="fix")
    assert book.log.view.approved[1] == ((4, 4), (6, 6))
    book.undo()
    assert book.log.view.approved[1] == ((4, 6),)
    book.append(ApproveAction(1, ((4, 5),), approved=False))
    assert book.stale(1) == [[4, 5], [7, 9]]


def test_undo_and_redo_of_everything_are_as_if_never_done_and_as_done():
    book = Book()
    states = [book.seen()]
    steps = [
        lambda: book.prompt(2, 1),
        lambda: book.prompt(3, 2),
        lambda: book.propagate(2, 6, 1, 2),
        lambda: book.append(RenameAction(1, name="Ball")),
        lambda: book.prompt(4, 1),
        lambda: book.append(RemoveAction(2)),
        lambda: book.append(ResetAction()),
        lambda: book.prompt(0, 3),
    ]
    names = [{}]
    for step in steps:
        step()
        states.append(book.seen())
        names.append({i: o.name for i, o in book.log.view.objects.items()})
    for at in range(len(steps), 0, -1):
        assert book.seen() == states[at]
        assert {i: o.name for i, o in book.log.view.objects.items()} == names[at]
        book.undo()
    assert book.seen() == {}
    for at in range(1, len(steps) + 1):
        book.redo()
        assert book.seen() == states[at]


def test_a_new_edit_drops_what_could_be_redone_and_its_seqs_are_not_used_again():
    book = Book()
    book.prompt(0, 1)
    dropped = book.prompt(0, 2)
    book.undo()
    assert book.log.can_redo
    assert book.prompt(0, 3) > dropped
    assert not book.log.can_redo
    assert [e.seq for e in book.log.edits] == [1, 3]
    assert 2 not in book.records.births()
    with pytest.raises(Conflict, match="nothing to redo"):
        book.redo()


def test_an_empty_log_has_nothing_to_undo():
    with pytest.raises(Conflict) as caught:
        Book().undo()
    assert caught.value.code == "nothing_to_undo"


def test_reset_clears_what_was_before_it_only():
    book = Book()
    book.prompt(0, 1)
    book.append(ResetAction())
    assert book.seen() == {}
    book.prompt(0, 2)
    assert set(book.log.view.objects) == {2}


def test_an_edit_that_came_to_nothing_is_taken_back_from_the_middle():
    book = Book()
    book.prompt(0, 1)
    seq = book.append(PropagateAction("r", "forward", 0, (0, 3), (1,)))
    book.append(RenameAction(1, name="Ball"))
    book.drop(seq)
    assert [e.kind for e in book.log.edits] == ["prompt", "rename"]
    assert book.log.view.objects[1].name == "Ball"


def test_a_run_is_seen_as_it_was_even_after_later_edits():
    book = Book()
    book.prompt(0, 1)
    run = book.propagate(0, 3, 1)
    book.prompt(2, 1, mark="later")
    assert book.results.frame(2, [1], as_of=run).objects[0].rle.counts == f"t{run}-2-1"
    assert book.results.frame(2).objects[0].rle.counts == "later3-2-1"


def test_seeds_are_prompted_masks_and_the_first_up_to_date_one_met():
    book = Book()
    book.prompt(2, 1)
    book.propagate(2, 9, 1)
    seeds, joins = book.results.seeds((1,), [list(range(5, 10))])
    assert [(s.frame_index, s.prompted) for s in seeds] == [(2, True), (5, False)]
    assert joins == {0: 0}
    book.prompt(7, 1)
    seeds, joins = book.results.seeds((1,), [list(range(5, 10))])
    # Frames 5 and 6 are out of date now: the object joins at the prompt.
    assert [(s.frame_index, s.prompted) for s in seeds] == [(2, True), (7, True)]
    assert joins == {0: 2}
    assert book.results.seeds((1,), [[0, 1]])[1] == {}


def test_ranges():
    assert to_ranges([]) == []
    assert to_ranges([5, 1, 2, 3, 8, 7]) == [[1, 3], [5, 5], [7, 8]]
