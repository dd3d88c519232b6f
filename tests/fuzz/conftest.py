"""A real server for abuse: with the stand-in engine, tight limits and a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.server import running_server


@pytest.fixture(scope="package")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that the server lets video_path name."""
    folder = tmp_path_factory.mktemp("roots")
    write_clip(folder / "square.mp4")
    return folder


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[str]:
    with running_server(
        tmp_path_factory.mktemp("server"),
        VIDEO_ROOTS=str(roots),
        MAX_UPLOAD_SIZE_MB="20",
        MAX_CONCURRENT_SESSIONS="50",
        MAX_VIDEO_SECONDS="60",
        MAX_SESSIONS_PER_OWNER="0",
    ) as address:
        yield address
