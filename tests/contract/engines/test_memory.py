"""Sessions that come and go leave nothing behind."""

from __future__ import annotations

import gc
import itertools
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.domain import DenseResult, MaskPrompt
from backend.engines.base import Engine
from backend.errors import EngineError
from backend.masks import encode
from tests.contract.engines.cases import Case
from tests.contract.engines.desk import Desk, same
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
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["", "a thousand"])
def test_rounds_of_prompt_and_close_do_not_grow_memory(case: Case, whole: bool):
    scene = small_scene()
    held = max(visit(case, scene) for _ in range(20))
    rounds = 1000
    if case.model and not whole:
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


# --- no memory left ------------------------------------------------------------------------------


class Activations(np.ndarray):
    """What a model holds while it encodes, in the place of its tensors."""


@contextmanager
def full(engine: Engine, after: int = 0) -> Iterator[list[bool]]:
    """Meanwhile a model's encoder finds the device's memory full, after so many frames.

    Yields what was still held of that attempt each time when memory was given back.
    """
    import torch

    model = vars(engine)["_model"]
    encode, release = model.encode, model.release_memory
    tries = itertools.count()
    held: list[weakref.ref[Activations]] = []
    told: list[bool] = []

    def failing(picture: object) -> object:
        if next(tries) < after:
            return encode(picture)
        activations = np.zeros(1000).view(Activations)
        held.append(weakref.ref(activations))
        # Asked of the build: Meta's package, shrunk, only pretends that there is a GPU.
        if torch.version.cuda is not None and torch.cuda.is_available():
            torch.empty(1 << 46, dtype=torch.uint8, device="cuda")
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 TiB.")

    def released() -> None:
        told.append(any(ref() is not None for ref in held))
        release()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "encode", failing)
        patch.setattr(model, "release_memory", released)
        yield told


def test_a_full_memory_keeps_what_was_computed_and_the_next_attempt_goes_on(case: Case):
    if not case.model:
        pytest.skip(f"{case.name} has no device whose memory could be full")
    # Not the engine that the other tests use: from then on it holds fewer frames.
    engine = case.build()
    desk = Desk(engine, make_scene())
    desk.give(0, 1, desk.clip.masks[FACE][0])
    whole = desk.run(desk.span())
    desk.engine.close(desk.handle)
    desk = desk.again()
    first: list[DenseResult] = []
    with full(engine, after=3) as told, pytest.raises(EngineError) as raised:
        first.extend(desk.step(desk.span()))
    assert raised.value.code == "out_of_memory"
    assert "fewer frames" in raised.value.sentence
    assert told == [False], "what the failed attempt held is free when memory is given back"
    same(first, whole[:3])
    assert engine.memory_bytes(desk.handle) == 0
    # The session is as it was, and the model's memory is no shorter than it needs.
    same(desk.run(desk.span()), whole)
    desk.close()
