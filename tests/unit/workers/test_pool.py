"""Workers that end, hang, stop or never start: only what they were doing is affected."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.domain import Text
from backend.engines.registry import EngineSpec
from backend.errors import EngineError
from backend.sessions import wire
from backend.sessions.planning import PropagateRequest
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.unit.workers.desk import CLICK, OTHER, after_frames, frames_of, prompt, session_on


def test_a_killed_worker_is_replaced_and_the_run_goes_on_as_if_nothing_was(start, clip):
    service, pool = start(step_seconds=0.05)
    session = session_on(service, clip)
    prompt(session, 0)
    whole = frames_of(session, session.propagate(PropagateRequest(direction="forward")).result(30))
    expected = wire.results_out(session)["results"]
    session.undo().result(30)

    run = session.propagate(PropagateRequest(direction="forward")).result(30)
    assert after_frames(session, run, 4).wait(30)
    killed = pool.status()[0].pid
    os.kill(killed, signal.SIGKILL)
    assert frames_of(session, run) == whole
    assert run.state == "complete"
    assert wire.results_out(session)["results"] == expected
    assert pool.status()[0].pid != killed


def test_a_prompt_on_a_killed_worker_is_answered_by_the_next_one(start, clip):
    service, pool = start()
    session = session_on(service, clip)
    first = prompt(session, 0)
    os.kill(pool.status()[0].pid, signal.SIGSTOP)
    waiting = session.prompt(0, (OTHER,), 1)
    os.kill(pool.status()[0].pid, signal.SIGKILL)
    refined = waiting.result(30).frame
    assert refined.objects[0].obj_id == first.objects[0].obj_id
    assert refined.objects[0].box[2] > first.objects[0].box[2]


@pytest.mark.parametrize("fault", ["#crash", "#hang"])
def test_a_prompt_that_kills_its_worker_fails_alone(start, clip, fault):
    service, _ = start(silence_seconds=2)
    bad, good = session_on(service, clip), session_on(service, clip)
    prompt(bad, 0)
    prompt(good, 0)
    doomed = bad.prompt(0, (Text(fault),), None)
    with pytest.raises(EngineError) as caught:
        doomed.result(60)
    assert caught.value.code == "worker_lost"
    assert prompt(good, 0, OTHER, obj_id=1).objects
    assert prompt(bad, 0, OTHER, obj_id=1).objects
    assert list(bad.objects) == [1]


def test_a_stopped_worker_is_noticed_and_replaced(start, clip):
    service, pool = start(step_seconds=0.05, silence_seconds=2)
    session = session_on(service, clip)
    prompt(session, 0)
    run = session.propagate(PropagateRequest(direction="forward")).result(30)
    assert after_frames(session, run, 2).wait(30)
    os.kill(pool.status()[0].pid, signal.SIGSTOP)
    assert frames_of(session, run) == list(range(12))


def test_an_engine_that_raises_in_a_run_keeps_its_frames_and_says_why(start, clip):
    service, _ = start()
    session = session_on(service, clip)
    prompt(session, 0)
    session.prompt(0, (Text("#later-engine-error"),), None).result(30)
    run = session.propagate(PropagateRequest(direction="forward")).result(30)
    frames_of(session, run)
    assert (run.state, run.code) == ("error", "out_of_memory")
    assert session.status == "error"
    # The session goes on.
    again = session.propagate(PropagateRequest(direction="forward")).result(30)
    assert frames_of(session, again) == list(range(12))
    assert session.status == "ready"


def test_cancel_keeps_what_was_computed_and_the_next_run_loses_no_frame(start, clip):
    service, _ = start(step_seconds=0.05)
    session = session_on(service, clip)
    prompt(session, 0)
    run = session.propagate(PropagateRequest(direction="forward")).result(30)
    assert after_frames(session, run, 3).wait(30)
    session.cancel().result(30)
    assert run.state == "cancelled"
    kept = frames_of(session, run)
    assert 3 <= len(kept) < 12
    assert sorted(map(int, wire.results_out(session)["results"])) == kept
    session.cancel().result(30)
    logged = wire.log_out(session)["edits"][-1]
    assert logged["frames"] == [0, kept[-1]]
    assert (logged["frames_written"], logged["outcome"]) == (len(kept), "cancelled")
    rest = session.propagate(PropagateRequest(direction="forward", start_frame_index=kept[-1])).result(30)
    assert kept + frames_of(session, rest)[1:] == list(range(12))


def test_a_click_waits_for_one_step_at_most_while_others_propagate(start, clip):
    service, _ = start(step_seconds=0.2)
    busy = [session_on(service, clip) for _ in range(3)]
    for session in busy:
        prompt(session, 0)
    clicked = session_on(service, clip)
    prompt(clicked, 0)
    runs = [session.propagate(PropagateRequest(direction="forward")).result(30) for session in busy]
    assert after_frames(busy[0], runs[0], 1).wait(30)
    for _ in range(4):
        before = sum(run.done for run in runs)
        prompt(clicked, 0, OTHER, obj_id=1)
        # Frames are counted, not seconds: the machine may be busy.
        assert sum(run.done for run in runs) - before <= 2
    for session in busy:
        session.cancel().result(30)


def test_a_session_that_is_closed_ends_its_run(start, clip):
    service, pool = start(step_seconds=0.05)
    session = session_on(service, clip)
    prompt(session, 0)
    run = session.propagate(PropagateRequest(direction="forward")).result(30)
    assert after_frames(session, run, 1).wait(30)
    service.close(session.id, ME)
    assert run.state == "cancelled"
    other = session_on(service, clip)
    assert prompt(other, 0).objects
    assert pool.status()[0].sessions == 1


def test_an_engine_that_can_t_be_built_is_said_to_be_so(tmp_path, clip):
    pool = Pool([EngineSpec("nonsense", tmp_path)])
    service = Service(make_settings(tmp_path), pool)
    service.start()
    try:
        video = service.upload(clip, "a.mp4", ME)
        with pytest.raises(EngineError) as caught:
            service.start_session(video, ME).prompt(0, (CLICK,), None).result(30)
        assert caught.value.code == "unknown_engine"
    finally:
        service.stop()


def test_sessions_are_spread_over_workers(start, clip):
    service, pool = start(workers=2)
    for _ in range(4):
        prompt(session_on(service, clip), 0)
    assert [slot.sessions for slot in pool.status()] == [2, 2]


# --- engines that can't be loaded --------------------------------------------------------------


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[list[EngineSpec]], Service]]:
    """Make a service on workers with these engines."""
    made: list[Service] = []

    def make(specs: list[EngineSpec]) -> Service:
        made.append(Service(make_settings(tmp_path), Pool(specs)))
        made[-1].start()
        return made[-1]

    yield make
    for service in made:
        service.stop()


def unloadable(tmp_path: Path, fallback: EngineSpec | None) -> EngineSpec:
    return EngineSpec("transformers", tmp_path, checkpoint=str(tmp_path / "no-such-model"), fallback=fallback)


def test_who_waits_for_an_engine_that_cannot_be_loaded_is_answered_by_the_next(serve, tmp_path: Path, clip: Path):
    service = serve([unloadable(tmp_path, EngineSpec("fake", tmp_path))])
    session = session_on(service, clip)
    # Sent while the first engine is still loading.
    assert [o.obj_id for o in prompt(session, 0).objects] == [1]
    (slot,) = service.engines()
    assert (slot.title, slot.state, slot.error) == ("Stand-in", "ready", None)
    assert service.pool._slots[0].spec.reason.startswith("transformers can't be used here: ")


def test_without_another_engine_everybody_is_told_why(serve, tmp_path: Path, clip: Path):
    service = serve([unloadable(tmp_path, None)])
    session = session_on(service, clip)
    with pytest.raises(EngineError) as raised:
        prompt(session, 0)
    assert raised.value.code == "engine_unavailable"
    assert str(tmp_path) not in raised.value.sentence


def test_a_worker_that_fails_alone_is_not_replaced_by_a_lesser_engine(serve, tmp_path: Path, clip: Path):
    service = serve([unloadable(tmp_path, EngineSpec("lite", tmp_path)), EngineSpec("fake", tmp_path)])
    first = session_on(service, clip)
    assert [o.obj_id for o in prompt(first, 0).objects] == [1]
    assert [o.obj_id for o in prompt(session_on(service, clip), 0).objects] == [1]
    assert [slot.title for slot in service.engines()] == ["transformers", "Stand-in"]
