"""Whatever was acknowledged is there after `kill -9`, whenever it comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.driver import CrashTest
from tests.crash.ledger import Lost
from tests.crash.server import Launcher
from tests.report import record


def kill_so_often(folder: Path, launcher: Launcher, kills: int, seed: int) -> None:
    tally = CrashTest(folder, launcher, seed, say=print).run(kills)
    print(tally.table())
    record(
        "crash",
        kills=tally.kills,
        losses=0,
        operations_acknowledged=sum(tally.acknowledged.values()),
        frames_streamed=sum(tally.frames.values()),
        kills_inside_requests=tally.in_request,
        kills_inside_streams=tally.in_stream,
        propagations_resumed=tally.resumed,
    )
    # It did work at all, and some kills hit something.
    assert tally.kills == kills
    assert sum(tally.acknowledged.values()) > kills
    assert sum(tally.frames.values()) > kills
    assert tally.in_request > 0
    assert tally.happened + tally.had_not > 0


@pytest.mark.slow
def test_nothing_is_lost_in_20_kills(tmp_path: Path, launcher: Launcher):
    kill_so_often(tmp_path, launcher, 20, 4)


@pytest.mark.slow
@pytest.mark.long
def test_nothing_is_lost_in_200_kills(tmp_path: Path, launcher: Launcher):
    kill_so_often(tmp_path, launcher, 200, 7)


@pytest.mark.slow
def test_the_driver_notices_a_server_that_forgets(tmp_path: Path, launcher: Launcher):
    """One that acknowledges what it writes 0.3 s later only."""
    with pytest.raises(Lost):
        CrashTest(tmp_path, launcher, 1, fault="forget").run(10)
