"""What clients get wrong: each gets its status and a sentence, and nothing is left behind."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.clips import png_bytes, write_clip

CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}


def refused(reply: httpx.Response, status: int, code: str | None = None) -> str:
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"detail", "code"}
    assert body["detail"].endswith(".")
    assert "Traceback" not in body["detail"]
    assert "/tmp" not in body["detail"]
    if code:
        assert body["code"] == code
    return str(body["detail"])


def upload(http: httpx.Client, data: bytes, name: str = "a.mp4", **form: Any) -> httpx.Response:
    return http.post("/api/v1/video/upload", files={"file": (name, data)}, data=form)


def stored_files(server_data: Path) -> list[str]:
    return sorted(str(p) for p in (server_data / "uploads").rglob("*") if p.is_file())


def huge_png() -> bytes:
    """20,000 × 20,000 pixels of nothing in a few kilobytes."""
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG", optimize=True)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def long_clip(folder: Path) -> bytes:
    return write_clip(folder / "long.mp4", frames=200, fps=2).read_bytes()


BAD_UPLOADS = {
    "not a video": (lambda tmp: b"hello, I am no video" * 100, 400, "invalid_media"),
    "empty": (lambda tmp: b"", 400, None),
    "truncated": (lambda tmp: write_clip(tmp / "c.mp4", 100).read_bytes()[:3000], 400, None),
    "20,000 x 20,000 pixels": (lambda tmp: huge_png(), 413, "too_many_pixels"),
    "longer than MAX_VIDEO_SECONDS": (long_clip, 413, "video_too_long"),
    "larger than MAX_UPLOAD_SIZE_MB": (lambda tmp: b"\0" * 21_000_000, 413, "upload_too_large"),
    "much larger": (lambda tmp: b"\0" * 40_000_000, 413, "upload_too_large"),
    "zip with a path trick": (lambda tmp: zipped({"../../0001.png": png_bytes()}), 400, "unsafe_archive"),
    "zip without frames": (lambda tmp: zipped({"readme.txt": b"hi"}), 400, None),
}


@pytest.mark.parametrize("what", BAD_UPLOADS)
def test_bad_uploads(http: httpx.Client, server_data: Path, tmp_path: Path, what: str):
    make, status, code = BAD_UPLOADS[what]
    before = stored_files(server_data)
    refused(upload(http, make(tmp_path)), status, code)
    assert stored_files(server_data) == before


def test_a_name_with_path_tricks_is_only_a_name(http: httpx.Client, server_data: Path, tmp_path: Path):
    data = write_clip(tmp_path / "c.mp4").read_bytes()
    reply = upload(http, data, "../../../etc/../evil<script>.mp4")
    assert reply.status_code == 200
    assert "/" not in reply.json()["video_info"]["name"]
    assert not list(server_data.parent.rglob("evil*"))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_video"),
        ({"video_id": "nope"}, 404, "video_not_found"),
        ({"video_path": "/etc/passwd"}, 404, "video_not_found"),
        ({"video_path": "../square.mp4"}, 404, "video_not_found"),
        ({"video_path": "missing.mp4"}, 404, "video_not_found"),
        ({"video_path": "square.mp4\0"}, 404, "video_not_found"),
        ({"video_url": "http://127.0.0.1/x.mp4"}, 501, "video_url_disabled"),
        ({"video_base64": "!!!"}, 400, "invalid_base64"),
        ({"video_base64": "aGVsbG8="}, 400, "invalid_media"),
        ({"video_path": "square.mp4", "video_id": "x"}, 422, "invalid_video"),
        ({"video_path": "square.mp4", "session_id": "a b"}, 422, "invalid_session_id"),
        ({"video_path": "square.mp4", "session_id": ""}, 422, "invalid_session_id"),
        ({"video_path": "square.mp4", "gpu_ids": [9]}, 422, "unknown_gpu"),
        ({"video_path": "square.mp4", "fps": -1}, 422, "invalid_fps"),
        ({"video_path": 5}, 422, "malformed_request"),
        ([], 422, "malformed_request"),
    ],
)
def test_bad_starts(http: httpx.Client, body: Any, status: int, code: str):
    before = http.get("/api/v1/video/sessions").json()["total_sessions"]
    refused(http.post("/api/v1/video/session/start", json=body), status, code)
    assert http.get("/api/v1/video/sessions").json()["total_sessions"] == before


def test_a_second_session_with_the_same_id(http: httpx.Client):
    body = {"video_path": "square.mp4", "session_id": "twice"}
    assert http.post("/api/v1/video/session/start", json=body).status_code == 200
    refused(http.post("/api/v1/video/session/start", json=body), 409, "session_exists")
    assert http.delete("/api/v1/video/session/twice").status_code == 200
    refused(http.delete("/api/v1/video/session/twice"), 404, "session_not_found")


def test_a_session_s_own_video_ends_with_it(http: httpx.Client, server_data: Path, tmp_path: Path):
    before = stored_files(server_data)
    data = base64.b64encode(write_clip(tmp_path / "c.mp4").read_bytes()).decode()
    for body in ({"video_path": "square.mp4"}, {"video_base64": data}):
        started = http.post("/api/v1/video/session/start", json=body).json()
        assert stored_files(server_data) != before
        assert http.delete(f"/api/v1/video/session/{started['session_id']}").status_code == 200
        assert stored_files(server_data) == before


def points(*xy: Any) -> dict[str, Any]:
    return {"frame_index": 0, "prompts": [{"type": "point", "points": [list(xy)], "point_labels": [1]}]}


def box(*xywh: Any) -> dict[str, Any]:
    return {"frame_index": 0, "prompts": [{"type": "box", "box": list(xywh)}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (points(1.1, 0.5), 422),
        (points(-0.1, 0.5), 422),
        (points(float("nan"), 0.5), 422),
        (points(float("inf"), 0.5), 422),
        (points(10**400, 0.5), 422),
        (points(0.5), 422),
        (points("a", 0.5), 422),
        (box(0.1, 0.1, 0, 0.5), 422),
        (box(0.8, 0.1, 0.5, 0.5), 422),
        (box(0.1, 0.1, -0.5, 0.5), 422),
        (box(0.1, 0.1, float("nan"), 0.5), 422),
        (box(0.1, 0.1), 422),
        ({"frame_index": 12, "prompts": [CLICK]}, 422),
        ({"frame_index": -1, "prompts": [CLICK]}, 422),
        ({"frame_index": 10**30, "prompts": [CLICK]}, 422),
        ({"frame_index": 0.5, "prompts": [CLICK]}, 422),
        ({"frame_index": 0, "prompts": []}, 422),
        ({"frame_index": 0, "prompts": [{"type": "wish"}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "text", "text": "   "}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "text", "text": "x" * 5000}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "point", "points": [[0.5, 0.5]], "point_labels": [2]}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "point", "points": [[0.5, 0.5]], "point_labels": [1, 1]}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "mask", "mask": "\x00\x01"}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "mask", "mask": "0"}]}, 422),
        ({"frame_index": 0, "prompts": [{"type": "mask", "mask": "é漢"}]}, 422),
        ({"frame_index": 0, "prompts": [CLICK], "obj_id": 7}, 404),
        ({"frame_index": 0, "prompts": [{"type": "box", "box": [0, 0, 0.5, 0.5], "exemplar": True}]}, 501),
    ],
)
def test_bad_prompts(http: httpx.Client, session_url: str, body: Any, status: int):
    data = json.dumps(body).encode()
    reply = http.post(f"{session_url}/prompt", content=data, headers={"content-type": "application/json"})
    refused(reply, status)
    # The session stays usable.
    assert http.get(f"{session_url}/status").json()["objects"] == []
    assert http.post(f"{session_url}/prompt", json={"frame_index": 0, "prompts": [CLICK]}).json()["obj_ids"] == [1]


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"{", b"\xff\xfe", b"[" * 100_000, b'{"frame_index": 0}', b"null"]
)
def test_a_body_that_is_no_json(http: httpx.Client, session_url: str, content: bytes):
    reply = http.post(f"{session_url}/prompt", content=content, headers={"content-type": "application/json"})
    refused(reply, 422)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "no_prompt"),
        ({"direction": "sideways"}, 422, None),
        ({"obj_ids": [4]}, 404, "unknown_object"),
        ({"start_frame_index": 99}, 422, None),
        ({"max_frames": 0}, 422, None),
    ],
)
def test_bad_propagations(http: httpx.Client, session_url: str, body: Any, status: int, code: str | None):
    if code != "no_prompt":
        http.post(f"{session_url}/prompt", json={"frame_index": 3, "prompts": [CLICK]})
    refused(http.post(f"{session_url}/propagate", json=body), status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/results?start=99", 422),
        ("GET", "/results?obj_id=9", 404),
        ("GET", "/problems?obj_id=9", 404),
        ("GET", "/frame/12", 422),
        ("GET", "/frame/-1", 422),
        ("GET", "/frame/x", 422),
        ("GET", "/frame/0?width=1", 422),
        ("GET", "/export/nothing", 404),
        ("GET", "/export/coco_rle_json?colour=red", 422),
        ("POST", "/undo", 409),
        ("POST", "/redo", 409),
        ("DELETE", "/object/3", 404),
        ("POST", "/object/3/approve", 404),
        ("POST", "/object/3/merge", 422),
        ("PATCH", "/object/3", 422),
        ("GET", "/nothing", 404),
        ("PUT", "/status", 405),
    ],
)
def test_bad_addresses(http: httpx.Client, session_url: str, method: str, path: str, status: int):
    refused(http.request(method, session_url + path), status)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("approve", {"start": 12}, 422, "frame_out_of_range"),
        ("approve", {"stop": -1}, 422, "frame_out_of_range"),
        ("approve", {"start": 5, "stop": 4}, 422, "invalid_range"),
        ("approve", {"approved": "yes"}, 422, "malformed_request"),
        ("split", {}, 422, "malformed_request"),
        ("split", {"frame_index": 12, "prompts": [CLICK]}, 422, "frame_out_of_range"),
        ("split", {"frame_index": 3, "prompts": []}, 422, "malformed_request"),
        ("split", {"frame_index": 3, "prompts": [{"type": "text", "text": "dog"}]}, 422, "malformed_request"),
        ("split", {"frame_index": 3, "prompts": [CLICK]}, 422, "nothing_to_split"),
        ("split", {"frame_index": 4, "prompts": [CLICK]}, 422, "nothing_to_split"),
        ("split", {"frame_index": 3, "prompts": [CLICK], "start": 4}, 422, "invalid_range"),
        ("merge", {"obj_id": 1}, 422, "same_object"),
        ("merge", {"obj_id": 2}, 404, "unknown_object"),
        ("merge", {"obj_id": 2, "start": 9, "stop": 3}, 422, "invalid_range"),
    ],
)
def test_bad_repairs(http: httpx.Client, session_url: str, path: str, body: Any, status: int, code: str):
    http.post(f"{session_url}/prompt", json={"frame_index": 3, "prompts": [CLICK]})
    refused(http.post(f"{session_url}/object/1/{path}", json=body), status, code)
    assert len(http.get(f"{session_url}/log").json()["edits"]) == 1


def test_images(http: httpx.Client):
    image = base64.b64encode(png_bytes()).decode()
    body = {"image": image, "prompts": [{"type": "text", "text": "things"}, CLICK], "return_visualization": True}
    reply = http.post("/api/v1/image/segment", json=body).json()
    assert reply["num_masks"] == 2
    assert reply["image_size"] == {"width": 64, "height": 48}
    assert reply["size"] == [48, 64]
    assert reply["visualization_url"].startswith("data:image/jpeg;base64,")
    with_head = http.post("/api/v1/image/segment", json={"image": f"data:image/png;base64,{image}", "prompts": [CLICK]})
    assert with_head.json()["num_masks"] == 1
    assert with_head.json()["visualization_url"] is None
    high = http.post("/api/v1/image/segment", json=body | {"confidence_threshold": 0.95})
    assert high.json()["num_masks"] == 0
    refused(http.post("/api/v1/image/segment", json={"image": "@@", "prompts": [CLICK]}), 400, "invalid_base64")
    refused(http.post("/api/v1/image/segment", json={"image": "aGk=", "prompts": [CLICK]}), 400, "invalid_media")
    refused(http.post("/api/v1/image/segment", json={"image": image, "prompts": []}), 422)
    refused(http.post("/api/v1/image/segment", json=body | {"confidence_threshold": 2}), 422, "invalid_threshold")
    clip = http.get("/health").json()
    assert clip["status"] == "healthy"


def test_the_documentation_page_needs_no_internet(http: httpx.Client):
    document = http.get("/openapi.json").json()
    prompt = document["paths"]["/api/v1/video/session/{session_id}/prompt"]["post"]["responses"]
    assert prompt["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorReply")
    page = http.get("/docs").text
    scripts = [line for line in page.splitlines() if "src=" in line or "href=" in line]
    assert scripts
    assert not [line for line in scripts if "http" in line]
