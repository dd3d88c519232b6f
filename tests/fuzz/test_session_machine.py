"""A session against a model of it: whatever is done in whatever order, both show the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from backend.domain import Box, FrameResult, MaskPrompt, Points, Prompt
from backend.errors import Conflict, InvalidInput, NotFound
from backend.masks import decode, encode
from backend.sessions import wire
from backend.sessions.planning import PropagateRequest
from backend.sessions.results import to_ranges
from backend.sessions.run import Run, follow
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.fuzz.model import FRAMES, HEIGHT, WIDTH, Entry, Masks, Model, mask_of
from tests.report import record

frames = st.integers(0, FRAMES - 1)
places = st.floats(0.05, 0.95)
clicks = st.builds(lambda x, y: Points(((x, y),), (1,)), places, places)
refinements = clicks | st.builds(lambda x, y: Points(((x, y),), (0,), replace=True), places, places)
lengths = st.none() | st.integers(1, FRAMES)
directions = st.sampled_from(["forward", "backward", "both"])


def stroke(row: int, count: int, mode: Any) -> MaskPrompt:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[row : row + count] = True
    return MaskPrompt(encode(mask), mode)


strokes = st.builds(stroke, st.integers(0, 40), st.sampled_from([2, 5, 48]), st.sampled_from(["add", "subtract"]))


def done(future: Future[Any]) -> Any:
    return future.result(timeout=60)


def everything(session: Any) -> dict[str, Any]:
    """All that a client sees of a session, but for what the clock changes."""
    status = wire.status_out(session, 100.0, "fake", None)
    for passing in ("expires_at", "gpu_memory_used_mb", "status"):
        del status[passing]
    if status["run"]:
        del status["run"]["frames_per_second"]
    return {"status": status, "results": wire.results_out(session), "log": wire.log_out(session)}


class SessionMachine(RuleBasedStateMachine):
    """`pool` and `clip` are set by the test.

    How far a cancelled run came is not the same each time, so nothing that is drawn may depend on it.
    """

    pool: Pool
    clip: Path
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.services: list[Service] = []
        self.model = Model()
        self.certain = True
        """Whether the masks are the same each time: on them it depends whether a repair is an edit or refused."""

    @initialize(worked=st.sampled_from([True, True, False]))
    def begin(self, worked: bool) -> None:
        """Most of what can go wrong needs two objects that were followed, one of which was corrected since."""
        self.service = self._service()
        video = self.service.upload(self.clip, "square.mp4", ME)
        self.session = self.service.start_session(video, ME)
        if worked:
            self._prompted(3, (Points(((0.3, 0.5),), (1,)),), None, [1])
            self._prompted(3, (Points(((0.5, 0.3),), (1,)),), None, [2])
            expected = self.model.run("both", None, None, None)
            assert expected
            self._follow(done(self.session.propagate(PropagateRequest())))
            self._ran(expected)
            self._prompted(6, (Points(((0.3, 0.5),), (1,)),), 1, [1])

    def _service(self) -> Service:
        self.services.append(Service(make_settings(self.folder), self.pool))
        return self.services[-1]

    def teardown(self) -> None:
        for service in self.services:
            service.suspend()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _an_object(self, data: st.DataObject) -> int | None:
        objects = list(self.model.see().objects)
        return data.draw(st.sampled_from(objects)) if objects else None

    # --- prompts -----------------------------------------------------------------------------

    def _prompted(self, frame: int, prompts: tuple[Prompt, ...], obj_id: int | None, ids: list[int]) -> None:
        found = done(self.session.prompt(frame, prompts, obj_id)).frame
        assert [o.obj_id for o in found.objects] == ids
        masks = {(frame, o.obj_id): o.rle.counts for o in found.objects}
        born = tuple(ids) if obj_id is None else ()
        self.model.do(Entry("prompt", masks, born, tuple(ids), words=frozenset(masks)))

    @rule(frame=frames, click=clicks)
    def click_something_new(self, frame: int, click: Points) -> None:
        self._prompted(frame, (click,), None, [self.model.next_id])

    @rule(frame=frames, x=st.floats(0, 0.5), y=st.floats(0, 0.5))
    def box_two_things(self, frame: int, x: float, y: float) -> None:
        boxes = (Box((x, y, 0.3, 0.3)), Box((x + 0.2, y, 0.2, 0.4)))
        self._prompted(frame, boxes, None, [self.model.next_id, self.model.next_id + 1])

    @rule(frame=frames, prompt=refinements | strokes, data=st.data())
    def refine(self, frame: int, prompt: Prompt, data: st.DataObject) -> None:
        obj_id = self._an_object(data)
        if obj_id is None:
            with pytest.raises(NotFound):
                done(self.session.prompt(frame, (prompt,), 1))
        else:
            self._prompted(frame, (prompt,), obj_id, [obj_id])

    @rule(frame=frames, click=clicks)
    def refine_what_is_not_there(self, frame: int, click: Points) -> None:
        with pytest.raises(NotFound):
            done(self.session.prompt(frame, (click,), self.model.next_id))

    # --- propagations ------------------------------------------------------------------------

    def _chosen(self, data: st.DataObject) -> tuple[int, ...] | None:
        objects = list(self.model.see().objects)
        some = st.lists(st.sampled_from(objects), min_size=1, unique=True).map(tuple) if objects else st.none()
        chosen: tuple[int, ...] | None = data.draw(st.none() | some)
        return chosen

    def _request(self, direction: Any, start: int | None, most: int | None, data: st.DataObject) -> tuple[Any, Any]:
        chosen = self._chosen(data)
        return PropagateRequest(direction, start, most, None, chosen), self.model.run(direction, start, most, chosen)

    def _follow(self, run: Run, cancel_after: int | None = None) -> list[FrameResult]:
        async def collect() -> list[FrameResult]:
            seen = []
            async for _, frame in follow(self.session, run):
                seen.append(frame)
                if len(seen) == cancel_after:
                    self.session.cancel()
            return seen

        return asyncio.run(collect())

    @rule(direction=directions, start=st.none() | frames, most=lengths, data=st.data())
    def propagate(self, direction: Any, start: int | None, most: int | None, data: st.DataObject) -> None:
        request, expected = self._request(direction, start, most, data)
        if expected is None:
            with pytest.raises(InvalidInput) as caught:
                done(self.session.propagate(request))
            assert caught.value.code == "no_prompt"
            return
        run = done(self.session.propagate(request))
        got = self._follow(run)
        assert run.state == "complete"
        assert [f.frame_index for f in got] == [frame for frame, _ in expected]
        assert run.total == len(expected)
        self._ran(expected)

    @rule(
        direction=directions,
        most=lengths,
        after=st.integers(0, 5),
        really=st.sampled_from([False, False, True]),
        data=st.data(),
    )
    def cancel_in_the_middle(
        self, direction: Any, most: int | None, after: int, really: bool, data: st.DataObject
    ) -> None:
        if not really:
            # No repair follows in this session.
            return
        request, expected = self._request(direction, None, most, data)
        if expected is None:
            return
        self.certain = False
        future = self.session.propagate(request)
        if after == 0:
            self.session.cancel()
        run = done(future)
        got = self._follow(run, after)
        done(self.session.cancel())
        assert run.state in ("cancelled", "complete")
        assert [f.frame_index for f in got] == [frame for frame, _ in expected][: len(got)]
        assert len(got) == run.done
        # What could be redone is gone even where the run came to nothing.
        self.model.undone.clear()
        if got:
            self._ran(expected[: len(got)])
        if after == 0:
            # Whether there is an edit must not show later on, when something is undone.
            if got:
                done(self.session.undo())
                self.model.undone.append(self.model.done.pop())
            obj_id = next(iter(self.model.see().objects))
            done(self.service.rename(self.session.id, ME, obj_id, name="Ball"))
            self.model.do(Entry("rename", gone=obj_id, name="Ball"))

    def _ran(self, expected: list[tuple[int, Masks]]) -> None:
        self.model.do(Entry("propagate", {key: mask for _, wrote in expected for key, mask in wrote.items()}))

    # --- the other edits -----------------------------------------------------------------------

    @rule()
    def undo(self) -> None:
        if not self.model.done:
            with pytest.raises(Conflict):
                done(self.session.undo())
            return
        edit = done(self.session.undo())
        entry = self.model.done.pop()
        assert edit.kind == entry.kind
        self.model.undone.append(entry)

    @rule()
    def redo(self) -> None:
        if not self.model.undone:
            with pytest.raises(Conflict):
                done(self.session.redo())
            return
        edit = done(self.session.redo())
        entry = self.model.undone.pop()
        assert edit.kind == entry.kind
        self.model.done.append(entry)

    @rule(count=st.integers(1, 4))
    def undo_and_redo_is_nothing(self, count: int) -> None:
        before = everything(self.session)
        count = min(count, len(self.model.done))
        for _ in range(count):
            done(self.session.undo())
        for _ in range(count):
            done(self.session.redo())
        assert everything(self.session) == before

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        obj_id = self._an_object(data)
        if obj_id is None:
            with pytest.raises(NotFound):
                done(self.session.remove(1))
            return
        done(self.session.remove(obj_id))
        self.model.do(Entry("remove", gone=obj_id))

    @rule(name=st.sampled_from(["Ball", "Zwei ✓", "<b>"]), data=st.data())
    def rename(self, name: str, data: st.DataObject) -> None:
        obj_id = self._an_object(data)
        if obj_id is not None:
            done(self.service.rename(self.session.id, ME, obj_id, name=name))
            self.model.do(Entry("rename", gone=obj_id, name=name))

    @rule(start=st.none() | frames, count=lengths, approved=st.sampled_from([True, True, False]), data=st.data())
    def approve(self, start: int | None, count: int | None, approved: bool, data: st.DataObject) -> None:
        stop = min((start or 0) + count, FRAMES) - 1 if count else None
        obj_id = self._an_object(data)
        if not self.certain:
            return
        if obj_id is None:
            with pytest.raises(NotFound):
                done(self.session.approve(1, start, stop, approved))
            return
        entry = self.model.approval(obj_id, start, stop, approved)
        all_of_it = done(self.session.approve(obj_id, start, stop, approved))
        if entry is not None:
            self.model.do(entry)
        expected = to_ranges(f for f, i in self.model.see().approved if i == obj_id)
        assert [list(pair) for pair in all_of_it] == expected

    @rule(frame=frames, prompt=strokes, data=st.data())
    def split_off_a_stroke(self, frame: int, prompt: MaskPrompt, data: st.DataObject) -> None:
        obj_id = self._an_object(data)
        if not self.certain:
            return
        if obj_id is None or prompt.mode == "subtract":
            with pytest.raises((NotFound, InvalidInput)):
                done(self.session.split(obj_id or 1, frame, (prompt,)))
            return
        self._split(obj_id, frame, prompt)

    @rule(data=st.data())
    def split_in_the_middle(self, data: st.DataObject) -> None:
        if not self.certain:
            return
        there = [key for key, counts in self.model.see().masks.items() if mask_of(counts).any()]
        if there:
            frame, obj_id = data.draw(st.sampled_from(there))
            rows = np.flatnonzero(mask_of(self.model.see().masks[frame, obj_id]).any(axis=1))
            self._split(obj_id, frame, stroke(0, int(rows[len(rows) // 2]), "replace"))

    def _split(self, obj_id: int, frame: int, prompt: MaskPrompt) -> None:
        entry = self.model.splitting(obj_id, frame, decode(prompt.rle))
        if entry is None:
            with pytest.raises(InvalidInput) as caught:
                done(self.session.split(obj_id, frame, (prompt,)))
            assert caught.value.code == "nothing_to_split"
            return
        assert done(self.session.split(obj_id, frame, (prompt,))).obj_id == self.model.next_id
        self.model.do(entry)

    @rule(start=frames, count=st.none() | st.integers(1, FRAMES), data=st.data())
    def merge(self, start: int, count: int | None, data: st.DataObject) -> None:
        one, other = self._an_object(data), self._an_object(data)
        if one is None or other is None or one == other or not self.certain:
            return
        span = (start, min(start + count, FRAMES) - 1) if count else None
        entry = self.model.merging(one, other, span)
        if entry is None:
            with pytest.raises(InvalidInput) as caught:
                done(self.session.merge(one, other, *(span or ())))
            assert caught.value.code == "nothing_to_merge"
            return
        assert done(self.session.merge(one, other, *(span or ()))).obj_id == (None if span else other)
        self.model.do(entry)

    @rule(really=st.sampled_from([False, False, True]))
    def reset(self, really: bool) -> None:
        if not really:
            # What lies deep is found in sessions that go on for a while.
            return
        assert done(self.session.reset()) == len(self.model.see().objects)
        self.model.do(Entry("reset"))

    # --- what is no edit -----------------------------------------------------------------------

    @rule()
    def park(self) -> None:
        """The engine's memory goes, and the records go to the disk; the next use brings both back."""
        before = everything(self.session)
        self.session.park()
        until = time.monotonic() + 30
        while not self.session.unload():
            # A reply of the engine is being taken in.
            assert time.monotonic() < until
            time.sleep(0.001)
        assert not self.session.loaded
        assert self.service.get(self.session.id, ME) is self.session
        assert everything(self.session) == before

    @rule()
    def restart(self) -> None:
        """The service is gone from one moment to the next; another one finds all of it."""
        before = everything(self.session)
        # Nothing more is written, as when the process is killed.
        store: Any = self.service._store
        store._jobs.put(None)
        store._thread.join(10)
        self.service = self._service()
        self.session = self.service.get(self.session.id, ME)
        assert everything(self.session) == before

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def both_show_the_same(self) -> None:
        if not self.services:
            return
        SessionMachine.steps += 1
        session, model, seen = self.session, self.model, self.model.see()
        assert {i: info.name for i, info in session.objects.items()} == seen.objects
        out = wire.results_out(session)
        shown = {(int(f), o["id"]): o["mask"] for f, r in out["results"].items() for o in r["objects"]}
        assert shown == seen.masks
        stale = {str(i): to_ranges(f for f, j in seen.stale if j == i) for i in seen.objects}
        assert out["stale"] == {i: ranges for i, ranges in stale.items() if ranges}
        log = wire.log_out(session)["edits"]
        assert [(e["kind"], e["undone"]) for e in log] == [
            *((e.kind, False) for e in model.done),
            *((e.kind, True) for e in reversed(model.undone)),
        ]
        numbers = [e["seq"] for e in log]
        assert numbers == sorted(set(numbers))
        assert session.book.next_obj_id == model.next_id
        assert session.log.can_undo == bool(model.done)
        assert session.log.can_redo == bool(model.undone)
        status = wire.status_out(session, 100.0, "fake", None)
        assert status["total_frames"] == FRAMES
        assert status["frames_processed"] == len({frame for frame, _ in seen.masks})
        assert status["current_objects"] == list(seen.objects)
        for told in status["objects"]:
            assert told["approved"] == to_ranges(f for f, i in seen.approved if i == told["id"])


def run_machine(pool: Pool, clip: Path, examples: int, steps: int) -> int:
    SessionMachine.pool, SessionMachine.clip, SessionMachine.steps = pool, clip, 0
    run_state_machine_as_test(
        SessionMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{SessionMachine.steps} steps")
    record("session_against_its_model", steps=SessionMachine.steps)
    return SessionMachine.steps


@pytest.mark.slow
def test_a_session_and_its_model_show_the_same(fake_pool: Pool, clip: Path):
    assert run_machine(fake_pool, clip, 25, 30) >= 400


@pytest.mark.long
def test_a_session_and_its_model_show_the_same_for_long(fake_pool: Pool, clip: Path):
    assert run_machine(fake_pool, clip, 500, 60) >= 15_000
