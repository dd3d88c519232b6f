"""Hypothesis with a count: a test says how many inputs it wants, and fails when it had fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def feed(count: int, check: Callable[..., None], *strategies: st.SearchStrategy[Any]) -> int:
    """Call `check` with at least `count` drawn inputs; returns how many it were.

    Hypothesis ends early where it believes to have seen everything; then it is asked again.
    """
    given_so_far = 0

    def counted(inputs: tuple[Any, ...]) -> None:
        nonlocal given_so_far
        given_so_far += 1
        check(*inputs)

    while given_so_far < count:
        before = given_so_far
        settings(
            max_examples=count - given_so_far,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(given(st.tuples(*strategies))(counted))()
        assert given_so_far > before
    return given_so_far
