"""`python -m benchmarks.minute`: see the package."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.load.server import Server
from benchmarks.minute.annotator import GOOD_ENOUGH, Annotator
from benchmarks.minute.clip import Minute
from benchmarks.page.clip import FPS
from tests.e2e.browser import chromium
from tests.e2e.person import Person


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.minute", description="Label a minute of video.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--shots", type=Path, help="a folder for a picture of the page at the end")
    args = parser.parse_args()
    clip = Minute(round(args.seconds * float(FPS)))
    with (
        tempfile.TemporaryDirectory(prefix="sam3-minute-") as folder,
        Server(1, 0, 10, {"ENGINE": "lite"}) as server,
        chromium() as browser,
    ):
        video = Path(folder) / "minute.mp4"
        clip.write(video)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        person = Person(page, server.address).open()
        annotator = Annotator(person, clip, args.objects)
        began = time.monotonic()
        annotator.label(video)
        spent = time.monotonic() - began
        if args.shots:
            args.shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=args.shots / "minute.png")
        overlaps = np.array(annotator.overlaps())
        for line in annotator.log:
            print(line)
        print(f"{clip.frames} frames, {args.objects} objects, {spent:.0f} s altogether")
        print("actions:", sum(annotator.actions.values()), dict(annotator.actions))
        print("waited:", {what: round(seconds, 1) for what, seconds in annotator.waited.items()}, "s")
        print(
            "mean IoU by object:",
            np.round(overlaps.mean(0), 3).tolist(),
            "worst frame:",
            np.round(overlaps.min(0), 3).tolist(),
        )
        print(f"frames below {GOOD_ENOUGH}:", (overlaps < GOOD_ENOUGH).sum(0).tolist())
        if person.problems:
            print("the page complained:", person.problems[:5])


if __name__ == "__main__":
    main()
