"""Words outlive the frame they were typed on: a propagation goes on looking for them."""

from __future__ import annotations

import pytest

from backend.domain import Follow, Points, Text, Video
from backend.errors import InvalidInput
from backend.sessions.planning import PropagateRequest, first_span, rest_of
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.session import Session
from tests.unit.sessions.test_service import CLICK, OTHER, done, prompt, propagate, stored

LATE = Text("late thing")
"""What the stand-in finds on the fourth frame of a run, and not before."""


@pytest.fixture
def session(service: Service, video: Video) -> Session:
    return service.start_session(video, ME)


def follows(session: Session, **request) -> tuple[Follow, ...]:
    return first_span(session.book, PropagateRequest(**request), session.video.num_frames).span.follows


def test_words_that_found_nothing_are_kept_and_said_to_be(session):
    outcome = done(session.prompt(2, (LATE,), None))
    assert outcome.frame.objects == ()
    assert "Propagate to look for it" in outcome.message
    assert session.log.can_undo
    assert [(c.text, c.frames) for c in session.log.view.concepts] == [("late thing", (2,))]


def test_an_object_that_words_find_in_a_run_gets_an_id_and_their_name(session):
    prompt(session, 0)
    done(session.prompt(0, (LATE,), None))
    frames = propagate(session, direction="forward")
    assert [len(f.objects) for f in frames] == [1, 1, 1] + [2] * 9
    born = session.objects[2]
    assert (born.name, born.label) == ("Late thing", "late thing")


def test_a_run_starts_where_words_were_asked_for_when_there_is_nothing_else(session):
    done(session.prompt(2, (LATE,), None))
    frames = propagate(session, direction="forward")
    assert [f.frame_index for f in frames] == list(range(2, 12))
    assert [bool(f.objects) for f in frames] == [False] * 3 + [True] * 7


def test_undoing_the_run_takes_the_objects_that_were_born_in_it(session):
    done(session.prompt(0, (LATE,), None))
    propagate(session, direction="forward")
    before = stored(session)
    done(session.undo())
    assert session.objects == {}
    done(session.redo())
    assert stored(session) == before


def test_undoing_the_words_ends_the_search(session):
    prompt(session, 0)
    done(session.prompt(0, (LATE,), None))
    done(session.undo())
    assert follows(session) == ()
    propagate(session, direction="forward")
    assert list(session.objects) == [1]


def test_words_all_of_whose_finds_were_removed_are_not_looked_for(session):
    prompt(session, 0, Text("things"))
    done(session.remove(1))
    assert [f.obj_ids for f in follows(session)] == [(2,)]
    done(session.remove(2))
    assert session.log.view.concepts == ()


def test_removed_masks_go_with_the_span(session):
    prompt(session, 0, Text("things"))
    propagate(session, direction="forward")
    done(session.remove(1))
    span = first_span(session.book, PropagateRequest(direction="forward"), session.video.num_frames).span
    assert {(s.obj_id, s.frame_index) for s in span.removed} == {(1, f) for f in range(12)}


def test_a_find_that_was_clicked_is_an_object_of_its_own(session):
    prompt(session, 0, Text("things"))
    assert [f.obj_ids for f in follows(session)] == [(1, 2)]
    prompt(session, 3, Points(((0.3, 0.5),), (1,)), obj_id=1)
    assert [f.obj_ids for f in follows(session)] == [(2,)]


def test_chosen_objects_only_bring_no_new_ones(session):
    prompt(session, 0, Text("things"))
    prompt(session, 0, OTHER)
    assert follows(session, obj_ids=(2,)) == (Follow("things", (), (2,), find_new=False),)
    assert follows(session, obj_ids=(3,)) == ()


def test_the_same_words_twice_are_one_concept(session):
    prompt(session, 0, Text("things"))
    prompt(session, 4, Text("Things"))
    (concept,) = session.log.view.concepts
    assert concept.text == "things"
    assert concept.frames == (0, 4)


def test_a_reset_forgets_the_words(session):
    done(session.prompt(0, (LATE,), None))
    done(session.reset())
    assert session.log.view.concepts == ()
    with pytest.raises(InvalidInput, match="nothing to propagate"):
        done(session.propagate(PropagateRequest()))


def test_the_rest_of_a_run_knows_what_it_found_so_far(session):
    prompt(session, 0)
    done(session.prompt(0, (LATE,), None))
    propagate(session, direction="forward")
    run = session.run
    del run.frames[6:]
    rest = rest_of(session.book, run)
    assert rest.legs[0].frames == range(6, 12)
    assert rest.legs[0].anchor == 5
    assert rest.obj_ids == (1, 2)
    assert (5, 2) in {(s.frame_index, s.obj_id) for s in rest.seeds}
    assert rest.next_obj_id == 3


def test_words_beside_clicks_name_what_they_found_and_no_more(session):
    done(session.prompt(0, (Text("thing"), CLICK), None))
    labels = {i: info.label for i, info in session.objects.items()}
    assert "thing" in labels.values()
