"""Still images over REST: one, several at once, several texts on one."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
import numpy as np
import pytest

from backend.domain import Rle
from backend.masks import decode
from tests.clips import png_bytes
from tests.contract.test_bad_input import refused
from tests.server import running_server

CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
THINGS = {"type": "text", "text": "things"}


@pytest.fixture(scope="module")
def image() -> str:
    return base64.b64encode(png_bytes()).decode()


def test_a_batch_answers_each_image_in_order_with_its_own_id(http: httpx.Client, image: str):
    images = [
        {"id": "a", "image": image, "prompts": [CLICK]},
        {"id": 7, "image": f"data:image/png;base64,{image}", "prompts": [THINGS]},
    ]
    reply = http.post("/api/v1/image/batch", json={"images": images, "max_concurrent": 2}).json()
    assert (reply["total_images"], reply["successful"], reply["failed"]) == (2, 2, 0)
    first, second = reply["results"]
    assert (first["id"], first["num_masks"]) == ("a", 1)
    assert (second["id"], second["num_masks"]) == (7, 2)
    assert decode(Rle(first["masks"][0], *first["size"]))[24, 19]
    assert "error" not in first
    alone = http.post("/api/v1/image/segment", json={"image": image, "prompts": [THINGS]}).json()
    assert second["masks"] == alone["masks"]
    assert second["boxes"] == alone["boxes"]


def test_an_image_that_fails_stops_none_of_the_others(http: httpx.Client, image: str):
    images = [
        {"id": 1, "image": "@@", "prompts": [CLICK]},
        {"id": 2, "image": image, "prompts": [{"type": "point", "points": [[3, 0.5]], "point_labels": [1]}]},
        {"id": 3, "image": image, "prompts": [{"type": "nonsense"}]},
        {"id": 4, "image": image, "prompts": []},
        {"id": 5, "image": image, "prompts": [CLICK]},
    ]
    reply = http.post("/api/v1/image/batch", json={"images": images, "max_concurrent": 1}).json()
    assert (reply["total_images"], reply["successful"], reply["failed"]) == (5, 1, 4)
    assert [r.get("code") for r in reply["results"]] == [
        "invalid_base64",
        "invalid_coordinates",
        "invalid_prompt",
        "no_prompts",
        None,
    ]
    assert all(set(r) == {"id", "error", "code"} for r in reply["results"][:4])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"images": []}, None),
        ({"images": [{"id": 1, "image": "aGk="}]}, None),
        ({"images": [{"id": 1, "image": "aGk=", "prompts": [CLICK]}], "max_concurrent": 0}, None),
        ({"images": [{"id": 1, "image": "aGk=", "prompts": [CLICK]}], "confidence_threshold": 2}, "invalid_threshold"),
        ({"images": "none"}, None),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(http: httpx.Client, body: dict, code: str | None):
    refused(http.post("/api/v1/image/batch", json=body), 422, *([code] if code else []))


def test_each_text_is_looked_for_by_itself(http: httpx.Client, image: str):
    body = {"image": image, "text_prompts": ["thing", "things", "nothing", "thing"]}
    reply = http.post("/api/v1/image/cached-features", json=body).json()
    assert [r["prompt"] for r in reply["results"]] == body["text_prompts"]
    # The second finds what the first found, too.
    assert [r["num_masks"] for r in reply["results"]] == [1, 2, 0, 1]
    assert reply["results"][0] == reply["results"][3]
    assert reply["image_size"] == {"width": 64, "height": 48}
    high = http.post("/api/v1/image/cached-features", json=body | {"confidence_threshold": 0.95}).json()
    assert [r["num_masks"] for r in high["results"]] == [0, 0, 0, 0]


def test_an_engine_without_an_encoder_says_that_nothing_is_cached(http: httpx.Client, image: str):
    body = {"image": image, "text_prompts": ["thing"]}
    replies = [http.post("/api/v1/image/cached-features", json=body).json() for _ in range(2)]
    assert [(r["cache_hit"], r["cache"]) for r in replies] == [(False, "none")] * 2


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"text_prompts": []}, 422, None),
        ({"text_prompts": ["thing", "  "]}, 422, "empty_text"),
        ({"text_prompts": ["x" * 201]}, 422, "text_too_long"),
        ({"text_prompts": "thing"}, 422, None),
        ({"image": "@@"}, 400, "invalid_base64"),
        ({"image": "aGk="}, 400, "invalid_media"),
        ({"confidence_threshold": -1}, 422, "invalid_threshold"),
    ],
)
def test_bad_texts_and_images_are_refused(http: httpx.Client, image: str, change: dict, status: int, code: str | None):
    body = {"image": image, "text_prompts": ["thing"], **change}
    refused(http.post("/api/v1/image/cached-features", json=body), status, *([code] if code else []))


def test_image_calls_leave_no_session_behind(http: httpx.Client, image: str):
    before = http.get("/health").json()["active_sessions"]
    http.post("/api/v1/image/batch", json={"images": [{"id": i, "image": image, "prompts": [CLICK]} for i in range(6)]})
    http.post("/api/v1/image/cached-features", json={"image": image, "text_prompts": ["#raise"]})
    assert http.get("/health").json()["active_sessions"] == before


# --- GPUs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gpu_ids", [[0], [7, 8], [-1], [True]])
def test_gpus_that_there_are_not_are_refused(http: httpx.Client, gpu_ids: list):
    reply = http.post("/api/v1/video/session/start", json={"video_path": "square.mp4", "gpu_ids": gpu_ids})
    refused(reply, 422)


def test_no_gpus_asked_for_are_no_wish(http: httpx.Client):
    reply = http.post("/api/v1/video/session/start", json={"video_path": "square.mp4", "gpu_ids": []})
    assert reply.status_code == 200
    http.delete(f"/api/v1/video/session/{reply.json()['session_id']}")


def test_gpus_are_checked_through_gradio_too(server: str):
    from gradio_client import Client

    client = Client(server, verbose=False, download_files=False)
    try:
        with pytest.raises(Exception, match="unknown_gpu"):
            client.predict(video_path="square.mp4", gpu_ids=[3], api_name="/start_session")
    finally:
        client.close()


# --- which engine ------------------------------------------------------------------------------


def test_a_model_that_cannot_be_loaded_is_replaced_and_said(tmp_path: Path):
    # Asked for a checkpoint which is not there.
    missing = str(Path("/nowhere/secret-model"))
    with running_server(tmp_path, ENGINE="transformers", MODEL_ID=missing) as server:
        (model,) = httpx.get(f"{server}/models/info").json()["models"]
        warned = [line for line in (tmp_path / "server.log").read_text().splitlines() if "is used instead" in line]
    assert (model["name"], model["state"]) == ("lite", "ready")
    assert "can't be used here" in model["note"]
    assert "/nowhere" not in model["note"]
    assert len(warned) == 1
    assert "WARNING" in warned[0]
    assert "There is no folder “secret-model”" in warned[0]


def test_a_required_model_that_cannot_be_loaded_ends_the_server(tmp_path: Path):
    with (
        pytest.raises(AssertionError) as raised,
        running_server(tmp_path, ENGINE="transformers", MODEL_ID="/nowhere/model", VIDEO_MODEL_REQUIRED="true"),
    ):
        pass
    log = (tmp_path / "server.log").read_text()
    assert "the server did not start" in str(raised.value)
    assert "Traceback" not in log.splitlines()[-1]
    assert np.char.count(log.splitlines()[-1], ".") >= 1
