"""Runs schemathesis over a server's OpenAPI document, with every check on, and counts what it did.

Random ids only ever meet a 404, so a keeper has a few sessions standing, with objects and results,
and puts their ids into the requests whose path is not what is being fuzzed. In the stateful phase
schemathesis finds its own: there sessions are started, used and closed by links between replies.
"""

from __future__ import annotations

import base64
import random
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events

from tests.clips import png_bytes

CONFIG = Path(__file__).with_name("schemathesis.toml")
VIDEO = "square.mp4"
"""The clip by its path under the server's root."""
CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
TWICE = {"type": "point", "points": [[0.3, 0.5], [0.7, 0.5]], "point_labels": [1, 1]}
STANDING = [f"standing-{n}" for n in range(4)]
SESSION = "/api/v1/video/session/"


@dataclass
class Report:
    """What a run did: requests by route and status, and what the checks found wrong."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    def by_route(self) -> dict[str, dict[int, int]]:
        routes: dict[str, dict[int, int]] = {}
        for (route, status), count in sorted(self.requests.items()):
            routes.setdefault(route, {})[status] = count
        return routes

    def table(self) -> str:
        lines = [f"{self.total} requests; checks passed: {dict(sorted(self.checks.items()))}"]
        lines += [f"{route:62} {statuses}" for route, statuses in self.by_route().items()]
        return "\n".join(lines)


def picture_as_text() -> str:
    """A BMP all of whose bytes are ASCII: schemathesis takes others for a breach of a schema of strings."""
    width, height = 16, 12
    pixels = bytes((40, 80, 120)) * width * height
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return (head + info + pixels).decode("ascii")


class Keeper:
    """Has sessions standing on a server, each with an object and results."""

    def __init__(self, address: str, headers: dict[str, str], clip: Path) -> None:
        self._http = httpx.Client(base_url=address, headers=headers, timeout=60)
        self._draw = random.Random(4)
        self._objects: dict[str, list[int]] = {}
        upload = self._http.post("/api/v1/video/upload", files={"file": clip.read_bytes()}).raise_for_status()
        self._video_id = upload.json()["video_id"]

    def session(self) -> tuple[str, list[int]]:
        """A session that there is, and its objects."""
        session_id = self._draw.choice(STANDING)
        if session_id not in self._objects:
            self._objects[session_id] = self._stand(session_id)
        return session_id, self._objects[session_id]

    def _stand(self, session_id: str) -> list[int]:
        url = SESSION + session_id
        status = self._http.get(f"{url}/status")
        if status.status_code == 404:
            self._http.post(
                f"{SESSION}start", json={"video_id": self._video_id, "session_id": session_id}
            ).raise_for_status()
            status = self._http.get(f"{url}/status")
        objects: list[int] = status.json()["current_objects"]
        if not objects:
            body = {"frame_index": 0, "prompts": [CLICK]}
            objects = self._http.post(f"{url}/prompt", json=body).raise_for_status().json()["obj_ids"]
            self._http.post(f"{url}/propagate", json={"max_frames": 3}).raise_for_status()
        return objects

    def fill(self, case: Any) -> None:
        """Put what there is into a request, where it is not that part of it which is being fuzzed."""
        meta = case.meta
        if meta is None or meta.phase.name == "stateful":
            return
        draw = self._draw
        if "label" in case.path_parameters and not meta.is_negative_at(ParameterLocation.PATH) and draw.random() < 0.8:
            case.path_parameters["label"] = "drawn"
            self._http.put("/api/v1/video/labels", json={"label": "drawn", "color": "#102030"})
        if "session_id" in case.path_parameters and not meta.is_negative_at(ParameterLocation.PATH):
            session_id, objects = self.session()
            case.path_parameters["session_id"] = session_id
            if case.path.endswith("/redo") and draw.random() < 0.8:
                self._http.post(f"{SESSION}{session_id}/undo")
            known = {
                "obj_id": objects,
                "frame_index": range(12),
                "format_name": ["coco_rle_json", "overlay_mp4", "session"],
            }
            for name, values in known.items():
                if name in case.path_parameters and draw.random() < 0.8:
                    case.path_parameters[name] = draw.choice(values)
        if meta.generation.mode.is_negative or not isinstance(case.body, dict) or draw.random() > 0.8:
            return
        # What has to be looked into by a child process is sent now and then only.
        rarely = draw.random() < 0.2
        if case.path.endswith("/start"):
            video = {"video_path": VIDEO} if rarely else {"video_id": self._video_id}
            case.body = {k: v for k, v in case.body.items() if k in ("fps", "session_id") and v} | video
        elif case.path.endswith("/upload") and "file" in case.body and rarely:
            case.body["file"] = picture_as_text()
        elif "image" in case.body and draw.random() < 0.5:
            case.body["image"] = base64.b64encode(png_bytes()).decode()
        elif "images" in case.body and rarely:
            case.body["images"][0]["image"] = base64.b64encode(png_bytes()).decode()
        elif case.path.endswith(("/split", "/merge")):
            if not meta.is_negative_at(ParameterLocation.PATH) and draw.random() < 0.5:
                self._repair(case)
        elif "frame_index" in case.body:
            case.body["frame_index"] = draw.randrange(12)

    def _repair(self, case: Any) -> None:
        """Have an object of two pieces there, to be split, or to be merged into another."""
        url = f"{SESSION}{case.path_parameters['session_id']}"
        made = self._http.post(f"{url}/prompt", json={"frame_index": 0, "prompts": [TWICE]}).raise_for_status().json()
        if case.path.endswith("/split"):
            case.path_parameters["obj_id"] = made["obj_id"]
            case.body = {"frame_index": 0, "prompts": [CLICK]}
        else:
            case.body = {"obj_id": made["obj_id"]}

    def answered(self, case: Any) -> None:
        """Look again at a session whose objects may have gone."""
        if case.method in ("POST", "DELETE"):
            self._objects.pop(str((case.path_parameters or {}).get("session_id")), None)

    def close(self) -> None:
        self._http.close()


def run(address: str, clip: Path, examples: int, headers: dict[str, str] | None = None) -> Report:
    """Run all phases with all checks; `examples` for each operation in the phases that draw."""
    config = SchemathesisConfig.from_path(CONFIG)
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", config=config, headers=headers or {})
    schema.config.generation.update(max_examples=examples)
    if headers:
        schema.config.headers = headers
    report = Report()
    keeper = Keeper(address, headers or {}, clip)

    def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
        keeper.fill(case)

    def after_call(context: Any, case: Any, response: Any) -> None:
        keeper.answered(case)
        report.requests[f"{case.method} {case.path}", response.status_code] += 1

    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    try:
        for event in engine.from_schema(schema).execute():
            _note(event, report)
    finally:
        schemathesis.hooks.unregister(before_call)
        schemathesis.hooks.unregister(after_call)
        keeper.close()
    return report


def _note(event: events.EngineEvent, report: Report) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        report.failures.append(f"schemathesis could not go on: {event}")
    if not isinstance(event, events.ScenarioFinished):
        return
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                report.checks[check.name] += 1
                continue
            interaction = event.recorder.interactions.get(case_id)
            answer = interaction.response if interaction else None
            body = (answer.content or b"")[:300] if answer else b""
            report.failures.append(
                f"{check.name} at {event.label}: {check.failure_info.failure}\n"
                f"  {check.failure_info.code_sample[:600]}\n  -> {answer and answer.status_code} {body!r}"
            )
