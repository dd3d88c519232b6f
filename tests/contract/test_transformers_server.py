"""A real model, tiny and with random weights, behind the real server: every door, the same results.

The weights go through the package's own loading, in the worker process, as a large checkpoint would.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clips import png_bytes
from tests.contract.test_doors import ANY_MASKS, Door, by_gradio, by_rest, by_websocket, start
from tests.server import ROOT, running_server
from tests.tiny import make_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny-sam3", "sam3")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, roots: Path, checkpoint: Path) -> Iterator[str]:
    with running_server(
        tmp_path_factory.mktemp("transformers"),
        ENGINE="transformers",
        MODEL_ID=str(checkpoint),
        VIDEO_ROOTS=str(roots),
        # Several threads on tiny matrices only wait for each other.
        OMP_NUM_THREADS="1",
    ) as address:
        yield address


@pytest.fixture(scope="module")
def expected(server: str) -> tuple[list[object], dict[str, object]]:
    session_id = start(server)
    said = by_rest(server, session_id, ANY_MASKS)
    return said, httpx.get(f"{server}/api/v1/video/session/{session_id}/results").json()


def test_the_scenario_finds_things_and_keeps_them(expected):
    said, results = expected
    click, words, box, run = said[:4]
    assert click["obj_ids"] == [1]
    assert words["obj_ids"][0] == 2
    assert box["obj_ids"] == [max(words["obj_ids"]) + 1]
    assert sorted(frame for frame, _ in run) == list(range(12))
    # Each object is on every frame of the run from where it joined, so also where it was not prompted.
    for obj_id in (1, 2, box["obj_ids"][0]):
        assert all(obj_id in [o["id"] for o in objects] for frame, objects in run if frame >= 4)
    scores = {o["score"] for _, objects in run for o in objects if o["id"] == 1 and o["box"]}
    assert len(scores) > 5, "the score is the frame's own"
    assert all(0 <= score <= 1 for score in scores)
    assert results["size"] == [48, 64]


@pytest.mark.parametrize("door", [by_websocket, by_gradio])
def test_every_door_gives_the_same_masks(server: str, expected, door: Door):
    session_id = start(server)
    with warnings.catch_warnings():
        # gradio_client's own threads leave sockets to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        said = door(server, session_id, ANY_MASKS)
    assert json.loads(json.dumps(said)) == json.loads(json.dumps(expected[0]))
    assert httpx.get(f"{server}/api/v1/video/session/{session_id}/results").json() == expected[1]


def test_models_info_tells_which_model_and_no_path(server: str, checkpoint: Path):
    reply = httpx.get(f"{server}/models/info")
    (model,) = reply.json()["models"]
    assert (model["name"], model["title"], model["state"]) == ("transformers", "SAM 3", "ready")
    assert model["checkpoint"] == checkpoint.name
    assert model["capabilities"]["text"]
    assert model["capabilities"]["words"] == []
    assert str(checkpoint.parent) not in reply.text


def test_a_second_call_on_the_same_image_is_a_cache_hit(server: str):
    texts = ["ball", "cat", "dog", "tree", "car", "hat", "shoe", "sky"]
    image = base64.b64encode(png_bytes()).decode()
    body = {"image": image, "text_prompts": texts, "confidence_threshold": 0}
    first, second = (httpx.post(f"{server}/api/v1/image/cached-features", json=body, timeout=60).json() for _ in "ab")
    assert [(r["cache_hit"], r["cache"]) for r in (first, second)] == [(False, "on"), (True, "on")]
    assert first["results"] == second["results"]
    for text, result in zip(texts, first["results"], strict=True):
        alone = httpx.post(
            f"{server}/api/v1/image/segment",
            json={"image": image, "prompts": [{"type": "text", "text": text}], "confidence_threshold": 0},
            timeout=60,
        ).json()
        assert {k: alone[k] for k in ("masks", "boxes", "scores")} == {
            k: result[k] for k in ("masks", "boxes", "scores")
        }


def test_too_many_words_for_the_model_are_refused_in_a_sentence(server: str):
    session_id = start(server)
    body = {"frame_index": 0, "prompts": [{"type": "text", "text": "a b " * 40}]}
    reply = httpx.post(f"{server}/api/v1/video/session/{session_id}/prompt", json=body, timeout=60)
    assert reply.status_code == 422
    assert reply.json()["code"] == "text_too_long"


def test_the_exemplars_it_cannot_take_are_refused_before_anything_changes(server: str):
    session_id = start(server)
    url = f"{server}/api/v1/video/session/{session_id}"
    body = {"frame_index": 0, "prompts": [{"type": "box", "box": [0.1, 0.1, 0.3, 0.3], "exemplar": True}]}
    (model,) = httpx.get(f"{server}/models/info").json()["models"]
    if model["capabilities"]["exemplar"]:
        pytest.skip("torchvision is installed here, so this engine takes exemplars")
    assert httpx.post(f"{url}/prompt", json=body).status_code == 501
    assert httpx.get(f"{url}/log").json()["edits"] == []


def test_the_checkpoint_of_another_family_serves_clicks_and_says_that_it_knows_no_words(tmp_path: Path, roots: Path):
    checkpoint = make_checkpoint(tmp_path / "tiny-sam2", "sam2")
    # Without a GPU, so that it is not Meta's package where that is installed.
    environment = {"ENGINE": "auto", "CUDA_VISIBLE_DEVICES": "", "MODEL_ID": str(checkpoint), "OMP_NUM_THREADS": "1"}
    with running_server(tmp_path / "data", VIDEO_ROOTS=str(roots), **environment) as server:
        (model,) = httpx.get(f"{server}/models/info").json()["models"]
        assert (model["name"], model["title"]) == ("transformers", "SAM 2.1")
        assert "sam3" in model["note"], "auto says why it is not Meta's package"
        url = f"{server}/api/v1/video/session/{start(server)}"
        words = {"frame_index": 0, "prompts": [{"type": "text", "text": "ball"}]}
        assert httpx.post(f"{url}/prompt", json=words).status_code == 501
        click = {"frame_index": 0, "prompts": [{"type": "point", "points": [[0.4, 0.5]], "point_labels": [1]}]}
        assert httpx.post(f"{url}/prompt", json=click, timeout=60).json()["obj_ids"] == [1]
        ran = httpx.post(f"{url}/propagate", json={"direction": "forward"}, timeout=60).json()
        assert ran["total_frames"] == 12


@pytest.mark.slow
def test_the_gpu_check_says_that_there_is_no_gpu_and_goes_on_where_it_is_told_to(checkpoint: Path):
    from backend.engines.devices import gpus

    command = [sys.executable, "-m", "benchmarks.gpu_check"]
    environment = os.environ | {"ENGINE": "transformers", "MODEL_ID": str(checkpoint), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    if not gpus():
        refused = run()
        assert refused.returncode == 1
        assert "no GPU on this machine" in refused.stderr
        assert refused.stdout == ""
    small = ("--objects", "1", "2", "--frames", "3", "--resolutions", "480p", "--without-gpu")
    measured = run(*small)
    assert measured.returncode == 0, measured.stdout + measured.stderr
    # The contract was held against this very model; what needs a GPU or real weights says so.
    (tests,) = [line for line in measured.stdout.splitlines() if " passed" in line]
    assert "failed" not in tests
    assert int(tests.partition(" passed")[0].split()[-1]) >= 8
    assert "needs real weights" in measured.stdout
    rows = [line for line in measured.stdout.split("tiny-sam3, CPU:")[1].splitlines() if line.startswith("| ")]
    assert [row.split("|")[1:4] for row in rows[1:]] == [[" 1 ", " 3 ", " 480p "], [" 2 ", " 3 ", " 480p "]]
