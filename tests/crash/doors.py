"""The service's doors as its clients use them: REST, the WebSockets, and Gradio's own API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import websockets
from websockets.sync.client import connect

Json = dict[str, Any]
OnFrame = Callable[[str, int | None, Json], None]
"""Told of each frame of a run that arrives: the run's id, its place if the door says it, the frame."""

SECONDS = 60.0
_GONE = (httpx.TransportError, websockets.WebSocketException, OSError)


class Gone(Exception):
    """The server went away; whether it did what was asked is not known."""


class Refused(Exception):
    """The server said no."""

    def __init__(self, code: str, sentence: str, status: int | None = None) -> None:
        super().__init__(f"{status or ''} {code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.status = status


class Rest:
    """REST, with a connection of its own."""

    name = "rest"

    def __init__(self, address: str, timeout: float = SECONDS) -> None:
        self.address = address
        self._http = httpx.Client(base_url=f"{address}/api/v1/video", timeout=timeout, trust_env=False)

    def close_connection(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Json | None = None, **more: Any) -> Json:
        try:
            reply = self._http.request(method, path, json=body, **more)
        except _GONE as error:
            raise Gone from error
        return _checked(reply)

    def upload(self, data: bytes, name: str) -> Json:
        return self.call("POST", "/upload", files={"file": (name, data)})

    def start(self, body: Json) -> Json:
        return self.call("POST", "/session/start", body)

    def sessions(self) -> list[Json]:
        return list(self.call("GET", "/sessions")["sessions"])

    def prompt(self, session_id: str, body: Json) -> Json:
        return self.call("POST", f"/session/{session_id}/prompt", body)

    def step(self, session_id: str, which: str) -> Json:
        """Undo, redo, reset or cancel."""
        return self.call("POST", f"/session/{session_id}/{which}")

    def look(self, session_id: str, what: str) -> Json:
        """Log, results or status."""
        return self.call("GET", f"/session/{session_id}/{what}")

    def remove(self, session_id: str, obj_id: int) -> Json:
        return self.call("DELETE", f"/session/{session_id}/object/{obj_id}")

    def rename(self, session_id: str, obj_id: int, body: Json) -> Json:
        return self.call("PATCH", f"/session/{session_id}/object/{obj_id}", body)

    def approve(self, session_id: str, obj_id: int, body: Json) -> Json:
        return self.call("POST", f"/session/{session_id}/object/{obj_id}/approve", body)

    def close(self, session_id: str) -> Json:
        return self.call("DELETE", f"/session/{session_id}")

    def propagate(self, session_id: str, body: Json, on_frame: OnFrame) -> Json:
        """Read the body as it comes; returns what follows the frames."""
        reader = _Streamed(on_frame)
        try:
            with self._http.stream("POST", f"/session/{session_id}/propagate", json=body) as reply:
                if reply.status_code != 200:
                    reply.read()
                    _checked(reply)
                for piece in reply.iter_text():
                    reader.feed(piece)
        except _GONE as error:
            raise Gone from error
        if reader.tail is None:
            raise Gone
        if reader.tail["status"] == "error":
            raise Refused(reader.tail["code"], reader.tail["error"])
        return reader.tail


def _checked(reply: httpx.Response) -> Json:
    try:
        body = reply.json()
    except ValueError as error:
        raise AssertionError(f"{reply.status_code} without JSON: {reply.text[:200]!r}") from error
    if reply.status_code != 200:
        raise Refused(body["code"], body["detail"], reply.status_code)
    return dict(body)


class _Streamed:
    """Takes the JSON of a streamed propagation apart while it comes."""

    _HEAD = re.compile(r'^(\{.*?"results": )\{')
    _FRAME = re.compile(r'^(?:, )?"\d+": ')

    def __init__(self, on_frame: OnFrame) -> None:
        self.tail: Json | None = None
        self._on_frame = on_frame
        self._text = ""
        self._head: Json | None = None
        self._decoder = json.JSONDecoder()

    def feed(self, piece: str) -> None:
        self._text += piece
        if self._head is None:
            found = self._HEAD.match(self._text)
            if not found:
                return
            self._head = json.loads(found[1].rstrip().removesuffix('"results":').rstrip(" ,") + "}")
            self._text = self._text[found.end() :]
        while found := self._FRAME.match(self._text):
            try:
                frame, end = self._decoder.raw_decode(self._text, found.end())
            except ValueError:
                return
            self._text = self._text[end:]
            self._on_frame(self._head["run_id"], None, frame)
        if self._text.startswith("}, ") and self._text.endswith("}"):
            self.tail = {**self._head, **json.loads("{" + self._text[3:])}


class Socket(Rest):
    """Propagations over the WebSocket, the rest over REST."""

    name = "websocket"

    def propagate(self, session_id: str, body: Json, on_frame: OnFrame) -> Json:
        return self._messages(f"propagate/{session_id}", body, on_frame)

    def follow(self, session_id: str, from_seq: int, on_frame: OnFrame) -> Json:
        return self._messages(f"follow/{session_id}", {"from_seq": from_seq}, on_frame)

    def _messages(self, path: str, body: Json, on_frame: OnFrame) -> Json:
        address = f"ws{self.address.removeprefix('http')}/api/v1/video/ws/{path}"
        try:
            with connect(address, open_timeout=SECONDS, close_timeout=1, max_size=None, proxy=None) as socket:
                socket.send(json.dumps(body))
                while True:
                    item = json.loads(socket.recv(SECONDS))
                    if item["type"] == "frame":
                        on_frame(item["run_id"], item["seq"], item)
                    elif item["type"] == "error":
                        raise Refused(item["code"], item["error"])
                    else:
                        return dict(item) | {"status": item["type"]}
        except _GONE as error:
            raise Gone from error


class Gradio(Rest):
    """Gradio's API where it has the operation, in its plain HTTP form; REST for what it lacks."""

    name = "gradio"

    def __init__(self, address: str, timeout: float = SECONDS) -> None:
        super().__init__(address, timeout)
        self._gradio = httpx.Client(base_url=f"{address}/gradio_api/call/v2", timeout=timeout, trust_env=False)

    def close_connection(self) -> None:
        super().close_connection()
        self._gradio.close()

    def _items(self, api: str, **values: Any) -> Iterator[tuple[str, Any]]:
        """The events of a call: `generating`, then `complete`."""
        try:
            asked = self._gradio.post(f"/{api}", json={k: v for k, v in values.items() if v is not None})
            assert asked.status_code == 200, asked.text
            event = ""
            with self._gradio.stream("GET", f"/{api}/{asked.json()['event_id']}") as reply:
                for line in reply.iter_lines():
                    if line.startswith("event: "):
                        event = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        data = json.loads(line.removeprefix("data: "))
                        if event == "error":
                            text = data["error"] if isinstance(data, dict) else str(data)
                            code = re.search(r"\[(\w+)\]\s*$", text or "")
                            raise Refused(code[1] if code else "unknown", text)
                        if event != "heartbeat":
                            yield event, data
                        if event == "complete":
                            return
        except _GONE as error:
            raise Gone from error
        raise Gone

    def _call(self, api: str, **values: Any) -> Json:
        for event, data in self._items(api, **values):
            if event == "complete":
                return dict(data[0])
        raise Gone

    def start(self, body: Json) -> Json:
        return self._call("start_session", **body)

    def sessions(self) -> list[Json]:
        return list(self._call("list_sessions")["sessions"])

    def prompt(self, session_id: str, body: Json) -> Json:
        return self._call("add_prompt", session_id=session_id, **body)

    def step(self, session_id: str, which: str) -> Json:
        return self._call("reset_session" if which == "reset" else which, session_id=session_id)

    def remove(self, session_id: str, obj_id: int) -> Json:
        return self._call("remove_object", session_id=session_id, obj_id=obj_id)

    def approve(self, session_id: str, obj_id: int, body: Json) -> Json:
        return self._call("approve", session_id=session_id, obj_id=obj_id, **body)

    def close(self, session_id: str) -> Json:
        return self._call("close_session", session_id=session_id)

    def propagate(self, session_id: str, body: Json, on_frame: OnFrame) -> Json:
        last: Json | None = None
        for event, data in self._items("propagate", session_id=session_id, **body):
            if event == "generating":
                value = data[0]
                if isinstance(value[0], list):
                    # All but the first come as the difference from the one before: here, a replacement.
                    ((how, where, value),) = value
                    assert (how, where) == ("replace", [])
                item = value[0]
                if item["type"] == "frame":
                    on_frame(item["run_id"], item["seq"], item)
                else:
                    last = item
        if last is None:
            raise Gone
        return last | {"status": last["type"]}


DOORS: tuple[type[Rest], ...] = (Rest, Socket, Gradio)
