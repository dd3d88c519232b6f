"""Objects split and merged: which masks that makes, what is a person's word of it, and what follows by propagation."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from backend.domain import Box, MaskPrompt, Points, Text
from backend.errors import Conflict, InvalidInput, NotFound
from backend.masks import decode, encode
from backend.sessions import repair, wire
from backend.sessions.planning import PropagateRequest
from backend.sessions.session import Session
from tests.unit.sessions.test_service import CLICK, OTHER, done, prompt, propagate

BOTH = Points(((0.3, 0.5), (0.7, 0.5)), (1, 1))
LEFT = np.zeros((48, 64), np.bool_)
LEFT[:, :32] = True


@pytest.fixture
def session(service, video) -> Session:
    """One object that is two discs, followed from frame 3 to both ends."""
    session = service.start_session(video, "local")
    prompt(session, 3, BOTH)
    propagate(session)
    return session


def masks(session: Session, obj_id: int) -> dict[int, np.ndarray]:
    return {f: decode(v.result.rle) for f, v in session.results.versions(obj_id).items()}


def told(session: Session, obj_id: int) -> dict:
    return next(o for o in wire.status_out(session, 0.0, "")["objects"] if o["id"] == obj_id)


def test_a_split_on_one_frame_leaves_the_others_stale_and_both_parts_are_followed_from_there(session):
    whole = masks(session, 1)
    done(session.approve(1, 2, 4, True))
    split = done(session.split(1, 3, (OTHER,)))
    assert (split.obj_id, split.frames) == (2, ((3, 3),))
    parts = masks(session, 1)[3], masks(session, 2)[3]
    assert ((parts[0] | parts[1]) == whole[3]).all()
    assert not (parts[0] & parts[1]).any()
    assert parts[1][24, 44]
    assert told(session, 1)["approved"] == [[2, 2], [4, 4]]
    assert told(session, 1)["stale"] == [[0, 1], [5, 11]]
    assert told(session, 2)["prompts"] == [{"frame_index": 3, "kinds": ["point"]}]
    done(session.approve(1, None, None, False))
    propagate(session, start_frame_index=3)
    for frame, mask in masks(session, 1).items():
        assert ((mask | masks(session, 2)[frame]) == whole[frame]).all()
    assert not told(session, 1)["stale"]
    # A click starts from the part, not from the clicks that made both.
    again = prompt(session, 3, Points(((0.1, 0.1),), (1,)), obj_id=1).objects[0]
    assert not decode(again.rle)[24, 44]
    for _ in range(4):
        done(session.undo())
    done(session.undo())
    assert list(session.objects) == [1]
    assert all((mask == whole[f]).all() for f, mask in masks(session, 1).items())


def test_a_split_over_a_span_tells_the_parts_apart_on_every_frame_of_it(session):
    whole = masks(session, 1)
    stroke = MaskPrompt(encode(LEFT), "replace")
    split = done(session.split(1, 3, (stroke,), 1, 8))
    assert split.frames == ((1, 8),)
    left, right = masks(session, 2), masks(session, 1)
    assert list(left) == list(range(1, 9))
    for frame in range(1, 9):
        assert ((left[frame] | right[frame]) == whole[frame]).all()
        assert left[frame][23 + frame - 2, 19 + 2 * (frame - 3)]
        assert right[frame][23 + frame - 2, 44 + 2 * (frame - 3)]
    # What is worked out is up to date, and a propagation may do it over; on frame 3 it is a person's.
    assert told(session, 2)["stale"] == []
    assert told(session, 1)["stale"] == [[0, 0], [9, 11]]
    assert [f for f, v in session.results.versions(2).items() if session.results.is_prompted(f, v)] == [3]


@pytest.mark.parametrize(
    ("prompts", "code"),
    [
        ((BOTH,), "nothing_to_split"),
        ((MaskPrompt(encode(np.ones((48, 64), np.bool_))),), "nothing_to_split"),
        ((MaskPrompt(encode(np.zeros((48, 64), np.bool_))),), "nothing_to_split"),
        ((Points(((0.3, 0.5),), (0,)),), "invalid_prompt"),
        ((Text("thing"),), "invalid_prompt"),
        ((OTHER, Box((0.1, 0.1, 0.2, 0.2))), "invalid_prompt"),
        ((MaskPrompt(encode(LEFT[1:])),), "invalid_mask"),
        ((), "no_prompts"),
    ],
)
def test_what_means_no_part_is_refused_and_is_no_edit(session, prompts, code):
    with pytest.raises(InvalidInput) as caught:
        done(session.split(1, 3, prompts))
    assert caught.value.code == code
    assert len(session.log.edits) == 2


def test_an_object_in_one_piece_is_split_by_a_mask_and_refused_by_a_point(service, video):
    session = service.start_session(video, "local")
    prompt(session)
    with pytest.raises(InvalidInput, match="in one piece") as caught:
        done(session.split(1, 0, (CLICK,)))
    assert caught.value.code == "nothing_to_split"
    with pytest.raises(InvalidInput, match="no mask on frame 5"):
        done(session.split(1, 5, (CLICK,)))
    with pytest.raises(NotFound):
        done(session.split(2, 0, (CLICK,)))
    stripe = np.zeros((48, 64), np.bool_)
    stripe[:25] = True
    assert done(session.split(1, 0, (MaskPrompt(encode(stripe)),))).obj_id == 2


def test_what_is_split_off_is_not_what_words_found(service, video):
    session = service.start_session(video, "local")
    prompt(session, 0, Text("thing"), Points(((0.25, 0.5), (0.7, 0.5)), (1, 1)))
    done(session.split(1, 0, (OTHER,)))
    assert session.objects[2].label == "thing"
    assert [(c.text, c.found, c.removed) for c in session.log.view.concepts] == [("thing", (), ())]
    done(session.remove(2))
    assert session.log.view.concepts[0].removed == ()


def test_a_merge_gives_all_masks_and_the_other_is_gone(service, video):
    session = service.start_session(video, "local")
    prompt(session, 2)
    prompt(session, 6, OTHER)
    propagate(session, direction="forward", start_frame_index=2)
    one, other = masks(session, 1), masks(session, 2)
    done(session.approve(2, 6, 8, True))
    done(session.approve(1, 8, 9, True))
    merged = done(session.merge(1, 2))
    assert (merged.obj_id, merged.frames) == (2, ((6, 11),))
    assert list(session.objects) == [1]
    for frame, mask in masks(session, 1).items():
        assert (mask == (one[frame] | other.get(frame, False))).all()
    # Only where both were approved the whole is; frames that were not written are right as they were.
    assert told(session, 1)["approved"] == [[8, 8]]
    assert told(session, 1)["stale"] == []
    assert told(session, 1)["prompts"] == [
        {"frame_index": 2, "kinds": ["point"]},
        {"frame_index": 6, "kinds": ["mask"]},
    ]
    before = masks(session, 1)
    propagate(session, direction="forward", start_frame_index=2)
    after = masks(session, 1)
    assert all((after[f] == before[f]).all() for f in (2, 6, 8))
    done(session.undo())
    done(session.undo())
    assert list(session.objects) == [1, 2]
    assert told(session, 2)["approved"] == [[6, 8]]


def test_a_merge_on_a_span_moves_the_masks_and_both_stay(service, video):
    session = service.start_session(video, "local")
    prompt(session, 0)
    prompt(session, 0, OTHER)
    propagate(session)
    one, other = masks(session, 1), masks(session, 2)
    merged = done(session.merge(1, 2, 5))
    assert (merged.obj_id, merged.frames) == (None, ((5, 11),))
    for frame in range(12):
        later = frame >= 5
        assert (masks(session, 1)[frame] == (one[frame] | other[frame] if later else one[frame])).all()
        assert (masks(session, 2)[frame] == (other[frame] & (not later))).all()
    with pytest.raises(InvalidInput) as caught:
        done(session.merge(1, 2, 5, 7))
    assert caught.value.code == "nothing_to_merge"
    with pytest.raises(InvalidInput):
        session.merge(1, 1)
    with pytest.raises(NotFound):
        done(session.merge(1, 3))


def test_what_was_out_of_date_before_a_merge_is_so_afterwards(session):
    prompt(session, 0, CLICK)
    propagate(session, direction="forward", start_frame_index=0, obj_ids=(2,))
    prompt(session, 6, CLICK, obj_id=1)
    assert told(session, 1)["stale"] == [[0, 2], [4, 5], [7, 11]]
    done(session.merge(1, 2))
    # On frame 0 it is a person's word now.
    assert told(session, 1)["stale"] == [[1, 2], [4, 5], [7, 11]]


def test_nothing_is_repaired_while_a_propagation_goes_on(session):
    with session.lock:
        session.propagate(PropagateRequest())
        for ask in (
            lambda: session.approve(1, None, None, True),
            lambda: session.split(1, 3, (OTHER,)),
            lambda: session.merge(1, 2),
        ):
            with pytest.raises(Conflict) as caught:
                ask()
            assert caught.value.code == "session_busy"


def test_a_split_is_worked_out_beside_everything_else(session, service, monkeypatch):
    free = threading.Event()
    honest = repair.split

    def slow(*asked):
        assert free.wait(30)
        return honest(*asked)

    monkeypatch.setattr(repair, "split", slow)
    pending = session.split(1, 3, (OTHER,))
    waiting = session.prompt(0, (CLICK,), None)
    assert session.status == "processing"
    assert done(session.rename(1, "Ball", None, None)).name == "Ball"
    assert not pending.done()
    assert not waiting.done()
    free.set()
    assert done(pending).obj_id == 2
    assert done(waiting).frame.objects[0].obj_id == 3
    free.clear()
    left = session.split(2, 3, (MaskPrompt(encode(LEFT)),))
    service.close(session.id, "local")
    free.set()
    with pytest.raises(Conflict, match="closed"):
        done(left)
