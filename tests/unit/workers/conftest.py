"""Services on workers of their own, which may come to harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.engines.registry import EngineSpec
from backend.sessions.service import Service
from backend.workers.pool import Pool
from tests.conftest import make_settings


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[Service, Pool]]]:
    """Make a service on workers of its own."""
    made: list[Service] = []

    def make(
        step_seconds: float = 0.0,
        silence_seconds: float = 120.0,
        workers: int = 1,
        memory_limit_mb: float = 0.0,
        **settings: object,
    ) -> tuple[Service, Pool]:
        spec = EngineSpec("fake", tmp_path / "cache", step_seconds=step_seconds)
        pool = Pool([spec] * workers, silence_seconds, memory_limit_mb)
        service = Service(make_settings(tmp_path, **settings), pool)
        service.start()
        made.append(service)
        return service, pool

    yield make
    for service in made:
        service.stop()
