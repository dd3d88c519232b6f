"""Somebody who labels by plain rules, with mouse and keys only, and the stopwatch in their hand."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from backend.domain import BoolMask, Rle
from backend.masks import decode
from benchmarks.lite.clicks import next_click
from benchmarks.lite.measures import region
from benchmarks.minute.clip import Minute
from tests.e2e.person import Person

GOOD, GOOD_ENOUGH = 0.9, 0.8
"""IoU at which a first mask is left alone, and one on a frame to check."""
CLICKS = 6
"""Clicks into one mask at one time, at most: whoever needs more takes the brush."""
ROUNDS = 4
"""How often they propagate, at most."""


class Annotator:
    """Labels the clip through a page. `actions` counts by kind, `waited` the seconds by what for."""

    def __init__(self, person: Person, clip: Minute, objects: int) -> None:
        self._person, self._clip, self._objects = person, clip, objects
        self.actions: Counter[str] = Counter()
        self.waited: defaultdict[str, float] = defaultdict(float)
        self.log: list[str] = []
        self.checked: set[tuple[int, int]] = set()

    @contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.waited[what] += time.monotonic() - began

    def _press(self, key: str, kind: str) -> None:
        self.actions[kind] += 1
        self._person.press(key)

    # --- the job

    def label(self, video: Path) -> None:
        self.actions["open"] += 2  # the button, and the file
        with self._waiting("upload"):
            self._person.upload(video)
        for number in range(self._objects):
            if number:
                self._press("n", "new object")
            self._improve(0, number, GOOD)
        for _ in range(ROUNDS):
            self._propagate()
            if not self._repair():
                break
        self._export()

    def _improve(self, frame: int, number: int, good: float) -> int:
        """Click into the largest mistake until the mask is good; how many clicks that took."""
        for clicks in range(CLICKS):
            truth, mask = self._clip.mask(frame, number), self._mask(frame, number)
            if region(mask, truth) >= good:
                return clicks
            x, y, label = next_click(truth, mask)
            # Over another object a plain click would choose that one.
            modifier = "Alt" if not label else "Shift" if clicks or mask.any() else None
            self.actions["click"] += 1
            at = (x + 0.5) / self._clip.width, (y + 0.5) / self._clip.height
            with self._waiting("clicks"):
                self._person.click(*at, modifier=modifier).settled()
        return CLICKS

    def _propagate(self) -> None:
        self._press("Control+Enter", "propagate")
        with self._waiting("propagation"):
            self._person.until("s.run && ['queued', 'running'].includes(s.run.state)")
            self._person.finished(3600)
            self._person.settled()
        self.log.append(f"propagated: {self._quality():.3f} mean IoU, {len(self._problems())} to check")

    def _repair(self) -> bool:
        """Go to the frames to check, one after another; whether anything was corrected."""
        corrected = False
        seen: set[tuple[int, int]] = set()
        while fresh := [p for p in self._problems() if (p["frame_index"], p["obj_id"]) not in seen]:
            self._person.until("s.problems.length === arg", len(self._problems()))
            self._press(".", "next to check")
            frame, obj_id = self._person.state("frame"), self._person.state("selected")
            self._person.until("s.shown === arg", frame)
            if (frame, obj_id) in seen:
                # Back at one that was looked at: the rest is walked through without more ado.
                seen |= {(p["frame_index"], p["obj_id"]) for p in fresh}
                break
            seen.add((frame, obj_id))
            self.checked.add((frame, obj_id))
            number = int(obj_id) - 1
            if region(self._mask(frame, number), self._clip.mask(frame, number)) < GOOD_ENOUGH:
                self._improve(frame, number, GOOD)
                corrected = True
                break  # What comes after it changes with the next run.
        return corrected

    def _export(self) -> None:
        self.actions["export"] += 2
        page = self._person.page
        with self._waiting("export"):
            page.locator("[data-do=export]:visible").first.click()
            with page.expect_download(timeout=600_000) as download:
                page.locator("[data-format=coco_rle_json]").click()
            download.value.path()

    # --- what is there

    def _api(self, path: str) -> Any:
        url = f"{self._person.address}/api/v1/video/session/{self._person.state('sid')}/{path}"
        return httpx.get(url, timeout=600).raise_for_status().json()

    def _problems(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api("problems")["problems"]
        return found

    def _mask(self, frame: int, number: int) -> BoolMask:
        if self._person.state("sid") is None:
            return np.zeros((self._clip.height, self._clip.width), np.bool_)
        return self._masks(frame, frame)[frame].get(number, np.zeros((self._clip.height, self._clip.width), np.bool_))

    def _masks(self, first: int, last: int) -> dict[int, dict[int, BoolMask]]:
        reply = self._api(f"results?start={first}&stop={last}")
        height, width = reply["size"]
        out: dict[int, dict[int, BoolMask]] = {n: {} for n in range(first, last + 1)}
        for key, result in reply["results"].items():
            for found in result["objects"]:
                out[int(key)][found["id"] - 1] = decode(Rle(found["mask"], height, width))
        return out

    def _quality(self) -> float:
        return float(np.mean([value for row in self.overlaps(every=10) for value in row]))

    def overlaps(self, every: int = 1) -> list[list[float]]:
        """IoU of each object on each frame (or every so many)."""
        nothing = np.zeros((self._clip.height, self._clip.width), np.bool_)
        out = []
        for start in range(0, self._clip.frames, 60):
            masks = self._masks(start, min(start + 59, self._clip.frames - 1))
            for frame, here in masks.items():
                if frame % every == 0:
                    row = [region(here.get(n, nothing), self._clip.mask(frame, n)) for n in range(self._objects)]
                    out.append(row)
        return out
