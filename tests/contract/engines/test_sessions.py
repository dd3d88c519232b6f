"""What is stored of an engine's work: sessions over a real worker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backend.domain import MaskPrompt, Points, Prompt, Text
from backend.errors import Conflict, InvalidInput
from backend.masks import encode
from backend.sessions import wire
from backend.sessions.session import Session
from tests.contract.engines.cases import LATE_WORD, Case
from tests.contract.engines.desk import SAME
from tests.contract.engines.scene import DISC, FACE, FRAMES, click, inside
from tests.contract.engines.talk import (
    births,
    done,
    mask_of,
    prompt,
    propagate,
    propagate_and_cancel,
    propagate_together,
    stored,
)
from tests.contract.engines.test_prompts import box_of
from tests.unit.engines.clips import Clip, iou

LAST = FRAMES - 1
Start = Callable[[], Session]


def drawn(scene: Clip, obj_id: int, frame: int = 0) -> MaskPrompt:
    return MaskPrompt(encode(scene.masks[obj_id][frame]))


def give_up(session: Session) -> None:
    """Have the engine's state of a session freed."""
    # With the lock, what ended the last operation has ended too.
    with session.lock:
        assert session.park()


def test_prompts_of_all_kinds_one_after_the_other_keep_every_object(case: Case, session: Session, scene: Clip):
    asked: list[tuple[Prompt, ...]] = [(click(scene.masks[DISC][0]),), (box_of(scene, FACE),)]
    if case.can.text:
        asked = [(Text(case.word),), asked[0], (Text(case.other_word or case.word),), asked[1]]
    for prompts in asked:
        before = stored(session).get(0, {})
        wrote = prompt(session, 0, *prompts)
        now = stored(session)[0]
        assert set(before) | set(wrote) == set(now) == set(session.objects)
        assert all(now[i] == before[i] for i in before.keys() - set(wrote))
        # A find that is there already keeps its mask.
        assert all(now[i][0] == before[i][0] for i in before)
    everybody = set(session.objects)
    assert len(everybody) >= 2
    assert propagate(session, direction="forward") == list(range(FRAMES))
    for objects in stored(session).values():
        assert everybody <= set(objects)
    assert all(stored(session)[0][i] == now[i] for i in everybody)


@pytest.mark.parametrize("how", ["click", "mask"])
def test_a_correction_on_a_tracked_frame_changes_the_track_from_there(
    case: Case, session: Session, scene: Clip, how: str
):
    case.need("points" if how == "click" else "mask")
    prompt(session, 0, drawn(scene, FACE) if case.can.mask else click(scene.masks[FACE][0]))
    propagate(session, direction="forward")
    before = stored(session)
    if how == "mask":
        correction: Prompt = drawn(scene, DISC, 2)
    else:
        correction = Points((inside(mask_of(session, 2, 1)), inside(scene.masks[DISC][2])), (0, 1))
    prompt(session, 2, correction, obj_id=1)
    corrected = stored(session)[2]
    assert corrected != before[2]
    assert wire.results_out(session)["stale"] == {"1": [[1, 1], [3, LAST]]}
    propagate(session, direction="forward", start_frame_index=2)
    after = stored(session)
    assert after[2] == corrected
    assert after[0] == before[0]
    assert after[1] == before[1]
    changed = [f for f in range(3, FRAMES) if after[f][1][0] != before[f][1][0]]
    assert changed == list(range(3, FRAMES))
    if how == "mask":
        assert (mask_of(session, 2, 1) == scene.masks[DISC][2]).all()


def test_a_run_that_was_cancelled_and_gone_on_with_has_every_frame(session: Session, scene: Clip):
    prompt(session, 0, click(scene.masks[FACE][0]))
    count = propagate_and_cancel(session, 2, direction="forward")
    kept = stored(session)
    assert list(kept) == list(range(count))
    assert propagate(session, direction="forward", start_frame_index=count - 1) == list(range(count - 1, FRAMES))
    now = stored(session)
    assert list(now) == list(range(FRAMES))
    assert all(now[f] == kept[f] for f in range(count - 1))
    assert now[count - 1][1][0] == kept[count - 1][1][0]
    assert wire.results_out(session)["stale"] == {}


def test_words_whose_run_was_cancelled_go_on(case: Case, session: Session):
    case.need_following()
    prompt(session, 0, Text(LATE_WORD if case.stand_in else case.word))
    count = propagate_and_cancel(session, 2, direction="forward")
    known = set(session.objects)
    propagate(session, direction="forward")
    # The stand-in's find comes into the picture on frame 3.
    assert list(stored(session)) == list(range(3 if case.stand_in else 0, FRAMES))
    assert known <= set(session.objects)
    assert count < FRAMES


def test_what_was_removed_does_not_come_back(session: Session, scene: Clip):
    prompt(session, 0, click(scene.masks[FACE][0]))
    prompt(session, 0, click(scene.masks[DISC][0]))
    propagate(session, direction="forward")
    before = stored(session)
    done(session.remove(1))
    assert set(session.objects) == {2}
    propagate(session, direction="forward")
    assert set(session.objects) == {2}
    assert all(set(objects) == {2} for objects in stored(session).values())
    done(session.undo())
    done(session.undo())
    assert stored(session) == before


def test_a_find_that_was_removed_does_not_come_back_under_another_id(case: Case, session: Session):
    case.need_following()
    prompt(session, 0, Text(LATE_WORD if case.stand_in else case.word))
    propagate(session, direction="forward")
    known = set(session.objects)
    gone = min(known)
    where = [f for f in range(FRAMES) if mask_of(session, f, gone).any()]
    assert where
    done(session.remove(gone))
    if len(known) == 1:
        # Words of whose finds none is left are looked for no more.
        with pytest.raises(InvalidInput):
            propagate(session, direction="forward")
        return
    propagate(session, direction="forward")
    assert gone not in session.objects
    for obj_id, frame in births(session).items():
        if obj_id not in known:
            assert iou(mask_of(session, frame, obj_id), mask_of(session, frame, gone)) <= SAME


def test_one_of_two_finds_that_was_removed_right_away_stays_away(case: Case, session: Session, start: Start):
    case.need_following()
    if case.stand_in:
        pytest.skip("the stand-in follows nothing that it found on the prompted frame by its words")
    found = prompt(session, 0, Text(case.word))
    gone = max(found, key=lambda i: int(mask_of(session, 0, i).sum()))
    if len(found) == 1:
        pytest.skip("the word finds one thing only")
    done(session.remove(gone))
    propagate(session, direction="forward")
    assert gone not in session.objects
    for obj_id in session.objects:
        if obj_id not in found:
            assert iou(mask_of(session, 0, obj_id), mask_of(session, 0, gone)) <= SAME


def test_objects_that_words_find_on_the_way_are_called_by_them(case: Case, session: Session):
    case.need_following()
    word = LATE_WORD if case.stand_in else case.word
    prompt(session, 0, Text(word))
    propagate(session, direction="forward")
    assert session.objects
    assert {info.label for info in session.objects.values()} == {word}
    again = set(session.objects)
    propagate(session, direction="forward", obj_ids=tuple(again))
    assert set(session.objects) == again, "with chosen objects nobody new is looked for"


def test_after_a_reset_nothing_is_left_and_no_id_is_used_again(case: Case, session: Session, scene: Clip):
    prompt(session, 0, click(scene.masks[FACE][0]))
    if case.can.text:
        prompt(session, 0, Text(case.word))
    propagate(session, direction="forward")
    used = max(session.objects)
    done(session.reset())
    assert session.objects == {}
    assert stored(session) == {}
    with pytest.raises(InvalidInput):
        propagate(session, direction="forward")
    assert prompt(session, 1, click(scene.masks[DISC][1])) == (used + 1,)
    assert propagate(session, direction="forward") == list(range(1, FRAMES))
    assert set(session.objects) == {used + 1}


def test_a_session_may_be_closed_twice(session: Session, scene: Clip):
    prompt(session, 0, click(scene.masks[FACE][0]))
    assert session.close() >= 0
    assert session.close() == 0
    with pytest.raises(Conflict):
        session.prompt(0, (click(scene.masks[FACE][0]),), None)


# --- as if nothing had happened ------------------------------------------------------------------


@pytest.mark.parametrize("second", ["click", "refinement", "text", "propagation"])
def test_an_undone_edit_leaves_no_trace(case: Case, start: Start, scene: Clip, second: str):
    first = click(scene.masks[FACE][0])
    if second == "text":
        case.need("text")
    undone, never = start(), start()
    for one in (undone, never):
        prompt(one, 0, first)
    if second == "propagation":
        propagate(undone, direction="both", start_frame_index=0, max_frames=3)
    elif second == "text":
        prompt(undone, 0, Text(case.word))
    elif second == "click":
        prompt(undone, 0, click(scene.masks[DISC][0]))
    else:
        prompt(undone, 0, Points((inside(scene.masks[DISC][0]),), (1,)), obj_id=1)
    assert stored(undone) != stored(never)
    done(undone.undo())
    assert stored(undone) == stored(never)
    for one in (undone, never):
        propagate(one, direction="forward", max_frames=4)
    assert stored(undone) == stored(never)
    assert set(undone.objects) == set(never.objects) == {1}


def test_a_refined_find_that_was_undone_is_followed_by_its_words_again(case: Case, start: Start):
    case.need("text")
    undone, never = start(), start()
    for one in (undone, never):
        found = prompt(one, 0, Text(case.word))
    away = Points((inside(mask_of(undone, 0, found[0])), (0.95, 0.95)), (0, 1))
    prompt(undone, 0, away, obj_id=found[0])
    assert stored(undone) != stored(never)
    done(undone.undo())
    for one in (undone, never):
        propagate(one, direction="forward", max_frames=4)
    assert stored(undone) == stored(never)


def test_a_redone_edit_is_as_if_it_had_never_been_undone(case: Case, start: Start, scene: Clip):
    again, straight = start(), start()
    for one in (again, straight):
        prompt(one, 0, click(scene.masks[FACE][0]))
        prompt(one, 1, click(scene.masks[DISC][1]))
    done(again.undo())
    done(again.undo())
    assert stored(again) == {}
    done(again.redo())
    done(again.redo())
    for one in (again, straight):
        propagate(one, direction="forward", max_frames=4)
    assert stored(again) == stored(straight)
    assert len(stored(again)) == 4


def test_an_engine_s_state_that_was_given_up_is_built_again_unnoticed(case: Case, start: Start, scene: Clip):
    parked, kept = start(), start()
    for one in (parked, kept):
        prompt(one, 0, click(scene.masks[FACE][0]))
        if case.can.text:
            prompt(one, 0, Text(case.word))
        propagate(one, direction="forward", max_frames=3)
        if one is parked:
            give_up(parked)
        prompt(one, 3, click(scene.masks[DISC][3]))
        if one is parked:
            give_up(parked)
        propagate(one, direction="forward", start_frame_index=2)
    assert stored(parked) == stored(kept)
    assert list(stored(kept)) == list(range(FRAMES))


def test_two_sessions_at_the_same_time_are_each_as_if_alone(case: Case, start: Start, scene: Clip):
    def prepared(first: Prompt) -> Session:
        session = start()
        prompt(session, 0, first)
        prompt(session, 2, click(scene.masks[DISC][2]))
        return session

    asked: list[Prompt] = [click(scene.masks[FACE][0]), Text(case.word) if case.can.text else box_of(scene, FACE)]
    alone = [prepared(first) for first in asked]
    for one in alone:
        propagate(one, direction="forward", max_frames=4)
    together = [prepared(first) for first in asked]
    propagate_together(*together)
    assert [stored(one) for one in together] == [stored(one) for one in alone]
    assert stored(alone[0]) != stored(alone[1])


def test_prompts_on_several_frames_each_stand(case: Case, session: Session, scene: Clip):
    case.need("mask", "backward")
    prompt(session, 1, drawn(scene, FACE, 1))
    prompt(session, 4, drawn(scene, DISC, 4), obj_id=1)
    prompt(session, 3, drawn(scene, DISC, 3))
    frames = propagate(session, start_frame_index=3)
    assert sorted(frames) == list(range(FRAMES))
    for frame, shape, obj_id in ((1, FACE, 1), (4, DISC, 1), (3, DISC, 2)):
        assert np.array_equal(mask_of(session, frame, obj_id), scene.masks[shape][frame])
