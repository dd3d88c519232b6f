"""One scenario through every door, on one real server, with equal results."""

from __future__ import annotations

import asyncio
import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.sync.client import connect

SECOND_CLICK = {"type": "point", "points": [[0.8, 0.2]], "point_labels": [1]}
SCENARIO: list[tuple[str, dict[str, Any]]] = [
    ("prompt", {"frame_index": 2, "prompts": [{"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}]}),
    ("prompt", {"frame_index": 2, "prompts": [{"type": "text", "text": "things"}]}),
    ("prompt", {"frame_index": 4, "prompts": [{"type": "box", "box": [0.5, 0.2, 0.3, 0.4]}]}),
    ("propagate", {"direction": "both"}),
    ("prompt", {"frame_index": 6, "obj_id": 1, "prompts": [SECOND_CLICK]}),
    ("propagate", {"direction": "forward", "start_frame_index": 6, "obj_ids": [1], "max_frames": 3}),
    ("undo", {}),
    ("undo", {}),
    ("redo", {}),
    ("approve", {"obj_id": 1, "start": 3, "stop": 5}),
    ("approve", {"obj_id": 1, "start": 4, "approved": False}),
    ("split", {"obj_id": 1, "frame_index": 6, "start": 5, "prompts": [SECOND_CLICK]}),
    ("merge", {"obj_id": 3, "other_obj_id": 4, "start": 2, "stop": 6}),
    ("merge", {"obj_id": 3, "other_obj_id": 4}),
    ("remove", {"obj_id": 2}),
    ("propagate", {"direction": "backward", "end_frame_index": 1}),
]

ANY_MASKS = [step for step in SCENARIO if step[0] not in ("split", "merge")]
"""What can be done whatever the masks look like: a random model's may be in one piece."""
OBJECT_ROUTES = {"approve": "/approve", "split": "/split_object", "merge": "/merge_objects"}
"""What is done to an object, by its name in REST, and its endpoint of Gradio's."""

Scenario = list[tuple[str, dict[str, Any]]]
Door = Callable[[str, str, Scenario], list[Any]]


def start(server: str) -> str:
    reply = httpx.post(f"{server}/api/v1/video/session/start", json={"video_path": "square.mp4"})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["session_id"])


def frames_only(frames: list[dict[str, Any]]) -> list[Any]:
    return [(f["frame_index"], f["objects"]) for f in frames]


def by_rest(server: str, session_id: str, scenario: Scenario, socket: bool = False) -> list[Any]:
    out: list[Any] = []
    with httpx.Client(base_url=f"{server}/api/v1/video/session/{session_id}", timeout=60) as http:
        for name, body in scenario:
            if name == "propagate":
                frames = (
                    propagate_by_socket(server, session_id, body)
                    if socket
                    else list(http.post("/propagate", json=body).json()["results"].values())
                )
                out.append(frames_only(frames))
            elif name in OBJECT_ROUTES:
                # The object is in the address; a merge names the other one.
                sent = {k.removeprefix("other_"): v for k, v in body.items() if k != "obj_id"}
                out.append(shown(http.post(f"/object/{body['obj_id']}/{name}", json=sent).raise_for_status().json()))
            elif name == "remove":
                out.append(http.delete(f"/object/{body['obj_id']}").json()["status"])
            else:
                reply = http.post(f"/{name}", json=body)
                assert reply.status_code == 200, reply.text
                out.append(shown(reply.json()))
    return out


def by_websocket(server: str, session_id: str, scenario: Scenario) -> list[Any]:
    return by_rest(server, session_id, scenario, socket=True)


def propagate_by_socket(server: str, session_id: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    frames = []
    with connect(f"ws{server.removeprefix('http')}/api/v1/video/ws/propagate/{session_id}") as socket:
        socket.send(json.dumps(body))
        for message in socket:
            item = json.loads(message)
            if item["type"] == "frame":
                assert item["seq"] == len(frames)
                frames.append(item)
            else:
                assert item["type"] == "complete"
                assert item["total_frames"] == len(frames)
    return frames


def by_gradio(server: str, session_id: str, scenario: Scenario) -> list[Any]:
    from gradio_client import Client

    client = Client(server, verbose=False, download_files=False)
    out: list[Any] = []
    try:
        for name, body in scenario:
            if name == "propagate":
                items = list(client.submit(session_id, api_name="/propagate", **body))
                *frames, last = [item for item, _ in items]
                assert last["type"] == "complete"
                out.append(frames_only(frames))
            elif name in OBJECT_ROUTES:
                out.append(shown(client.predict(session_id, api_name=OBJECT_ROUTES[name], **body)))
            elif name == "remove":
                out.append(client.predict(session_id, body["obj_id"], api_name="/remove_object")["status"])
            elif name == "prompt":
                out.append(shown(client.predict(session_id, api_name="/add_prompt", **body)))
            else:
                out.append(shown(client.predict(session_id, api_name=f"/{name}")))
    finally:
        client.close()
    return out


def shown(reply: dict[str, Any]) -> Any:
    """What of a reply does not depend on when it came."""
    for step in ("undone", "redone"):
        if reply.get(step):
            reply[step] = {k: v for k, v in reply[step].items() if k not in ("at", "run_id")}
    return {k: v for k, v in reply.items() if k != "session_id"}


@pytest.fixture(scope="module")
def by_rest_first(server: str) -> tuple[list[Any], Any]:
    session_id = start(server)
    said = by_rest(server, session_id, SCENARIO)
    return said, httpx.get(f"{server}/api/v1/video/session/{session_id}/results").json()


@pytest.mark.parametrize("door", [by_websocket, by_gradio])
def test_every_door_gives_equal_results(server: str, by_rest_first: tuple[list[Any], Any], door: Door):
    session_id = start(server)
    with warnings.catch_warnings():
        # gradio_client's own threads leave sockets to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        said = door(server, session_id, SCENARIO)
    expected, results = by_rest_first
    for step, (mine, theirs) in enumerate(zip(said, json.loads(json.dumps(expected)), strict=True)):
        assert json.loads(json.dumps(mine)) == theirs, SCENARIO[step]
    assert httpx.get(f"{server}/api/v1/video/session/{session_id}/results").json() == results


def test_gradio_streams_overlay_pictures_when_asked(server: str, http: httpx.Client):
    from gradio_client import Client

    session_id = start(server)
    client = Client(server, verbose=False, download_files=False)
    try:
        client.predict(session_id, 0, SCENARIO[0][1]["prompts"], api_name="/add_prompt")
        items = list(client.submit(session_id, "forward", overlay=True, max_frames=3, api_name="/propagate"))
    finally:
        client.close()
    assert [item["type"] for item, _ in items] == ["frame", "frame", "frame", "complete"]
    assert all(picture.startswith("data:image/jpeg;base64,") for _, picture in items[:3])


def test_gradio_streams_a_frame_with_fewer_objects_than_the_last_one_rightly(server: str):
    from gradio_client import Client

    session_id = start(server)
    client = Client(server, verbose=False, download_files=False)
    try:
        client.predict(session_id, 2, SCENARIO[0][1]["prompts"], api_name="/add_prompt")
        for frame in (5, 6):
            client.predict(session_id, frame, [{"type": "text", "text": "things"}], api_name="/add_prompt")
        for x in (0.1, 0.5):
            box = {"type": "box", "box": [x, 0.6, 0.2, 0.2]}
            client.predict(session_id, 5, [box], api_name="/add_prompt")
        items = [item for item, _ in client.submit(session_id, "both", api_name="/propagate")]
    finally:
        client.close()
    ids = {item["frame_index"]: sorted(o["id"] for o in item["objects"]) for item in items[:-1]}
    stored = httpx.get(f"{server}/api/v1/video/session/{session_id}/results").json()["results"]
    assert ids == {int(f): sorted(o["id"] for o in frame["objects"]) for f, frame in stored.items()}
    assert len(ids[11]) - len(ids[1]) > 2, "the case that this is about"


def test_gradio_takes_files_and_gives_files(server: str, roots: Path, tmp_path: Path):
    from gradio_client import Client, handle_file

    client = Client(server, verbose=False, download_files=str(tmp_path))
    try:
        started = client.predict(video=handle_file(roots / "square.mp4"), api_name="/start_session")
        assert started["video_info"]["total_frames"] == 12
        session_id = started["session_id"]
        client.predict(session_id, 0, SCENARIO[0][1]["prompts"], api_name="/add_prompt")
        path = client.predict(session_id, "coco_rle_json", api_name="/export")
        assert json.loads(Path(path).read_text())["annotations"]
        assert session_id in [s["session_id"] for s in client.predict(api_name="/list_sessions")["sessions"]]
        assert client.predict(session_id, api_name="/session_status")["current_objects"] == [1]
        assert client.predict(session_id, api_name="/reset_session")["objects_cleared"] == 1
        assert client.predict(session_id, api_name="/close_session")["status"] == "closed"
        with pytest.raises(Exception, match="session_not_found"):
            client.predict(session_id, api_name="/session_status")
    finally:
        client.close()


@pytest.mark.parametrize("inside", [False, True])
def test_gradio_reads_no_file_of_the_server(http: httpx.Client, roots: Path, inside: bool):
    path = str(roots / "square.mp4") if inside else "/etc/passwd"
    stranger = {"path": path, "meta": {"_type": "gradio.FileData"}}
    asked = http.post("/gradio_api/call/start_session", json={"data": [stranger, None, None, None, None, None]})
    stream = http.get(f"/gradio_api/call/start_session/{asked.json()['event_id']}").text
    assert "event: error" in stream
    assert "session_id" not in stream


def test_gradio_s_endpoints_are_typed(server: str):
    info = httpx.get(f"{server}/gradio_api/info").json()["named_endpoints"]
    names = {
        *("/start_session", "/add_prompt", "/propagate", "/cancel", "/undo", "/redo", "/remove_object", "/approve"),
        *("/split_object", "/merge_objects"),
        *("/reset_session", "/close_session", "/session_status", "/list_sessions", "/export", "/segment_image"),
    }
    assert names <= set(info)
    prompt = {p["parameter_name"]: p["python_type"]["type"] for p in info["/add_prompt"]["parameters"]}
    assert prompt["frame_index"] == "int"


def test_a_follower_joins_late_and_misses_nothing(server: str, session_url: str, http: httpx.Client):
    session_id = session_url.rsplit("/", 1)[1]
    http.post(f"{session_url}/prompt", json=SCENARIO[0][1])
    whole = frames_only(propagate_by_socket(server, session_id, {"direction": "forward"}))

    async def join(from_seq: int) -> list[dict[str, Any]]:
        address = f"ws{server.removeprefix('http')}/api/v1/video/ws/follow/{session_id}"
        async with websockets.connect(address) as socket:
            await socket.send(json.dumps({"from_seq": from_seq}))
            return [json.loads(message) async for message in socket]

    for from_seq in (0, 4):
        *frames, last = asyncio.run(join(from_seq))
        assert frames_only(frames) == whole[from_seq:]
        assert [f["seq"] for f in frames] == list(range(from_seq, len(whole)))
        assert last["type"] == "complete"


@pytest.mark.parametrize(
    ("path", "first", "code"),
    [
        ("propagate/nobody", "{}", 4404),
        ("propagate/SESSION", "{}", 4422),
        ("propagate/SESSION", "not json", 4422),
        ("propagate/SESSION", '{"direction": "sideways"}', 4422),
        ("propagate/SESSION", '{"obj_ids": [5]}', 4404),
        ("follow/SESSION", "{}", 4404),
        ("follow/SESSION", '{"from_seq": -1}', 4422),
    ],
)
def test_a_socket_that_is_refused_is_told_why(server: str, session_url: str, path: str, first: str, code: int):
    path = path.replace("SESSION", session_url.rsplit("/", 1)[1])
    with connect(f"ws{server.removeprefix('http')}/api/v1/video/ws/{path}") as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            # An unknown session is refused before anything is asked.
            socket.send(first)
        reply = json.loads(socket.recv())
        assert reply["type"] == "error"
        assert reply["error"].endswith(".")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd.code == code


def test_a_foreign_page_s_socket_is_refused(server: str, session_url: str):
    address = f"ws{server.removeprefix('http')}/api/v1/video/ws/propagate/{session_url.rsplit('/', 1)[1]}"
    with connect(address, origin="https://elsewhere.example") as socket:
        assert json.loads(socket.recv())["code"] == "foreign_origin"


def test_the_page_s_modules_are_asked_about_each_time(http: httpx.Client):
    first = http.get("/canvas/main.js")
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-cache"
    again = http.get("/canvas/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "no-cache"
