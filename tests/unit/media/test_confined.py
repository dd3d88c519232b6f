"""Frames decoded in a child: the same ones, and a child that misbehaves hurts nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backend.domain import Video
from backend.errors import InvalidInput, InvalidMedia
from backend.media import confined
from backend.media.confined import ConfinedReader, Spare
from backend.media.frames import FrameCache
from backend.media.library import Library
from backend.media.reader import open_frames
from tests.conftest import make_settings


@pytest.fixture
def stored(tmp_path: Path, clip: Path) -> Video:
    return Library(make_settings(tmp_path)).add_file(clip, "clip.mp4", "me")


@pytest.fixture
def naughty(monkeypatch: pytest.MonkeyPatch) -> str:
    name = "tests.unit.media.naughty_reading"
    monkeypatch.setattr(confined, "TARGET", name)
    return name


def test_the_frames_are_those_of_a_reader_in_this_process(stored: Video):
    with ConfinedReader(stored) as there, open_frames(stored) as here:
        assert len(there) == len(here) == 12
        assert there.timestamps == here.timestamps
        for i in (0, 11, 3, 4, 0):
            np.testing.assert_array_equal(there.read(i), here.read(i))
        for i in (-1, 12):
            with pytest.raises(InvalidInput):
                there.read(i)
        picture = there.read(2)
        picture[:] = 0
        assert there.read(2).any()


def test_a_killed_child_is_replaced_with_the_next_frame(stored: Video):
    with ConfinedReader(stored) as reader:
        assert reader._child is not None
        reader._child.kill()
        with pytest.raises(InvalidMedia, match="gave up"):
            reader.read(0)
        assert reader.read(0).shape == (48, 64, 3)


def test_a_file_that_is_gone_is_said(stored: Video):
    stored.path.unlink()
    with pytest.raises(InvalidMedia, match="no longer there"):
        ConfinedReader(stored)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("hang at once", "more than"),
        ("hang", "more than"),
        ("drip", "more than"),
        ("crash", "gave up"),
        ("grow", "gave up"),
        ("rubbish", "gave up"),
        ("long line", "gave up"),
        ("short", "gave up"),
        ("other size", "another size"),
        ("other length", "has changed"),
    ],
)
def test_a_child_that_misbehaves_ends_alone(naughty: str, stored: Video, what: str, words: str):
    named = Video(**{f: getattr(stored, f) for f in stored.__dataclass_fields__} | {"name": what})
    began = time.monotonic()
    with pytest.raises(InvalidMedia, match=words):
        ConfinedReader(named, seconds=4 if words == "more than" else 60, memory_mb=512).read(0)
    assert time.monotonic() - began < 60


def test_a_video_whose_decoder_hangs_holds_up_no_other(
    naughty: str, monkeypatch: pytest.MonkeyPatch, stored: Video, tmp_path: Path
):
    hanging = Video(**{f: getattr(stored, f) for f in stored.__dataclass_fields__} | {"id": "h", "name": "hang"})
    cache = FrameCache(1_000_000)
    monkeypatch.setattr(confined, "FRAME_SECONDS", 20)
    with ThreadPoolExecutor(4) as pool:
        stuck = [pool.submit(cache.jpeg, hanging, 0) for _ in range(2)]
        assert cache.jpeg(stored, 0).startswith(b"\xff\xd8")
        assert not any(future.done() for future in stuck)
        for future in stuck:
            with pytest.raises(InvalidMedia):
                future.result(60)
    cache.close()


def test_a_spare_is_used_once_and_a_dead_one_never():
    spare = Spare()
    spare.keep()
    taken = [spare.take() for _ in range(3)]
    assert len({child.pid for child in taken}) == 3
    assert spare._child is not None
    dead = spare._child
    dead.kill()
    dead.wait()
    alive = spare.take()
    assert alive.pid != dead.pid
    spare.drop()
    assert spare._child is None
    for child in (*taken, alive):
        with child:
            child.kill()


def test_the_child_ends_with_its_parent(stored: Video):
    code = (
        "import subprocess, sys, os; from backend.media.confined import SPARE;"
        "child = SPARE.take(); print(child.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < until
        threading.Event().wait(0.05)
