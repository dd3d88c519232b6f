"""Fixtures that several test folders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.domain import Video
from backend.engines.registry import EngineSpec
from backend.sessions.service import LOCAL_OWNER, Service
from backend.settings import Settings
from backend.workers.pool import Pool
from tests.clips import write_clip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is dear to build, an engine or a file's servers, is built in one of the processes only."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        case = (
            item.callspec.params.get("case")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        item.add_marker(pytest.mark.xdist_group(str(case) if case and "contract/engines" in file else file))


def make_settings(tmp_path: Path, **changes: object) -> Settings:
    """Settings of a test: everything in its own folder, nothing from the environment's `.env`."""
    values = {"data_dir": tmp_path / "data", "video_roots": [tmp_path / "videos"], "engine": "fake", **changes}
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 12 frames, 64 × 48."""
    return write_clip(tmp_path_factory.mktemp("clips") / "square.mp4")


@pytest.fixture(scope="session")
def fake_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One worker process with the stand-in engine, for tests that do it no harm."""
    pool = Pool([EngineSpec("fake", tmp_path_factory.mktemp("cache"))])
    pool.start()
    yield pool
    pool.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def service(settings: Settings, fake_pool: Pool) -> Iterator[Service]:
    """A service of its own on the shared worker."""
    service = Service(settings, fake_pool)
    yield service
    service.suspend()


@pytest.fixture
def video(service: Service, clip: Path) -> Video:
    return service.upload(clip, "square.mp4", LOCAL_OWNER)
