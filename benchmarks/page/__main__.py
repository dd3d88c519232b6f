"""`python -m benchmarks.page`: see the package."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.page.clip import write
from benchmarks.page.measure import measure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description="Measure the page in a browser.")
    parser.add_argument("--frames", type=int, default=240, help="length of the clip")
    parser.add_argument("--paces", default="0.1,0.05,0.033,0", help="seconds that a frame takes the engine")
    parser.add_argument("--scrubs", type=int, default=120, help="how often the playhead is moved")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sam3-page-") as folder:
        video = Path(folder) / "videos" / "clip.mp4"
        video.parent.mkdir()
        write(video, args.frames)
        paces = [float(pace) for pace in args.paces.split(",")]
        print("\n".join(measure(video, args.frames, paces, args.scrubs, Path(folder)).lines()))


if __name__ == "__main__":
    main()
