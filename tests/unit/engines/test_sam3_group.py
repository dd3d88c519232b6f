"""SAM 3 on several GPUs: who does what, with stand-in models and processes that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.domain import BoolMask, Capabilities
from backend.engines.sam.model import Found
from backend.engines.sam3.group import GroupModel, Member
from backend.engines.sam3.member import Desk, Pack
from backend.errors import EngineError, InvalidInput

SIZE = (3, 5)


class Walker:
    """Follows objects: each mask moves with the picture's first pixel; the score tells the GPU."""

    def __init__(self, model: Model, views: Any, text: str | None = None) -> None:
        self.model = model
        self.views = views
        self.masks: dict[int, BoolMask] = {}
        self.given: dict[int, set[int]] = {}
        self.frames: list[int] = []
        if text is not None:
            self.masks[0] = np.eye(*SIZE, dtype=np.bool_)
        model.open.append(self)

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        for frame_index in masks:
            self.given.setdefault(obj_id, set()).add(frame_index)
        self.masks[obj_id] = next(iter(masks.values()))

    def step(self, frame_index: int, *, reverse: bool) -> dict[int, Found]:
        if self.model.fails is not None:
            raise self.model.fails
        for frames in self.given.values():
            for needed in frames:
                self.views.features(needed)
        self.given.clear()
        shift = int(self.views.features(frame_index).picture[0, 0, 0])
        self.frames.append(frame_index)
        return {i: Found(np.roll(m, shift, axis=1), self.model.rank / 10) for i, m in self.masks.items()}

    def remove(self, obj_id: int) -> None:
        self.masks.pop(obj_id, None)

    def close(self) -> None:
        if self in self.model.open:
            self.model.open.remove(self)

    @property
    def nbytes(self) -> int:
        return 100 * len(self.masks)


class Model:
    """A stand-in for the model of one GPU."""

    checkpoint, device, note, capabilities = "none", "GPU", "", Capabilities(text=True)

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.encoded: list[int] = []
        self.open: list[Walker] = []
        self.fails: Exception | None = None
        self.released = 0

    def encode(self, picture: Any) -> Any:
        self.encoded.append(int(picture[0, 0, 0]))
        return SimpleNamespace(picture=picture)

    def track(self, views: Any, held: int) -> Walker:
        return Walker(self, views)

    def follow(self, views: Any, text: str, held: int) -> Walker:
        if len(text) > 9:
            raise InvalidInput("The text is too long.", "text_too_long")
        return Walker(self, views, text)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return "memory" in str(error)

    def release_memory(self) -> None:
        self.released += 1


class Clip:
    """A video of which each picture's first pixel is its number."""

    size = SIZE

    def __init__(self, model: Model) -> None:
        self._model = model
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return 6

    def features(self, frame_index: int) -> Any:
        if frame_index not in self._kept:
            picture = np.full((*SIZE, 3), frame_index, np.uint8)
            self._kept[frame_index] = self._model.encode(picture)
        return self._kept[frame_index]


class Group:
    """A group of GPUs whose processes are threads."""

    def __init__(self, gpus: int) -> None:
        self.models = [Model(rank) for rank in range(gpus)]
        self.cut: list[Callable[[], None]] = []
        self.threads: list[threading.Thread] = []
        members = [self._start(model) for model in self.models[1:]]
        self.model = GroupModel(self.models[0], members)  # type: ignore[arg-type]
        self.clip = Clip(self.models[0])

    def _start(self, model: Model) -> Member:
        ours, theirs = Pipe()

        def serve() -> None:
            desk = Desk(model)  # type: ignore[arg-type]
            while (asked := theirs.recv()) is not None:
                theirs.send(desk.do(asked))
            theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        self.threads.append(thread)

        def cut() -> None:
            if thread.is_alive():
                ours.send(None)
                thread.join()

        self.cut.append(cut)
        return Member(ours)

    def track(self, *objects: int) -> Any:
        """A tracker of objects, given on frame 0."""
        tracker = self.model.track(self.clip, 16)
        for obj_id in objects:
            tracker.add(obj_id, {0: square(obj_id)})
        return tracker


def square(obj_id: int) -> BoolMask:
    mask = np.zeros(SIZE, np.bool_)
    mask[obj_id % 3, 1:3] = True
    return mask


@pytest.fixture
def start() -> Iterator[Callable[[int], Group]]:
    made: list[Group] = []

    def group(gpus: int) -> Group:
        made.append(Group(gpus))
        return made[-1]

    yield group
    for one in made:
        for cut in one.cut:
            cut()


def test_masks_are_the_same_after_their_way() -> None:
    mask = np.random.default_rng(0).random((7, 11)) > 0.5
    assert np.array_equal(Pack.of(mask).mask(), mask)
    assert Pack.of(mask).mask().dtype == np.bool_


def test_objects_are_shared_out_evenly(start: Callable[[int], Group]) -> None:
    group = start(3)
    found = group.track(*range(7)).step(0, reverse=False)
    assert list(found) == list(range(7))
    shares = [round(f.score * 10) for f in found.values()]
    assert sorted(shares.count(rank) for rank in range(3)) == [2, 2, 3]


def test_several_gpus_give_what_one_gives(start: Callable[[int], Group]) -> None:
    one, several = start(1).track(*range(5)), start(3).track(*range(5))
    for frame_index in range(5, -1, -1):
        a, b = one.step(frame_index, reverse=True), several.step(frame_index, reverse=True)
        assert list(a) == list(b)
        assert all(np.array_equal(a[i].mask, b[i].mask) for i in a)


def test_every_gpu_encodes_a_frame_once_for_all_that_it_does(start: Callable[[int], Group]) -> None:
    group = start(2)
    who = [group.track(*range(4)), *(group.model.follow(group.clip, f"text {i}", 16) for i in range(4))]
    for frame_index in range(3):
        for one in who:
            one.step(frame_index, reverse=False)
    assert [m.encoded for m in group.models] == [[0, 1, 2], [0, 1, 2]]


def test_what_conditions_an_object_is_encoded_where_it_is(start: Callable[[int], Group]) -> None:
    group = start(2)
    tracker = group.model.track(group.clip, 16)
    tracker.add(1, {0: square(1)})
    tracker.add(2, {0: square(2), 4: square(2)})
    tracker.step(0, reverse=False)
    assert sorted(group.models[1].encoded) == [0, 4]


def test_concepts_go_on_together(start: Callable[[int], Group]) -> None:
    group = start(3)
    followers = [group.model.follow(group.clip, f"text {i}", 16) for i in range(3)]
    for follower in followers:
        follower.step(0, reverse=False)
    followers[0].step(1, reverse=False)
    # Cut off: whatever they were sent before is done by then, nothing comes after.
    for cut in group.cut:
        cut()
    assert [m.open[0].frames for m in group.models] == [[0, 1]] * 3
    for rank, follower in enumerate(followers[1:], start=1):
        found = follower.step(1, reverse=False)
        assert np.array_equal(found[0].mask, np.roll(np.eye(*SIZE, dtype=np.bool_), 1, axis=1))
        assert found[0].score == rank / 10


def test_a_cancelled_run_leaves_the_gpus_in_step(start: Callable[[int], Group]) -> None:
    group = start(2)
    followers = [group.model.follow(group.clip, f"text {i}", 16) for i in range(2)]
    tracker = group.track(1, 2)
    for who in (tracker, *followers):
        who.step(0, reverse=False)
    # The run ends in the middle of a frame: the other GPU has answered, and nobody has asked it.
    tracker.step(1, reverse=False)
    for who in (tracker, *followers):
        who.close()
        who.close()
    group.model.release_memory()
    found = group.track(1, 2).step(2, reverse=False)
    assert np.array_equal(found[2].mask, np.roll(square(2), 2, axis=1))
    assert [m.released for m in group.models] == [1, 1]
    assert [len(m.open) for m in group.models] == [1, 1]


def test_places_are_free_again(start: Callable[[int], Group]) -> None:
    group = start(2)
    for _ in range(3):
        tracker = group.track(1, 2, 3)
        tracker.remove(3)
        follower = group.model.follow(group.clip, "text", 16)
        tracker.close()
        follower.close()
    assert {round(f.score * 10) for f in group.track(1, 2).step(0, reverse=False).values()} == {0, 1}


@pytest.mark.parametrize(("error", "kind"), [(ValueError("no memory"), MemoryError), (ValueError("x"), RuntimeError)])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_failure_on_one_gpu_stops_the_step_and_no_more(
    start: Callable[[int], Group], rank: int, error: Exception, kind: type[Exception]
) -> None:
    group = start(2)
    tracker = group.track(1, 2)
    group.models[rank].fails = error
    with pytest.raises(ValueError if rank == 0 else kind) as raised:
        tracker.step(0, reverse=False)
    assert group.model.is_out_of_memory(raised.value) == ("memory" in str(error))
    group.models[rank].fails = None
    tracker.close()
    assert len(group.track(1, 2).step(0, reverse=False)) == 2


def test_a_gpu_that_is_gone_is_said_and_done_without(start: Callable[[int], Group]) -> None:
    group = start(3)
    tracker = group.track(1, 2, 3)
    tracker.step(0, reverse=False)
    group.cut[0]()
    with pytest.raises(EngineError) as raised:
        tracker.step(1, reverse=False)
    assert raised.value.code == "group_lost"
    tracker.close()
    found = group.track(1, 2, 3).step(0, reverse=False)
    assert {round(f.score * 10) for f in found.values()} == {0, 2}


def test_a_long_text_is_refused_wherever_it_would_be_followed(start: Callable[[int], Group]) -> None:
    group = start(2)
    for _ in range(3):
        with pytest.raises(InvalidInput) as refused:
            group.model.follow(group.clip, "a long text indeed", 16)
        assert refused.value.code == "text_too_long"
        group.model.follow(group.clip, "short", 16)


def test_large_answers_and_questions_do_not_wait_for_each_other(start: Callable[[int], Group]) -> None:
    group = start(2)
    followers = [group.model.follow(group.clip, f"text {i}", 16) for i in range(30)]
    big = np.zeros((400, 700, 3), np.uint8)
    group.clip._kept[0] = SimpleNamespace(picture=big)
    for follower in followers:
        follower.step(0, reverse=False)
    group.clip._kept[1] = SimpleNamespace(picture=big)
    assert all(f.step(1, reverse=False) for f in followers)


def test_what_all_gpus_hold_is_counted(start: Callable[[int], Group]) -> None:
    group = start(2)
    tracker = group.track(1, 2, 3)
    tracker.step(0, reverse=False)
    assert tracker.nbytes == 300
