"""How late the event loop is: measured while something holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import time

from prometheus_client import CollectorRegistry

from backend.api.lag import LoopLag, Starvation

HELD_UP = 0.2


async def _watched(lag: LoopLag, seconds: float) -> None:
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)
    # What a handler must never do.
    time.sleep(seconds)
    until = time.monotonic() + 30
    while lag.take_worst_kept() < seconds / 2 and time.monotonic() < until:
        await asyncio.sleep(0.01)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


class Kept(LoopLag):
    """Looks at the worst without taking it."""

    def take_worst_kept(self) -> float:
        return self._worst


def test_a_hold_up_is_seen_and_told_from_the_wait_for_a_core():
    registry = CollectorRegistry()
    lag = Kept(registry)
    asyncio.run(_watched(lag, HELD_UP))
    late, blocked = lag.take_worst()
    assert late >= HELD_UP * 0.9
    # Asleep in a handler is not waiting for a core.
    assert blocked >= HELD_UP * 0.5
    assert lag.take_worst() == (0.0, 0.0), "taken once, it begins anew"
    over = registry.get_sample_value("sam3_event_loop_lag_seconds_bucket", {"le": "0.1"})
    everything = registry.get_sample_value("sam3_event_loop_lag_seconds_count")
    assert over is not None
    assert everything is not None
    assert everything > over


def test_starvation_only_grows_and_may_be_unknown(monkeypatch):
    starved = Starvation()
    first = starved.seconds()
    assert starved.seconds() >= first >= 0
    starved.close()
    assert starved.seconds() == 0
    monkeypatch.setattr("backend.api.lag.os.open", _refuse)
    assert Starvation().seconds() == 0


def _refuse(*_: object) -> int:
    raise OSError("no such file")
