"""A session as a file through REST, and one data folder for one server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from tests.server import ROOT, free_port


def test_a_session_is_exported_and_imported(http: httpx.Client, session_url: str) -> None:
    click = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
    http.post(f"{session_url}/prompt", json={"frame_index": 2, "prompts": [click]}).raise_for_status()
    http.post(f"{session_url}/propagate", json={"max_frames": 3}).raise_for_status()
    file = http.get(f"{session_url}/export/session")
    assert file.headers["content-type"] == "application/zip"
    assert "square.sam3.zip" in file.headers["content-disposition"]
    reply = http.post("/api/v1/video/session/import", files={"file": ("square.sam3.zip", file.content)})
    assert reply.status_code == 200, reply.text
    again = f"/api/v1/video/session/{reply.json()['session_id']}"
    assert reply.json()["video_info"]["total_frames"] == 12
    assert http.get(f"{again}/results").json() == http.get(f"{session_url}/results").json()
    assert http.get(f"{again}/log").json() == http.get(f"{session_url}/log").json()
    assert http.get(f"{again}/frame/3").content == http.get(f"{session_url}/frame/3").content
    http.delete(again).raise_for_status()
    bad = http.post("/api/v1/video/session/import", files={"file": ("x.sam3.zip", file.content[:-100])})
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid_session_file")


def test_a_second_server_on_the_same_folder_says_so_and_ends(server: str, server_data: Path) -> None:
    env = {"DATA_DIR": str(server_data), "SERVER_PORT": str(free_port()), "ENGINE": "fake", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert "Another server uses this DATA_DIR" in ended.stderr
    assert httpx.get(f"{server}/health").status_code == 200
