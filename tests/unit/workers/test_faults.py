"""Engines at their worst, in real worker processes: one session suffers, the rest go on."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from backend.domain import MaskPrompt, Text
from backend.errors import EngineError, ServiceError
from backend.masks import encode
from tests.unit.workers.desk import (
    CLICK,
    DEADLINE,
    FORWARD,
    OTHER,
    after_frames,
    begin,
    frames_of,
    order,
    prompt,
    session_on,
)

ALL = list(range(12))
RUBBISH = ("shape", "dtype", "no-masks", "nan", "scores", "words-for-scores", "frame", "beyond", "backwards")
RUBBISH += ("no-index", "stranger", "twice", "enormous")


# --- one request fails, nothing else -----------------------------------------------------------


def test_a_run_that_turns_bad_ends_with_a_sentence_and_keeps_its_frames(start, clip):
    """One worker, so that whatever is not cleaned up shows in the next case."""
    service, pool = start()
    session, other = session_on(service, clip), session_on(service, clip)
    prompt(session, 0)
    prompt(other, 0)
    pid = pool.status()[0].pid
    codes = {
        **dict.fromkeys(RUBBISH, "engine_rubbish"),
        **dict.fromkeys(("repeat", "skip", "few"), "engine_rubbish"),
        **{"raise": "engine_failed", "engine-error": "out_of_memory", "unpicklable": "engine_error"},
        "out-of-memory": "out_of_memory",
    }
    for fault, code in codes.items():
        order(session, f"#at-4-{fault}")
        run = begin(session)
        kept = frames_of(session, run)
        assert (fault, run.state, run.code) == (fault, "error", code)
        assert run.error
        assert run.error.endswith(".")
        # A frame that came twice is right the first time; "few" ends after the frame before.
        assert (fault, kept) == (fault, [0, 1, 2, 3, 4] if fault == "repeat" else [0, 1, 2, 3])
        assert len(session.results.computed()) == len(kept)
        session.undo().result(DEADLINE)
        assert list(session.objects) == [1]
    assert frames_of(other, begin(other)) == ALL
    again = begin(session)
    assert frames_of(session, again) == ALL
    assert session.status == "ready"
    assert pool.status()[0].pid == pid, "none of this is worth another process"


def test_a_run_that_goes_on_after_its_end_keeps_exactly_its_frames(start, clip):
    service, _ = start()
    session = session_on(service, clip)
    prompt(session, 0)
    order(session, "#later-many")
    run = begin(session)
    assert frames_of(session, run) == ALL
    assert (run.state, run.code) == ("error", "engine_rubbish")


def test_a_prompt_that_gets_rubbish_changes_nothing(start, clip):
    service, pool = start()
    session, other = session_on(service, clip), session_on(service, clip)
    prompt(session, 0)
    before, pid = session.results.frame(0), pool.status()[0].pid
    for fault in (*RUBBISH, "nothing", "raise", "unpicklable", "out-of-memory"):
        with pytest.raises(EngineError) as caught:
            session.prompt(0, (Text(f"#{fault}"), OTHER), None).result(DEADLINE)
        assert caught.value.sentence.endswith(".")
        assert session.results.frame(0) == before, fault
        assert list(session.objects) == [1]
    for claim in ("#claim-much", "#claim--5"):
        with pytest.raises(EngineError, match="memory"):
            session.prompt(0, (Text(claim),), None).result(DEADLINE)
        assert isinstance(session.memory_bytes, int)
        order(session, "#claim-5")
    assert session.memory_bytes == 5_000_000
    assert prompt(session, 0, OTHER, obj_id=1).objects
    assert prompt(other, 0).objects
    assert pool.status()[0].pid == pid


# --- the process ends --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["crash", "kill", "exit"])
def test_a_run_whose_process_ends_once_goes_on_where_it_was_and_so_do_the_others(start, clip, fault):
    service, pool = start(step_seconds=0.02, workers=2)
    session, far, near = (session_on(service, clip) for _ in range(3))
    for one in (session, far, near):
        prompt(one, 0)
    assert [slot.sessions for slot in pool.status()] == [2, 1], "the first and the third share a worker"
    pids = [slot.pid for slot in pool.status()]
    order(session, f"#at-4-{fault}")
    runs = [begin(one) for one in (session, far, near)]
    assert [frames_of(one, run) for one, run in zip((session, far, near), runs, strict=True)] == [ALL, ALL, ALL]
    assert [run.state for run in runs] == ["complete"] * 3
    now = [slot.pid for slot in pool.status()]
    assert now[0] != pids[0]
    assert now[1] == pids[1], "the other worker never noticed"


def test_a_run_that_kills_its_worker_each_time_is_given_up_and_the_others_end_well(start, clip):
    service, _ = start(step_seconds=0.02)
    bad, good, late = (session_on(service, clip) for _ in range(3))
    for one in (bad, good, late):
        prompt(one, 0)
    order(bad, "#always-crash")
    runs = [begin(one) for one in (good, bad, late)]
    waiting = [prompt(late, 0, obj_id=1)] if late.status == "ready" else []
    assert [frames_of(good, runs[0]), frames_of(late, runs[2])] == [ALL, ALL]
    assert frames_of(bad, runs[1]) == []
    assert (runs[1].state, runs[1].code) == ("error", "worker_lost")
    assert "again and again" in str(runs[1].error)
    assert [runs[0].state, runs[2].state] == ["complete", "complete"]
    assert all(frame.objects for frame in waiting)
    # The session itself is as it was: without the words that do it, it runs.
    bad.undo().result(DEADLINE)
    assert frames_of(bad, begin(bad)) == ALL


def test_a_worker_stopped_in_the_middle_of_much_to_read_holds_up_nobody_else(start, clip):
    service, pool = start(workers=2, silence_seconds=3)
    stuck, free = session_on(service, clip), session_on(service, clip)
    prompt(stuck, 0)
    prompt(free, 0)
    os.kill(pool.status()[0].pid, signal.SIGSTOP)
    # Far more than a pipe holds: strokes of noise, whose codes are long.
    noise = [MaskPrompt(encode(np.random.default_rng(i).random((48, 64)) > 0.5), "add") for i in range(300)]
    sent, done = threading.Event(), []

    def ask() -> None:
        done.append(stuck.prompt(0, tuple(noise), 1))
        done.append(stuck.prompt(0, (CLICK,), 1))
        sent.set()

    threading.Thread(target=ask, daemon=True).start()
    assert sent.wait(DEADLINE), "who asks must not wait for a process that does not read"
    assert prompt(free, 0, OTHER, obj_id=1).objects
    assert frames_of(free, begin(free)) == ALL
    # The watchdog replaces it, and what was asked of it is answered by the next one.
    assert all(answer.result(DEADLINE).frame.objects for answer in done)


def test_a_worker_that_is_stopped_and_goes_on_in_time_loses_nothing(start, clip):
    service, pool = start(step_seconds=0.02)
    session = session_on(service, clip)
    prompt(session, 0)
    pid = pool.status()[0].pid
    run = begin(session)
    assert after_frames(session, run, 3).wait(DEADLINE)
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)
    assert frames_of(session, run) == ALL
    assert pool.status()[0].pid == pid


def test_a_worker_that_leaks_is_replaced_and_its_runs_go_on(start, clip):
    service, pool = start(step_seconds=0.3, memory_limit_mb=400)
    leaking, other = session_on(service, clip), session_on(service, clip)
    prompt(leaking, 0)
    prompt(other, 0)
    pid = pool.status()[0].pid
    order(leaking, "#later-leak")
    runs = [begin(leaking), begin(other)]
    assert [frames_of(leaking, runs[0]), frames_of(other, runs[1])] == [ALL, ALL]
    assert [run.state for run in runs] == ["complete", "complete"]
    assert pool.status()[0].pid != pid
    assert prompt(leaking, 0, OTHER, obj_id=1).objects


def test_a_worker_that_sends_what_nobody_can_read_is_replaced(start, clip):
    service, pool = start()
    session = session_on(service, clip)
    prompt(session, 0)
    pid = pool.status()[0].pid
    order(session, "#at-4-noise")
    assert frames_of(session, begin(session)) == ALL
    assert pool.status()[0].pid != pid


def test_a_callback_that_fails_does_not_silence_the_worker(start, clip):
    service, pool = start()
    session, other = session_on(service, clip), session_on(service, clip)
    prompt(session, 0)

    def broken(reply: object) -> None:
        raise ValueError("a mistake of ours")

    request = session.book.request(0, (CLICK,), None)
    pool.apply(session.id, request, broken)
    assert prompt(other, 0).objects


def test_a_closed_session_whose_engine_hangs_goes_and_its_neighbours_stay(start, clip):
    service, _ = start(silence_seconds=2)
    hanging, other = session_on(service, clip), session_on(service, clip)
    prompt(hanging, 0)
    prompt(other, 0)
    waiting = hanging.prompt(0, (Text("#hang"),), None)
    answer = other.prompt(0, (OTHER,), 1)
    hanging.close()
    with pytest.raises(ServiceError):
        waiting.result(DEADLINE)
    assert answer.result(DEADLINE).frame.objects
    assert other.propagate(FORWARD).result(DEADLINE)
