"""The embedded engine behind the real server: the README's examples, and the sample's exact masks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from backend.domain import Rle
from backend.masks import decode
from tests.server import ROOT, running_server

EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("lite"), ENGINE="auto") as address:
        yield address


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_readme_s_examples_run_as_written(lite: str, tmp_path: Path, language: str):
    (source,) = [code for kind, code in EXAMPLE.findall((ROOT / "README.md").read_text("utf-8")) if kind == language]
    # All that is changed is where the server is: tests take a free port.
    source = source.replace("http://localhost:7860", lite)
    command = [sys.executable, "-c", source] if language == "python" else ["sh", "-euc", source]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    if language == "python":
        assert done.stdout.count("'frame_index'") == 5
        assert "saved" in done.stdout
    else:
        assert (tmp_path / "sample-overlay.mp4").stat().st_size > 10_000


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_a_click_on_the_sample_finds_its_object_and_follows_it(lite: str):
    truth = json.loads((ROOT / "assets" / "sample_masks.json").read_text())
    height, width = truth["size"]

    def exact(obj_id: int, frame: int) -> np.ndarray:
        return decode(Rle(truth["frames"][frame][obj_id - 1], height, width))

    with httpx.Client(base_url=f"{lite}/api/v1/video", timeout=120) as http:
        started = http.post("/session/start", json={"video_path": "sample.mp4"}).json()
        url = f"/session/{started['session_id']}"
        assert started["video_info"]["resolution"] == {"width": width, "height": height}
        for obj_id in (known["id"] for known in truth["objects"]):
            # Where a person would click: well inside.
            depth = cv2.distanceTransform(exact(obj_id, 0).astype(np.uint8), cv2.DIST_L2, 5)
            row, col = np.unravel_index(depth.argmax(), depth.shape)
            point = [float((col + 0.5) / width), float((row + 0.5) / height)]
            body = {"frame_index": 0, "prompts": [{"type": "point", "points": [point], "point_labels": [1]}]}
            reply = http.post(f"{url}/prompt", json=body).json()
            found = decode(Rle(reply["masks"][0], *reply["size"]))
            score = iou(found, exact(obj_id, 0))
            assert score > 0.6, f"object {obj_id}: {score:.2f}"
        ran = http.post(f"{url}/propagate", json={"direction": "forward", "max_frames": 8}).json()
        assert ran["total_frames"] == 8
        for mask in ran["results"]["7"]["objects"]:
            score = iou(decode(Rle(mask["mask"], *ran["size"])), exact(mask["id"], 7))
            assert score > 0.6, f"object {mask['id']}: {score:.2f}"
        stacked = sum(decode(Rle(m["mask"], *ran["size"])).astype(int) for m in ran["results"]["7"]["objects"])
        assert stacked.max() == 1


def test_the_words_that_lite_does_not_know_are_said(lite: str):
    models = httpx.get(f"{lite}/models/info").json()["models"]
    (info,) = models
    assert info["name"] == "lite"
    assert info["capabilities"]["text"] is True
    started = httpx.post(f"{lite}/api/v1/video/session/start", json={"video_path": "sample.mp4"}, timeout=60).json()
    body = {"frame_index": 0, "prompts": [{"type": "text", "text": "unicorn"}]}
    reply = httpx.post(f"{lite}/api/v1/video/session/{started['session_id']}/prompt", json=body, timeout=60).json()
    assert reply["obj_id"] is None
    assert all(word in reply["message"] for word in info["capabilities"]["words"])
