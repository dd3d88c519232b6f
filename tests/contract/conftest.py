"""A real server with the stand-in engine, shared by the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clips import write_clip
from tests.server import running_server


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that the server lets video_path name."""
    folder = tmp_path_factory.mktemp("roots")
    write_clip(folder / "square.mp4")
    return folder


@pytest.fixture(scope="session")
def server_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The running server's data folder."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def server(server_data: Path, roots: Path) -> Iterator[str]:
    with running_server(
        server_data,
        VIDEO_ROOTS=str(roots),
        MAX_UPLOAD_SIZE_MB="20",
        MAX_CONCURRENT_SESSIONS="50",
        MAX_VIDEO_SECONDS="60",
    ) as address:
        yield address


@pytest.fixture
def http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


@pytest.fixture
def session_url(http: httpx.Client) -> Iterator[str]:
    """A fresh session's address."""
    started = http.post("/api/v1/video/session/start", json={"video_path": "square.mp4"}).json()
    url = f"/api/v1/video/session/{started['session_id']}"
    yield url
    http.delete(url)
