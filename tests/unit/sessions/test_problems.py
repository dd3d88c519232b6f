"""Frames to look at: each trace that a tracker leaves when it goes wrong, and what looks like one and is none."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from backend.domain import Points
from backend.sessions import wire
from backend.sessions.problems import Track, find
from tests.unit.sessions.test_service import done, prompt, propagate

WIDTH, HEIGHT, COUNT = 1920, 1080, 60


def track(obj_id: int = 1, x: float = 0.3) -> Track:
    """An object that goes its way in the middle of the picture, and nothing is wrong with it."""
    steps = np.arange(COUNT)
    boxes = np.stack([x + steps * 0.004, np.full(COUNT, 0.4), np.full(COUNT, 0.1), np.full(COUNT, 0.2)], axis=1)
    scores = 0.85 + 0.1 * np.sin(steps)
    areas = 0.01 * (1 + 0.2 * np.sin(steps / 2))
    return Track(obj_id, steps.astype(np.int64), scores, areas, boxes, np.ones(COUNT, bool), np.zeros(COUNT, bool))


def found(*tracks: Track) -> list[tuple[int, int, str]]:
    return [(p.frame_index, p.obj_id, p.kind) for p in find(tracks, WIDTH, HEIGHT)]


def changed(place: slice, one: Track | None = None, **values: float) -> Track:
    one = one or track()
    for name, value in values.items():
        array = getattr(one, name).copy()
        array[place] = value
        one = replace(one, **{name: array})
    return one


def test_nothing_is_wrong_with_an_object_that_goes_its_way():
    assert found(track()) == []
    # Nor with one that leaves over the edge and comes back, however quick.
    out = track()
    boxes = out.boxes.copy()
    boxes[:30, 0] = 0.9 - (30 - np.arange(30)) * 0.03
    boxes[30:, 2:] = 0
    assert found(replace(out, boxes=boxes, areas=np.where(np.arange(COUNT) < 30, 0.01, 0.0))) == []


def test_each_trace_is_told_once_for_a_stretch():
    assert found(changed(slice(20, 24), scores=0.3)) == [(20, 1, "score_drop")]
    assert found(changed(slice(20, 24), areas=0.03)) == [(20, 1, "area_jump")]
    assert found(changed(slice(20, 40), areas=0.0)) == [(20, 1, "vanished")]
    # Too small to tell a jump from a pixel's turn.
    assert found(changed(slice(20, 24), changed(slice(None), areas=0.00001), areas=0.00003)) == []
    details = [p.detail for p in find([changed(slice(20, 24), scores=0.3, areas=0.03)], WIDTH, HEIGHT)]
    assert len(details) == 2
    assert all(d.endswith(".") for d in details)


def test_two_that_change_places_have_swapped():
    one, other = track(1), track(2, x=0.6)
    mine, theirs = one.boxes.copy(), other.boxes.copy()
    mine[30:], theirs[30:] = other.boxes[30:], one.boxes[30:]
    swapped = replace(one, boxes=mine), replace(other, boxes=theirs)
    assert found(*swapped) == [(30, 1, "swap"), (30, 2, "swap")]
    # Stored on other frames than the other one, it is compared where both are.
    shorter = [replace(swapped[1], **{n: getattr(swapped[1], n)[5:] for n in swapped[1].__slots__ if n != "obj_id"})]
    assert found(swapped[0], *shorter) == [(30, 1, "swap"), (30, 2, "swap")]
    judged = one.judged.copy()
    judged[30] = False
    assert found(replace(swapped[0], judged=judged), swapped[1]) == [(30, 2, "swap")]


@pytest.mark.parametrize("what", ["scores", "areas"])
def test_what_a_person_made_or_approved_is_none(what):
    bad = changed(slice(20, 24), **{what: 0.05})
    assert found(bad)
    judged = bad.judged.copy()
    judged[20:24] = False
    # A mask that comes back to what it was is another jump, unless that is approved as well.
    judged[24] = False
    assert found(replace(bad, judged=judged)) == []


def test_what_is_not_stored_or_of_another_time_tells_nothing():
    jump = changed(slice(20, None), areas=0.03)
    stale = jump.stale.copy()
    stale[20:] = True
    assert found(replace(jump, stale=stale)) == []
    assert found(replace(jump, frames=np.where(jump.frames >= 20, jump.frames + 5, jump.frames))) == []


def test_ten_objects_over_ten_thousand_frames_are_cheap():
    count = 10_000
    many = []
    for obj_id in range(1, 11):
        one = track(obj_id)
        longer = {n: np.resize(getattr(one, n), (count, *getattr(one, n).shape[1:])) for n in one.__slots__[2:]}
        many.append(Track(obj_id, np.arange(count), **longer))
    began = time.process_time()
    assert find(many, WIDTH, HEIGHT) == []
    assert time.process_time() - began < 2


def test_a_session_s_problems_end_where_they_are_approved(service, video):
    session = service.start_session(video, "local")
    prompt(session, 0, Points(((0.2, 0.5),), (1,)))
    propagate(session, direction="forward", start_frame_index=0)
    assert wire.problems_out(session) == {"problems": [], "total": 0}
    done(session.approve(1, 0, 2, True))
    # Three times as large, followed back to where the small one is approved.
    prompt(session, 5, Points(((0.5, 0.2), (0.6, 0.3), (0.4, 0.7)), (1, 1, 1), replace=True), obj_id=1)
    propagate(session, direction="backward", start_frame_index=5)
    told = wire.problems_out(session)
    assert [(p["frame_index"], p["obj_id"], p["kind"]) for p in told["problems"]] == [(3, 1, "area_jump")]
    assert wire.problems_out(session, 1) == told
    done(session.approve(1, 3, 3, True))
    assert wire.problems_out(session)["total"] == 0
