"""Sessions over a real worker process with the stand-in engine."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import numpy as np
import pytest

from backend.domain import Box, MaskPrompt, Points, Text, Video
from backend.errors import Conflict, InvalidInput, NotFound, TooMany, Unsupported
from backend.masks import area, decode, encode
from backend.sessions import wire
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import Run, follow
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.session import Session
from backend.workers.pool import Pool
from tests.conftest import make_settings

CLICK = Points(((0.3, 0.5),), (1,))
OTHER = Points(((0.7, 0.5),), (1,))


def done(future: Future):
    return future.result(timeout=30)


def prompt(session: Session, frame: int = 0, *prompts, obj_id: int | None = None):
    return done(session.prompt(frame, prompts or (CLICK,), obj_id)).frame


async def _collect(session: Session, run: Run):
    return [frame async for _, frame in follow(session, run)]


def propagate(session: Session, **request):
    return asyncio.run(_collect(session, done(session.propagate(PropagateRequest(**request)))))


def stored(session: Session):
    return wire.results_out(session)["results"]


@pytest.fixture
def session(service: Service, video: Video) -> Session:
    return service.start_session(video, ME)


def test_a_click_makes_an_object_under_it(session):
    frame = prompt(session)
    (found,) = frame.objects
    mask = decode(found.rle)
    assert mask.shape == (48, 64)
    assert mask[24, 19]
    assert found.obj_id == 1
    assert found.box == pytest.approx((16 / 64, 21 / 48, 7 / 64, 7 / 48))


def test_points_accumulate_on_an_object_and_frame_unless_replaced(session):
    first = prompt(session).objects[0]
    second = prompt(session, 0, OTHER, obj_id=1).objects[0]
    assert area(second.rle) == 2 * area(first.rle)
    minus = prompt(session, 0, Points(((0.3, 0.5),), (0,)), obj_id=1).objects[0]
    assert not decode(minus.rle)[24, 19]
    assert list(session.objects) == [1]


def test_prompts_of_all_kinds_leave_the_other_objects_alone(session):
    prompt(session)
    before = stored(session)["0"]["objects"][0]
    found = prompt(session, 0, Text("things"))
    assert [o.obj_id for o in found.objects] == [2, 3]
    prompt(session, 0, Box((0.1, 0.1, 0.2, 0.2)), Box((0.6, 0.6, 0.2, 0.2)))
    prompt(session, 0, MaskPrompt(encode(np.ones((48, 64), np.bool_))))
    assert list(session.objects) == [1, 2, 3, 4, 5, 6]
    assert stored(session)["0"]["objects"][0] == before


def test_text_with_points_refines_the_found_object_under_the_click(session):
    found = prompt(session, 0, Text("things"), Points(((0.25, 0.5), (0.4, 0.5)), (1, 1)))
    assert [o.obj_id for o in found.objects] == [1, 2]
    assert area(found.objects[0].rle) > area(found.objects[1].rle)


def test_text_that_finds_nothing_says_which_words_there_are_and_is_no_edit(session):
    outcome = done(session.prompt(0, (Text("unicorn"),), None))
    assert outcome.frame.objects == ()
    assert "unicorn" in outcome.message
    assert "thing" in outcome.message
    assert not session.log.can_undo


def test_strokes_add_and_subtract(session):
    prompt(session)
    stroke = np.zeros((48, 64), np.bool_)
    stroke[:10] = True
    added = decode(prompt(session, 0, MaskPrompt(encode(stroke), "add"), obj_id=1).objects[0].rle)
    assert added[:10].all()
    assert added[24, 19]
    stroke[5:] = True
    left = decode(prompt(session, 0, MaskPrompt(encode(stroke), "subtract"), obj_id=1).objects[0].rle)
    assert not left.any()


def test_propagation_goes_over_exactly_the_frames_asked_for(session):
    prompt(session, 5)
    frames = propagate(session, direction="both", max_frames=3)
    assert [f.frame_index for f in frames] == [5, 6, 7, 4, 3]
    moved = decode(frames[1].objects[0].rle)
    still = decode(frames[0].objects[0].rle)
    assert np.array_equal(moved[1:, 2:], still[:-1, :-2])
    assert [f.frame_index for f in propagate(session, direction="forward")] == list(range(5, 12))
    assert [f.frame_index for f in propagate(session)] == [*range(5, 12), 4, 3, 2, 1, 0]


def test_an_object_joins_where_it_is_first_prompted(session):
    prompt(session, 2)
    prompt(session, 6, OTHER)
    frames = propagate(session, direction="forward", start_frame_index=0)
    assert [f.frame_index for f in frames] == list(range(2, 12))
    assert [len(f.objects) for f in frames] == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_only_chosen_objects_are_propagated_and_the_rest_stays(session):
    prompt(session, 0)
    prompt(session, 0, OTHER)
    propagate(session, direction="forward")
    kept = {f: r["objects"][0] for f, r in stored(session).items()}
    prompt(session, 4, OTHER, obj_id=2)
    frames = propagate(session, direction="forward", start_frame_index=4, obj_ids=(2,))
    assert {o.obj_id for f in frames for o in f.objects} == {2}
    assert {f: r["objects"][0] for f, r in stored(session).items()} == kept


def test_a_refinement_makes_the_rest_stale_and_propagating_again_uses_it(session):
    prompt(session, 0)
    before = propagate(session, direction="forward")[8].objects[0]
    prompt(session, 4, OTHER, obj_id=1)
    assert wire.results_out(session)["stale"] == {"1": [[1, 3], [5, 11]]}
    after = propagate(session, direction="forward", start_frame_index=4)[4].objects[0]
    assert after.rle != before.rle
    assert wire.results_out(session)["stale"] == {"1": [[1, 3]]}


def test_undo_and_redo_equal_never_having_done_it(session):
    prompt(session, 0)
    propagate(session, direction="forward")
    before = stored(session)
    prompt(session, 4, OTHER, obj_id=1)
    propagate(session, direction="forward", start_frame_index=4)
    after = stored(session)
    assert after != before
    done(session.undo())
    done(session.undo())
    assert stored(session) == before
    # The engine goes on from what is seen now, not from what was undone.
    again = propagate(session, direction="forward", start_frame_index=0, max_frames=3)
    assert [f.objects[0].rle.counts for f in again] == [before[str(i)]["objects"][0]["mask"] for i in range(3)]
    done(session.undo())
    prompt(session, 4, OTHER, obj_id=1)
    propagate(session, direction="forward", start_frame_index=4)
    assert stored(session) == after


def test_undo_takes_away_what_was_born_and_its_id_is_not_used_again(session):
    prompt(session)
    done(session.undo())
    assert session.objects == {}
    assert prompt(session).objects[0].obj_id == 2


def test_remove_and_reset_can_be_undone(session):
    prompt(session)
    prompt(session, 0, OTHER)
    done(session.remove(1))
    assert list(session.objects) == [2]
    with pytest.raises(NotFound):
        done(session.remove(1))
    assert done(session.reset()) == 1
    assert stored(session) == {}
    done(session.undo())
    done(session.undo())
    assert list(session.objects) == [1, 2]
    assert len(stored(session)["0"]["objects"]) == 2


def test_rename(service, session):
    prompt(session)
    done(service.rename(session.id, ME, 1, name=" Ball ", label="toy", color="#112233"))
    assert wire.info_out(session.objects[1]) == {"id": 1, "name": "Ball", "label": "toy", "color": "#112233"}
    for bad in ({"name": " "}, {"color": "red"}, {"name": "x" * 101}):
        with pytest.raises(InvalidInput):
            service.rename(session.id, ME, 1, **bad)
    done(session.undo())
    assert session.objects[1].name == "Object 1"


def test_refusals_leave_the_session_as_it_was(service, session):
    refused = [
        (InvalidInput, lambda: session.prompt(12, (CLICK,), None)),
        (InvalidInput, lambda: session.prompt(-1, (CLICK,), None)),
        (InvalidInput, lambda: session.prompt(0, (), None)),
        (InvalidInput, lambda: session.prompt(0, (MaskPrompt(encode(np.ones((4, 4), np.bool_))),), None)),
        (NotFound, lambda: done(session.prompt(0, (CLICK,), 7))),
        (Unsupported, lambda: done(session.prompt(0, (Box((0, 0, 0.5, 0.5), exemplar=True),), None))),
        (InvalidInput, lambda: done(session.propagate(PropagateRequest()))),
        (NotFound, lambda: done(session.propagate(PropagateRequest(obj_ids=(3,))))),
        (Conflict, lambda: done(session.undo())),
        (NotFound, lambda: service.get("nope", ME)),
        (NotFound, lambda: service.get(session.id, "somebody else")),
        (Conflict, lambda: service.start_session(session.video, ME, session.id)),
        (InvalidInput, lambda: service.start_session(session.video, ME, "a/b")),
    ]
    for kind, call in refused:
        with pytest.raises(kind):
            call()
    assert stored(session) == {}
    assert session.status == "ready"
    assert prompt(session).objects


def test_a_closed_session_is_gone(service, session):
    prompt(session)
    assert service.close(session.id, ME) >= 0
    with pytest.raises(NotFound):
        service.get(session.id, ME)
    with pytest.raises(NotFound):
        service.close(session.id, ME)
    with pytest.raises(Conflict) as caught:
        session.prompt(0, (CLICK,), None)
    assert caught.value.code == "session_closed"


def test_two_interleaved_sessions_equal_two_sequential_ones(service, video):
    def work(sessions: list[Session]) -> list[dict]:
        for frame, click in ((0, CLICK), (3, OTHER)):
            for one in sessions:
                prompt(one, frame, click)
        runs = [done(one.propagate(PropagateRequest(direction="forward"))) for one in sessions]

        async def both():
            return await asyncio.gather(*(_collect(s, r) for s, r in zip(sessions, runs, strict=True)))

        asyncio.run(both())
        return [stored(one) for one in sessions]

    alone = work([service.start_session(video, ME)])
    assert work([service.start_session(video, ME), service.start_session(video, ME)]) == alone * 2


def test_prompts_wait_for_each_other_up_to_a_number(service, video):
    session = service.start_session(video, ME)
    with session.lock:
        # With the lock held no answer can be taken in, so all but the first have to wait.
        waiting = [session.prompt(0, (CLICK,), None) for _ in range(33)]
        with pytest.raises(TooMany):
            session.prompt(0, (CLICK,), None)
    assert [done(f).frame.objects[0].obj_id for f in waiting] == list(range(1, 34))


def test_a_full_service_parks_the_longest_idle_session_and_refuses_when_all_are_busy(tmp_path, clip, fake_pool: Pool):
    now = [0.0]
    service = Service(make_settings(tmp_path, max_concurrent_sessions=2), fake_pool, clock=lambda: now[0])
    video = service.upload(clip, "a.mp4", ME)
    sessions = []
    for _ in range(3):
        now[0] += 1
        sessions.append(service.start_session(video, ME))
        prompt(sessions[-1])
    assert [s.status for s in sessions] == ["parked", "ready", "ready"]
    assert fake_pool.status()[0].sessions >= 2
    # The next use of the parked one brings it back, with everything it had.
    now[0] += 1
    prompt(sessions[0], 0, OTHER, obj_id=1)
    assert [s.status for s in sessions] == ["ready", "parked", "ready"]
    with sessions[0].lock, sessions[2].lock:
        held = [s.prompt(0, (CLICK,), None) for s in (sessions[0], sessions[2])]
        with pytest.raises(TooMany) as caught:
            done(sessions[1].prompt(0, (CLICK,), None))
        assert caught.value.retry_after > 0
    for future in held:
        done(future)
    for session in sessions:
        service.close(session.id, ME)
    service.suspend()


def test_idle_sessions_are_parked_and_then_deleted_with_all_they_held(tmp_path, clip, fake_pool: Pool):
    now = [0.0]
    limits = {"session_timeout_seconds": 100, "session_retention_seconds": 1000}
    service = Service(make_settings(tmp_path, **limits), fake_pool, clock=lambda: now[0])
    before = fake_pool.status()[0].sessions
    video = service.upload(clip, "a.mp4", ME)
    passing = service.upload(clip, "b.mp4", ME, passing=True)
    idle, used = service.start_session(video, ME), service.start_session(video, ME)
    short = service.start_session(passing, ME, keep_video=False)
    prompt(idle)
    seen = stored(idle)
    now[0] = 90.0
    service.get(used.id, ME)
    assert service.thumbnail(idle.id, ME), "to be looked at in a list is no use"
    now[0] = 110.0
    assert service.sweep() == []
    assert [s.status for s in service.list_sessions(ME)] == ["parked", "ready", "parked"]
    assert fake_pool.status()[0].sessions == before + 1
    assert not idle.loaded
    # The next use brings it back with everything it had.
    assert stored(service.get(idle.id, ME)) == seen
    now[0] = 1095.0
    assert service.sweep() == [used.id, short.id]
    assert [s.id for s in service.list_sessions(ME)] == [idle.id]
    assert passing.path.exists() is False
    now[0] = 1111.0
    assert service.sweep() == [idle.id]
    assert video.path.exists()
    now[0] = 2112.0
    service.sweep()
    assert not video.path.exists()
    assert fake_pool.status()[0].sessions == before
    service.suspend()


def test_what_was_handed_out_is_deleted_after_a_while(tmp_path, fake_pool: Pool):
    now = [0.0]
    service = Service(make_settings(tmp_path), fake_pool, clock=lambda: now[0])
    (tmp_path / "out").mkdir()
    handed = tmp_path / "out" / "masks.json"
    handed.write_text("{}")
    service.exporting.discard_later(handed)
    now[0] = 3599.0
    service.sweep()
    assert handed.exists()
    now[0] = 3600.0
    service.sweep()
    assert not handed.parent.exists()
    service.suspend()
