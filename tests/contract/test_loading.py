"""While a model loads: the server is there at once, says what is going on, and prompts wait."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.contract.test_doors import start
from tests.gated import gated_server

CLICK = {"frame_index": 0, "prompts": [{"type": "point", "points": [[0.2, 0.5]], "point_labels": [1]}]}


def model_of(server: str) -> dict:
    (model,) = httpx.get(f"{server}/models/info").json()["models"]
    return model


def until(server: str, **wanted: object) -> dict:
    """The model's entry of /models/info, once it says all this."""
    last = time.monotonic() + 90
    while True:
        model = model_of(server)
        if all(model[name] == value for name, value in wanted.items()):
            return model
        assert time.monotonic() < last, model
        time.sleep(0.05)


def test_a_model_loads_in_the_background_and_ready_tells(tmp_path: Path, roots: Path):
    with gated_server(tmp_path, VIDEO_ROOTS=str(roots)) as (server, go_on), ThreadPoolExecutor(1) as caller:
        model = until(server, stage="Importing PyTorch")
        assert (model["state"], model["loaded"], model["title"]) == ("loading", False, "transformers")
        ready = httpx.get(f"{server}/ready")
        assert ready.status_code == 503
        assert ready.json() == {
            "detail": "The engine is loading: Importing PyTorch.",
            "code": "engine_loading",
            "status": "loading",
        }
        # Everything that needs no model works meanwhile, and what needs one waits for it.
        session_id = start(server)
        url = f"{server}/api/v1/video/session/{session_id}"
        assert httpx.get(f"{url}/frame/0").status_code == 200
        clicked = caller.submit(httpx.post, f"{url}/prompt", json=CLICK, timeout=120)
        assert httpx.get(f"{url}/log").json()["edits"] == []
        assert httpx.get(f"{server}/ready").status_code == 503
        assert not clicked.done()
        go_on()
        assert clicked.result(120).json()["obj_ids"] == [1]
        model = until(server, state="ready")
        assert (model["title"], model["checkpoint"], model["stage"]) == ("SAM 3", "tiny-sam3", "")
        assert httpx.get(f"{server}/ready").status_code == 200
