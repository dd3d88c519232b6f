"""Sessions are let in by what they will hold, before the memory is gone."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from backend.domain import Capabilities, EngineInfo, Text, Video
from backend.engines import memory
from backend.errors import TooLarge, TooMany
from backend.sessions import budget
from backend.sessions.budget import GPU_SHARE, MACHINE_SHARE, budget_bytes
from backend.sessions.capacity import Experience, least_bytes
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.session import Session
from backend.workers.pool import SlotStatus
from tests.clips import write_clip
from tests.unit.workers.desk import DEADLINE, after_frames, begin, frames_of, order, prompt, session_on

SLOT = SlotStatus("ready", "Stand-in", "CPU", (), "", None, None, 0, 0, 1, 0.0)


def holding(service, clip, megabytes: int) -> Session:
    """A session whose engine says that it holds so much."""
    session = session_on(service, clip)
    prompt(session, 0)
    session.prompt(0, (Text(f"#claim-{megabytes}"),), None).result(DEADLINE)
    return session


def test_the_longest_idle_gives_way_when_the_next_would_not_fit(start, clip):
    service, _ = start(engine_memory_mb=100)
    sessions = [holding(service, clip, 40) for _ in range(3)]
    assert [s.status for s in sessions] == ["parked", "ready", "ready"]
    prompt(sessions[0], 0, obj_id=1)
    assert [s.status for s in sessions] == ["ready", "parked", "ready"]


def test_without_a_budget_only_the_places_count(start, clip):
    service, _ = start(engine_memory_mb=1_000_000)
    assert [s.status for s in [holding(service, clip, 40) for _ in range(3)]] == ["ready"] * 3


def test_who_comes_when_the_memory_is_at_work_is_told_to_come_back(start, clip):
    service, _ = start(engine_memory_mb=100, step_seconds=0.1)
    sessions = [holding(service, clip, 40) for _ in range(2)]
    runs = [begin(session) for session in sessions]
    with pytest.raises(TooMany) as caught:
        session_on(service, clip)
    assert caught.value.retry_after > 0
    assert caught.value.code == "too_many_sessions"
    assert len(service.list_sessions(ME)) == 2
    assert [frames_of(s, run) for s, run in zip(sessions, runs, strict=True)] == [list(range(12))] * 2
    assert prompt(session_on(service, clip), 0).objects


def test_one_that_can_never_fit_is_refused_for_good(start, tmp_path: Path, clip: Path):
    service, _ = start(engine_memory_mb=1)
    # While no engine is loaded, nobody knows.
    prompt(session_on(service, clip), 0)
    video = service.upload(write_clip(tmp_path / "large.mp4", 2, 1280, 800), "large.mp4", ME)
    with pytest.raises(TooLarge) as caught:
        service.start_session(video, ME)
    assert caught.value.code == "session_too_large"
    assert "1280 × 800" in caught.value.sentence
    assert len(service.list_sessions(ME)) == 1


def test_one_that_holds_more_than_there_is_has_a_worker_to_itself(start, clip):
    service, _ = start(engine_memory_mb=100)
    large = holding(service, clip, 150)
    second = session_on(service, clip)
    assert [large.status, second.status] == ["parked", "ready"]
    prompt(large, 0, obj_id=1)
    assert [large.status, second.status] == ["ready", "parked"]


def test_each_worker_has_a_budget_of_its_own(start, clip):
    service, pool = start(engine_memory_mb=100, workers=2)
    sessions = [holding(service, clip, 60) for _ in range(2)]
    assert [pool.place_of(s.id) for s in sessions] == [0, 1]
    third = session_on(service, clip)
    assert [s.status for s in (*sessions, third)] == ["parked", "ready", "ready"]
    assert pool.place_of(third.id) == 0


def test_a_run_that_lost_its_worker_keeps_its_place(start, clip):
    service, pool = start(engine_memory_mb=100, step_seconds=0.1)
    session = holding(service, clip, 80)
    order(session, "#claim-80")
    run = begin(session)
    assert after_frames(session, run, 3).wait(DEADLINE)
    os.kill(pool.status()[0].pid, signal.SIGKILL)
    with pytest.raises(TooMany):
        session_on(service, clip)
    assert frames_of(session, run) == list(range(12))
    assert run.state == "complete"


def test_what_sessions_held_says_what_the_next_will_hold():
    experience = Experience()
    assert experience.expect(1000) == 0
    experience.learn(1000, 400)
    assert experience.expect(1000) == experience.expect(9000) == 400
    assert experience.expect(500) == 200
    experience.learn(500, 300)
    assert experience.expect(500) == 300
    for size in range(2000, 2200):
        experience.learn(size, 1)
    assert experience.expect(1000) == 400


def test_an_engine_says_the_least_that_a_video_takes():
    video = Video("v", Path("v"), "v", 100, 50, Fraction(1), 1, 1.0)
    info = EngineInfo("x", "X", "CPU", "none", Capabilities(), bytes_per_pixel=3.0)
    assert least_bytes(info, video) == 15_000
    assert least_bytes(None, video) == 0


def test_a_budget_is_set_or_follows_the_device(monkeypatch: pytest.MonkeyPatch):
    on_gpu = replace(SLOT, gpus=(0,), free_mb=10_000.0)
    assert budget_bytes([SLOT, on_gpu], 1, 700) == 700_000_000
    assert budget_bytes([SLOT, on_gpu], 1, 0) == int(10_000 * GPU_SHARE * 1e6)
    monkeypatch.setattr(budget, "machine_mb", lambda: 16_000.0)
    assert budget_bytes([SLOT, on_gpu], 0, 0) == int(16_000 * MACHINE_SHARE * 1e6)
    assert budget_bytes([SLOT, SLOT], 0, 0) == int(8_000 * MACHINE_SHARE * 1e6)


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    whole = memory.machine_mb()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", (str(tmp_path / "none"), str(limit)))
    limit.write_text("50000000\n")
    assert memory.machine_mb() == 50.0
    limit.write_text("max\n")
    assert memory.machine_mb() >= whole > 50
