"""What is done with several sessions: one file of them all; and what a list shows of each."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import cv2
import httpx
import numpy as np
import pytest

from tests.clips import png_bytes

CLICK = {"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}


@pytest.fixture
def stills(http: httpx.Client) -> Iterator[list[str]]:
    """The ids of two sessions of an image each; the second has an object."""
    ids = []
    for name in ("one.png", "two.png"):
        upload = http.post("/api/v1/video/upload", files={"file": (name, png_bytes(400, 300))}).json()
        started = http.post("/api/v1/video/session/start", json={"video_id": upload["video_id"]})
        ids.append(started.json()["session_id"])
    prompted = http.post(f"/api/v1/video/session/{ids[1]}/prompt", json={"frame_index": 0, "prompts": [CLICK]})
    assert prompted.status_code == 200, prompted.text
    http.post(f"/api/v1/video/session/{ids[1]}/object/1/approve").raise_for_status()
    yield ids
    for session_id in ids:
        http.delete(f"/api/v1/video/session/{session_id}")


def test_several_sessions_are_exported_as_one_file(http: httpx.Client, stills: list[str]) -> None:
    reply = http.post("/api/v1/video/sessions/export/coco_rle_json", json={"session_ids": [*stills, stills[0]]})
    assert reply.status_code == 200, reply.text
    assert 'filename="2-images.json"' in reply.headers["content-disposition"]
    data = reply.json()
    assert [i["file_name"] for i in data["images"]] == ["one.png", "two.png"]
    assert [(a["image_id"], a["video_id"], a["approved"]) for a in data["annotations"]] == [(2, 2, True)]

    reply = http.post("/api/v1/video/sessions/export/session", json={"session_ids": stills})
    assert reply.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.content)) as bundle:
        assert bundle.namelist() == ["one.sam3.zip", "two.sam3.zip"]
        one = bundle.read("two.sam3.zip")
    again = http.post("/api/v1/video/session/import", files={"file": ("two.sam3.zip", one)})
    assert again.status_code == 200, again.text
    http.delete(f"/api/v1/video/session/{again.json()['session_id']}").raise_for_status()


def test_what_can_t_be_exported_together_is_said(http: httpx.Client, stills: list[str]) -> None:
    for name, body, status, code in (
        ("coco_rle_json", {"session_ids": [*stills, "never-was"]}, 404, "session_not_found"),
        ("nonsense", {"session_ids": stills}, 404, "unknown_format"),
        ("coco_rle_json", {"session_ids": stills, "options": {"objects": "1"}}, 422, "invalid_option"),
        ("session", {"session_ids": stills, "options": {"stale": "skip"}}, 422, "invalid_option"),
        ("coco_rle_json", {"session_ids": []}, 422, None),
        ("coco_rle_json", {"session_ids": stills * 501}, 422, None),
    ):
        reply = http.post(f"/api/v1/video/sessions/export/{name}", json=body)
        assert reply.status_code == status, reply.text
        assert code is None or reply.json()["code"] == code
        assert reply.json()["detail"]


def test_a_thumbnail_is_small_and_shows_the_objects(http: httpx.Client, stills: list[str]) -> None:
    pictures = []
    for session_id in stills:
        reply = http.get(f"/api/v1/video/session/{session_id}/thumbnail")
        assert reply.headers["content-type"] == "image/jpeg"
        pictures.append(cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR))
    assert all(p.shape == (180, 240, 3) for p in pictures)
    # The pictures are the same but for the disc in the middle of the second.
    apart = np.abs(pictures[0].astype(int) - pictures[1]).mean(2)
    assert apart[80:100, 110:130].mean() > 20
    assert apart[:40].mean() < 2


def test_a_list_says_when_a_session_was_last_changed(http: httpx.Client, stills: list[str]) -> None:
    listed = {s["session_id"]: s for s in http.get("/api/v1/video/sessions").json()["sessions"]}
    assert listed[stills[0]]["changed_at"] == listed[stills[0]]["created_at"]
    assert listed[stills[1]]["changed_at"] > listed[stills[1]]["created_at"]
