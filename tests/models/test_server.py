"""The real server with `ENGINE=sam3`: the shrunk package in its worker process."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clips import write_clip
from tests.contract.test_doors import ANY_MASKS, Door, by_gradio, by_rest, by_websocket, start
from tests.models.shrunk import environment
from tests.server import running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    roots = tmp_path_factory.mktemp("roots")
    write_clip(roots / "square.mp4")
    with running_server(
        tmp_path_factory.mktemp("sam3"),
        ENGINE="sam3",
        VIDEO_MODEL_REQUIRED="true",
        VIDEO_ROOTS=str(roots),
        **environment(),
    ) as address:
        yield address


@pytest.fixture(scope="module")
def expected(server: str) -> list[object]:
    return by_rest(server, start(server), ANY_MASKS)


def test_says_which_model_it_is(server: str) -> None:
    reply = httpx.get(f"{server}/models/info")
    (model,) = reply.json()["models"]
    assert (model["name"], model["title"], model["state"]) == ("sam3", "SAM 3", "ready")
    assert model["checkpoint"] == "facebook/sam3"
    assert model["capabilities"]["text"]
    assert model["capabilities"]["exemplar"]
    assert str(Path(__file__).parent) not in reply.text


def test_objects_are_found_and_followed(expected: list[object]) -> None:
    click, words, box, run = expected[:4]
    assert click["obj_ids"] == [1]
    assert words["obj_ids"][0] == 2
    assert box["obj_ids"] == [max(words["obj_ids"]) + 1]
    assert sorted(frame for frame, _ in run) == list(range(12))
    scores = {o["score"] for _, objects in run for o in objects if o["id"] == 1 and o["box"]}
    assert len(scores) > 5


@pytest.mark.parametrize("door", [by_websocket, by_gradio])
def test_every_door_gives_the_same(server: str, expected: list[object], door: Door) -> None:
    with warnings.catch_warnings():
        # gradio_client's own threads leave sockets to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        said = door(server, start(server), ANY_MASKS)
    assert json.loads(json.dumps(said)) == json.loads(json.dumps(expected))
