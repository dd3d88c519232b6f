"""A server for images only."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.clips import png_bytes
from tests.server import running_server


@pytest.fixture(scope="module")
def images_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("images"), VIDEO_MODEL_ENABLED="false") as address:
        yield address


def test_video_routes_say_so_and_images_work(images_only: str):
    for method, path, body in (
        ("POST", "/session/start", {"video_path": "sample.mp4"}),
        ("GET", "/sessions", None),
        ("GET", "/session/x/status", None),
    ):
        reply = httpx.request(method, f"{images_only}/api/v1/video{path}", json=body)
        assert reply.status_code == 503
        assert reply.json()["code"] == "video_model_disabled"
    assert httpx.get(f"{images_only}/health").json()["video_model_enabled"] is False
    image = base64.b64encode(png_bytes()).decode()
    click = {"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}
    found = httpx.post(
        f"{images_only}/api/v1/image/segment", json={"image": image, "prompts": [click]}, timeout=60
    ).json()
    assert found["num_masks"] == 1
