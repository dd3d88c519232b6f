"""Sessions that come and go leave nothing behind."""

from __future__ import annotations

import gc
import itertools
import os
import weakref
from pathlib import Path

import cv2
import pytest

from backend.domain import MaskPrompt
from backend.masks import encode
from tests.contract.engines.cases import Case
from tests.contract.engines.desk import Desk
from tests.contract.engines.scene import DISC, FACE, click, make_scene
from tests.unit.engines.clips import Clip

STATM = Path("/proc/self/statm")
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident() -> int:
    """The process's main memory, in bytes."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * PAGE


def small_scene() -> Clip:
    """The scene's first frames at half its size."""
    scene = make_scene()
    pictures = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in scene.pictures[:3]]
    masks = {i: [m[::2, ::2].copy() for m in masks[:3]] for i, masks in scene.masks.items()}
    return Clip(pictures, masks)  # type: ignore[arg-type]


def visit(case: Case, scene: Clip) -> int:
    """A session with a prompt, closed at once; what it held, in bytes."""
    desk = Desk(case.engine, scene)
    if case.name == "lite":
        # A click costs lite fifty times as much as a stroke, and holds the same frame.
        desk.ask(0, MaskPrompt(encode(scene.masks[FACE][0])))
    else:
        desk.ask(0, click(scene.masks[FACE][0]))
    held = case.engine.memory_bytes(desk.handle)
    desk.close()
    return held


@pytest.mark.skipif(not STATM.exists(), reason="only Linux tells how much memory a process has")
def test_rounds_of_prompt_and_close_do_not_grow_memory(case: Case):
    scene = small_scene()
    held = max(visit(case, scene) for _ in range(20))
    rounds = 1000
    if case.model:
        # As many as hold 50 MB if each leaves its one frame behind.
        rounds = max(60, 50_000_000 // held)
    before = resident()
    for _ in range(rounds):
        visit(case, scene)
    growth = resident() - before
    leaked = rounds * max(held, scene.pictures[0].nbytes)
    assert growth < min(leaked / 3, 20_000_000), f"{growth / 1e6:.1f} MB in {rounds} rounds"


def test_rounds_of_prompt_and_close_keep_no_objects(case: Case):
    """Small things, which the memory of the whole process would not show."""
    scene = small_scene()
    for _ in range(5):
        visit(case, scene)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        visit(case, scene)
    gc.collect()
    growth = len(gc.get_objects()) - before
    assert growth < 20, f"{growth} more objects after 20 rounds"


def test_a_closed_session_s_state_is_gone(case: Case):
    scene = small_scene()
    desk = Desk(case.engine, scene)
    desk.ask(0, click(scene.masks[FACE][0]))
    desk.give(0, 5, scene.masks[DISC][0])
    list(itertools.islice(desk.step(desk.span()), 2))
    if case.stand_in:
        pytest.skip("the stand-in's handle is a plain record that nothing can point at")
    handle = weakref.ref(desk.handle)
    desk.close()
    desk.handle = None
    gc.collect()
    assert handle() is None


def test_a_long_run_holds_no_more_than_a_short_one(case: Case):
    if case.name == "lite":
        pytest.skip("lite's own tests hold what a track remembers")
    desk = Desk(case.engine, small_scene())
    desk.clip.pictures *= 20
    desk.give(0, 1, desk.clip.masks[FACE][0])
    held = [desk.engine.memory_bytes(desk.handle) for _ in desk.engine.propagate(desk.handle, desk.span())]
    desk.close()
    assert len(held) == 60
    assert max(held[40:]) <= max(held[:30])
