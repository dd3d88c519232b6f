"""The load driver in small: nothing lost, doubled or out of order; places, parking and queue hold.

How long things take is for `python -m benchmarks.load`: here the machine is busy with other tests.
"""

from __future__ import annotations

import httpx
import pytest

from benchmarks.load.plan import Plan
from benchmarks.load.run import run
from tests.report import record


@pytest.mark.slow
def test_many_sessions_at_once_lose_nothing_and_keep_to_the_limits():
    report = run(Plan(sessions=8, workers=2, step_ms=15, seconds=5, quiet_seconds=1, frames=24))
    assert report.tally.mistakes == []
    assert report.tally.runs >= 8
    assert report.tally.followers > report.tally.runs
    assert report.tally.refused == 0
    assert report.loaded.values
    # Of the engine's steps a click may wait for, far more than it does: this only tells of one that waits for runs.
    assert report.waits.at(0.5) < report.plan.step_ms * report.plan.frames
    for memory in report.memory:
        first, last = memory.ends
        assert last < first + 60, f"{memory.name} grows"


def test_how_late_the_event_loop_is_is_in_the_metrics(http: httpx.Client):
    text = http.get("/metrics").text
    assert 'sam3_event_loop_lag_seconds_bucket{le="0.05"}' in text
    for name in ("sam3_event_loop_lag_max_seconds", "sam3_event_loop_blocked_max_seconds"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert float(line.split()[1]) >= 0


@pytest.mark.long
def test_the_load_of_the_contract():
    report = run(Plan(sessions=50, workers=4, step_ms=33, seconds=1800, frames=60))
    print("\n".join(report.lines()))
    step = report.plan.step_ms
    record(
        "load_of_50_sessions_on_4_workers",
        seconds=report.plan.seconds,
        frames_streamed=report.tally.frames,
        mistakes=len(report.tally.mistakes),
        click_wait_in_steps_p95=round(report.waits.at(0.95) / step, 2),
        event_loop_late_ms_p95=round(report.late.at(0.95), 1),
        event_loop_late_ms_most=round(report.late.at(1.0), 1),
        **{f"{m.name.replace(' ', '_')}_mb_a_minute": round(m.slope, 2) for m in report.memory},
    )
    assert report.tally.mistakes == []
    for memory in report.memory:
        assert memory.slope < 10, f"{memory.name}: {memory.slope:.1f} MB a minute"
