"""Token buckets: what they let through, what they say, and that they stay few."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from backend.api.auth import Caller
from backend.api.guard import READS, RateLimit, kind_of
from backend.api.rates import Buckets
from backend.errors import TooMany
from backend.owners import CROWD, LOCAL_OWNER, visitor_owner
from backend.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 20), max_size=80), st.integers(1, 200))
def test_never_more_than_the_limit_in_any_minute_beyond_what_was_saved(pauses: list[float], per_minute: int) -> None:
    clock = Clock()
    buckets = Buckets(per_minute, clock=clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        if buckets.take("a") == 0:
            taken.append(clock.now)
    for i, start in enumerate(taken):
        for j in range(i, len(taken)):
            span = taken[j] - start
            assert j - i + 1 <= per_minute + span * per_minute / 60 + 1e-6


@given(st.integers(1, 500), st.integers(1, 600))
def test_the_time_it_says_is_true(per_minute: int, asked: int) -> None:
    clock = Clock()
    buckets = Buckets(per_minute, clock=clock)
    wait = 0.0
    for _ in range(asked):
        wait = buckets.take("a") or wait
    if wait:
        clock.now += wait * 0.9
        assert buckets.take("a") > 0
        clock.now += wait * 0.1 + 1e-6
        assert buckets.take("a") == 0


def test_asking_in_vain_costs_nothing_and_looking_neither() -> None:
    clock = Clock()
    buckets = Buckets(1, clock=clock)
    assert buckets.take("a") == 0
    first = buckets.take("a")
    for _ in range(100):
        assert buckets.take("a") == first
        assert buckets.wait("a") == first
    assert buckets.wait("b") == 0
    assert len(buckets) == 1


def test_one_does_not_take_from_another() -> None:
    buckets = Buckets(1)
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0


def test_they_stay_few_and_the_busy_one_is_remembered() -> None:
    clock = Clock()
    buckets = Buckets(5, most=100, clock=clock)
    for i in range(5000):
        clock.now += 0.001
        buckets.take(f"client {i}")
        if i % 50 == 0:
            buckets.take("busy")
    assert len(buckets) <= 100
    assert buckets.take("busy") > 0
    clock.now += 61
    buckets.take("one more")
    assert len(buckets) == 1


def test_many_threads_together_take_no_more_than_there_is() -> None:
    buckets = Buckets(100, clock=Clock())
    taken: list[float] = []

    def hammer() -> None:
        taken.extend(buckets.take("a") for _ in range(50))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(0.0) == 100


def limit(per_minute: int) -> RateLimit:
    settings = Settings(_env_file=None, rate_limit_enabled=True, rate_limit_requests_per_minute=per_minute)  # type: ignore[call-arg]
    return RateLimit(settings)


def let_through(rates: RateLimit, callers: list[Caller]) -> int:
    count = 0
    told: list[tuple[str, int]] = []
    for caller in callers:
        try:
            rates.count(caller, "work")
        except TooMany as error:
            told.append((error.code, error.retry_after))
        else:
            count += 1
    assert all(code == "rate_limited" and wait >= 1 for code, wait in told)
    return count


def test_a_new_cookie_does_not_give_a_new_limit_for_ever() -> None:
    one = Caller(visitor_owner("home", "a"), "1.2.3.4", True)
    assert let_through(limit(5), [one] * 50) == 5
    many = [Caller(visitor_owner("home", str(i)), "1.2.3.4", True) for i in range(500)]
    assert let_through(limit(5), many) == 5 * CROWD


def test_a_key_has_one_limit_wherever_it_comes_from_and_others_have_one_for_each_address() -> None:
    assert let_through(limit(5), [Caller("key-1", f"1.2.3.{i}", True) for i in range(50)]) == 5
    assert let_through(limit(5), [Caller(LOCAL_OWNER, f"1.2.3.{i % 2}", False) for i in range(50)]) == 10


def test_what_counts_as_what() -> None:
    assert kind_of("POST", "/api/v1/video/session/x/prompt") == "work"
    assert kind_of("GET", "/api/v1/video/session/x/export/coco_rle_json") == "work"
    assert kind_of("GET", "/api/v1/video/session/x/frame/3") == "read"
    assert kind_of("POST", "/canvas/main.js") == "work"
    assert kind_of("GET", "/canvas/main.js") is None
    assert READS >= 60
