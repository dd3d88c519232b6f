"""Drives the page and its rival in one browser."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from backend.masks import encode
from backend.settings import ROOT
from benchmarks.load.server import Server
from benchmarks.page.clip import SIZE, masks
from benchmarks.page.report import Followed, Report, Rival
from tests.e2e.browser import FLAGS, executable

Json = dict[str, Any]
VIEWPORT = {"width": 1920, "height": 1080}
# What came over the sockets, and which frames were on the canvas at the end of an animation frame.
WATCH = """() => {
  const seen = window.__seen = { frames: [], bytes: 0, painted: [], first: 0, last: 0 };
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', (event) => {
        if (!event.data.startsWith('{"type":"frame"') && !event.data.startsWith('{"type": "frame"')) return;
        seen.first ||= performance.now();
        seen.last = performance.now();
        seen.bytes += event.data.length;
        seen.frames.push(event.data.length);
      });
    }
  };
  const look = () => {
    const shown = window.__sam3?.shown() ?? -1;
    if (shown !== seen.painted.at(-1)) seen.painted.push(shown);
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
# From a pointer's event to the first animation frame after which the frame it asked for has been painted.
SCRUB = """() => {
  const found = window.__scrubs = [];
  document.addEventListener('pointermove', (event) => {
    const began = event.timeStamp;
    setTimeout(() => {
      const wanted = window.__sam3.frame();
      const look = () => {
        if (window.__sam3.frame() !== wanted) return;
        if (window.__sam3.shown() === wanted) {
          const channel = new MessageChannel();
          channel.port1.onmessage = () => found.push(performance.now() - began);
          requestAnimationFrame(() => channel.port2.postMessage(0));
        } else requestAnimationFrame(look);
      };
      look();
    });
  }, true);
}"""

# Nothing new for three seconds: the stream has ended.
QUIET = "() => ((t) => t.length > 1 && performance.now() - t.at(-1) > 3000)(window.__pictures.times)"


class Service:
    """The server's REST, as far as it is needed here."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=f"{address}/api/v1/video", timeout=600)

    def session(self, video: str) -> str:
        """A session with five objects on the first frame."""
        started = self._http.post("/session/start", json={"video_path": video}).raise_for_status().json()
        session_id = str(started["session_id"])
        for mask in masks():
            prompt = {"type": "mask", "mask": encode(mask).counts, "mode": "replace"}
            body = {"frame_index": 0, "prompts": [prompt]}
            self._http.post(f"/session/{session_id}/prompt", json=body).raise_for_status()
        return session_id

    def run(self, session_id: str) -> float:
        """Propagate with nobody watching; frames a second."""
        self._http.post(f"/session/{session_id}/propagate", json={"direction": "forward"}).raise_for_status()
        run = self._http.get(f"/session/{session_id}/status").json()["run"]
        return float(run["frames_per_second"])

    def results(self, session_id: str) -> Json:
        return dict(self._http.get(f"/session/{session_id}/results").raise_for_status().json())

    def overlay_bytes(self, session_id: str, frame_index: int) -> int:
        url = f"/session/{session_id}/frame/{frame_index}"
        return len(self._http.get(url, params={"overlay": 1, "width": SIZE[1]}).raise_for_status().content)

    def rate(self, session_id: str) -> float:
        return float(self._http.get(f"/session/{session_id}/status").json()["run"]["frames_per_second"])


@contextmanager
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        try:
            context = browser.new_context(viewport=VIEWPORT, color_scheme="dark")  # type: ignore[arg-type]
            context.set_default_timeout(600_000)
            yield context.new_page()
        finally:
            browser.close()


def follow(page: Page, server: Server, video: str, pace: float, total: int) -> tuple[Followed, str, int]:
    """A run that the page follows, after the same run alone; with it the session and the bytes of its messages."""
    service = Service(server.address)
    alone = service.run(service.session(video))
    session_id = service.session(video)
    page.goto(f"{server.address}/#session={session_id}")
    # Another hash alone loads nothing.
    page.reload()
    page.wait_for_function("() => window.__sam3?.state().view === 'work' && window.__sam3.shown() >= 0")
    page.evaluate("() => Object.assign(window.__seen, { frames: [], bytes: 0, painted: [] })")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => ['complete', 'error'].includes(window.__sam3.state().run?.state)")
    seen = page.evaluate("() => window.__seen")
    came = len(seen["frames"])
    # The first frame is on the canvas before the run.
    painted = len(set(seen["painted"]) - {-1})
    followed = Followed(pace, total, came, painted, service.rate(session_id), alone)
    return followed, session_id, seen["bytes"] // max(came, 1)


def scrub(page: Page, count: int) -> list[float]:
    """Drag the playhead over frames that were shown before, there and back."""
    page.evaluate(SCRUB)
    box = page.locator(".tl .ruler").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    wide = box["width"] * 0.2
    page.mouse.move(box["x"] + 1, y)
    page.mouse.down()
    for lap in range(2):
        if lap:
            # The first time only fetches the pictures.
            page.evaluate("() => { window.__scrubs.length = 0; }")
        for step in range(count):
            forth = step if step < count // 2 else count - step
            page.mouse.move(box["x"] + 1 + wide * forth / (count // 2), y)
            page.wait_for_function("() => window.__sam3.frame() === window.__sam3.shown()")
    page.mouse.up()
    return [float(value) for value in page.evaluate("() => window.__scrubs")]


def rival(page: Page, video: Path, results: Json, folder: Path) -> Rival:
    """The same frames through gr.Image."""
    stored = folder / "results.json"
    stored.write_text(json.dumps(results))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.page.rival", str(video), str(stored), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address, process)
        cdp = page.context.new_cdp_session(page)
        cdp.send("Network.enable")
        took = [0]

        def received(event: Json) -> None:
            took[0] += event["encodedDataLength"]

        cdp.on("Network.dataReceived", received)
        page.goto(address)
        page.wait_for_selector("#play")
        page.evaluate("""() => {
          const seen = window.__pictures = { sources: [], times: [] };
          const look = () => {
            const image = document.querySelector('#picture img');
            if (image?.complete && image.naturalWidth && image.src !== seen.sources.at(-1)) {
              seen.sources.push(image.src);
              seen.times.push(performance.now());
            }
            requestAnimationFrame(look);
          };
          look();
        }""")
        took[0] = 0
        page.click("#play")
        total = len(results["results"])
        quiet = (
            "() => { const t = window.__pictures.times; return t.length > 1 && performance.now() - t.at(-1) > 3000; }"
        )
        page.wait_for_function(quiet)
        seen = page.evaluate("() => window.__pictures")
        seconds = (seen["times"][-1] - seen["times"][0]) / 1000
        painted = len(seen["sources"])
        return Rival(total, painted, (painted - 1) / seconds, took[0] / total)
    finally:
        process.terminate()
        process.wait(15)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError("The Gradio app to compare with did not start.")
        try:
            httpx.get(address, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("The Gradio app to compare with did not answer.")


def measure(video: Path, total: int, paces: list[float], scrubs: int, folder: Path) -> Report:
    """All of it; see the package."""
    followed = []
    with browser_page() as page:
        page.add_init_script(f"({WATCH})()")
        for pace in paces:
            with Server(1, pace, 10, {"VIDEO_ROOTS": str(video.parent)}) as server:
                one, session_id, message_bytes = follow(page, server, video.name, pace, total)
                followed.append(one)
                if pace == paces[-1]:
                    times = scrub(page, scrubs)
                    service = Service(server.address)
                    picks = range(0, total, max(1, total // 10))
                    overlay = sum(service.overlay_bytes(session_id, i) for i in picks) / len(picks)
                    results = service.results(session_id)
        return Report(followed, times, message_bytes, overlay, rival(page, video, results, folder))
