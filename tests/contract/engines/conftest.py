"""One engine at a time, in this process and behind a pool of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.domain import Video
from backend.engines.base import Engine
from backend.sessions.service import LOCAL_OWNER, Service
from backend.sessions.session import Session
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.contract.engines.cases import NAMES, Case, make_case
from tests.contract.engines.desk import Desk
from tests.contract.engines.scene import make_scene, write_scene
from tests.unit.engines.clips import Clip


@pytest.fixture(scope="session", params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The engine under test; all its tests run in a row."""
    return make_case(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def engine(case: Case) -> Engine:
    return case.engine


@pytest.fixture
def scene() -> Clip:
    """A face (object 1 of its masks) and a disc (2) on six frames."""
    return make_scene()


@pytest.fixture
def desk(engine: Engine, scene: Clip) -> Iterator[Desk]:
    """A session's worth of the engine over the scene."""
    desk = Desk(engine, scene)
    yield desk
    desk.close()


@pytest.fixture
def fresh(engine: Engine) -> Iterator[Callable[[], Desk]]:
    """Makes further desks over scenes of their own."""
    made: list[Desk] = []

    def make() -> Desk:
        made.append(Desk(engine, make_scene()))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


# --- sessions ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pool(case: Case) -> Iterator[Pool]:
    """A worker with the engine under test."""
    with case.pool() as pool:
        yield pool


@pytest.fixture(scope="session")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mp4", make_scene())


@pytest.fixture
def service(tmp_path: Path, pool: Pool) -> Iterator[Service]:
    service = Service(make_settings(tmp_path), pool)
    yield service
    for session in service.list_sessions(LOCAL_OWNER):
        service.close(session.id, LOCAL_OWNER)
    service.suspend()


@pytest.fixture
def video(service: Service, scene_file: Path) -> Video:
    return service.upload(scene_file, "scene.mp4", LOCAL_OWNER)


@pytest.fixture
def session(service: Service, video: Video) -> Session:
    return service.start_session(video, LOCAL_OWNER)


@pytest.fixture
def start(service: Service, video: Video) -> Callable[[], Session]:
    """Starts further sessions on the scene."""
    return lambda: service.start_session(video, LOCAL_OWNER)
