"""Hard files, made once a run, and limits for them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from backend.domain import Video
from backend.media.index import Index, sidecar
from backend.media.limits import Limits
from backend.media.look import look_at
from backend.media.probe import _probe_from
from tests.media_files import HARD, Clip

LIMITS = Limits(max_bytes=50_000_000, max_seconds=60, max_frames=1000, max_pixels=1_000_000, probe_seconds=30)


@pytest.fixture
def limits() -> Limits:
    return LIMITS


@pytest.fixture(scope="session")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clip]:
    """Make one of the hard files, or give out the one made before. Not to be changed."""
    folder = tmp_path_factory.mktemp("hard")
    made: dict[str, Clip] = {}

    def get(name: str) -> Clip:
        if name not in made:
            made[name] = HARD[name](folder / name)
        return made[name]

    return get


def as_video(path: Path, fps: Fraction | None = None, keep_index: bool = True) -> Video:
    """Probe a made file within this process; quicker than the limited child."""
    fields, data = look_at(path, LIMITS, fps, lambda _: None)
    found = _probe_from(fields, Index.from_bytes(data))
    if keep_index and found.kind == "video":
        sidecar(path).write_bytes(data)
    return Video(
        "v", path, path.name, found.width, found.height, found.fps, found.num_frames, found.duration, found.kind
    )
