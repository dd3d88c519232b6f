"""Two GPUs with a real (shrunk) model each: processes, pipes, and the same results as with one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from backend.engines.sam3 import Sam3Options
from backend.engines.sam3.group import GroupModel, load_group
from backend.engines.sam3.model import Sam3Model
from tests.models.conftest import Clip, mask
from tests.models.shrunk import environment, quietly
from tests.models.test_model import same


@pytest.fixture(scope="module")
def group() -> Iterator[GroupModel]:
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch, quietly():
        for name, value in environment(gpus=2).items():
            patch.setenv(name, value)
        group = load_group(Sam3Options(gpus=2), told.append)
    assert told == ["loading facebook/sam3", "loading facebook/sam3 on 1 more"]
    assert isinstance(group, GroupModel)
    yield group
    group.close()


def test_says_on_how_many_it_runs(group: GroupModel) -> None:
    assert group.device == "2 × CPU, shrunk"
    assert (group.name, group.checkpoint) == ("sam3", "facebook/sam3")


def test_a_run_on_two_gives_what_one_gives(group: GroupModel, model: Sam3Model) -> None:
    def run(who: GroupModel | Sam3Model) -> list[object]:
        clip = Clip(who)  # type: ignore[arg-type]
        tracker = who.track(clip, 16)
        # Memories are chosen by a batch's mean score: objects of different frames are no batch.
        tracker.add(1, {0: mask(10, 10)})
        tracker.add(2, {0: mask(40, 20), 2: mask(42, 22)})
        everybody = [tracker, *(who.follow(clip, text, 16) for text in ("cat", "dog"))]
        out = [dict(one.step(frame_index, reverse=False)) for frame_index in range(4) for one in everybody]
        for one in everybody:
            one.close()
        return out

    assert all(same(a, b) for a, b in zip(run(group), run(model), strict=True))  # type: ignore[arg-type]


def test_a_cancelled_run_leaves_both_in_step(group: GroupModel) -> None:
    for _ in range(2):
        clip = Clip(group)  # type: ignore[arg-type]
        followers = [group.follow(clip, text, 16) for text in ("cat", "dog")]
        for follower in followers:
            follower.step(0, reverse=False)
        # The second has been sent ahead when the run ends.
        found = followers[0].step(1, reverse=False)
        assert all(f.mask.dtype == np.bool_ for f in found.values())
        for follower in followers:
            follower.close()
    group.release_memory()
