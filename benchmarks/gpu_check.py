"""What a model engine does on this machine's GPU: `make gpu-check`.

Loads the checkpoint that the settings name, runs the tests that only a GPU can run with the same
settings, and prints frames a second and peak memory by objects, length and resolution, as a table
for the README. The video is made here: textured blocks that move, so nothing needs to be downloaded
but the weights.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.domain import BoolMask, Image, Leg, Seed, Snapshot, Span, Video
from backend.engines.base import Engine
from backend.engines.devices import gpus
from backend.engines.registry import EngineSpec, build, choose
from backend.errors import ServiceError
from backend.masks import encode
from backend.settings import ROOT, Settings

CHECK = "GPU_CHECK"
"""Tells the tests that they are to use the real engine: "gpu", or "anyway" where there is none."""
RESOLUTIONS = {"480p": (480, 854), "1080p": (1080, 1920)}


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `peak_mb` is None where the device doesn't tell."""

    objects: int
    frames: int
    resolution: str
    frames_per_second: float
    first_frame_seconds: float
    peak_mb: float | None


class MovingBlocks:
    """A made-up video: as many textured blocks as there are objects, each on a way of its own.

    Args:
        size: (height, width).
        frames: how many.
        objects: how many blocks.
    """

    def __init__(self, size: tuple[int, int], frames: int, objects: int) -> None:
        self._size = size
        self._frames = frames
        noise = np.random.default_rng(0)
        self._ground = noise.integers(60, 120, (*size, 3), np.uint8)
        side = max(8, min(size) // 10)
        self._patches = noise.integers(0, 256, (objects, side, side, 3), np.uint8)

    def __len__(self) -> int:
        return self._frames

    def read(self, frame_index: int) -> Image:
        """Frame `frame_index` as RGB uint8 (H, W, 3)."""
        picture = self._ground.copy()
        for number, patch in enumerate(self._patches):
            rows, cols = self._place(number, frame_index)
            picture[rows, cols] = patch
        return picture

    def mask(self, number: int, frame_index: int) -> BoolMask:
        """Where a block is, bool (H, W); it may be covered by others."""
        mask = np.zeros(self._size, np.bool_)
        mask[self._place(number, frame_index)] = True
        return mask

    def _place(self, number: int, frame_index: int) -> tuple[slice, slice]:
        side = self._patches.shape[1]
        y = (number * 97 + frame_index * (1 + number % 2)) % (self._size[0] - side)
        x = (number * 211 + frame_index * (1 + number % 3)) % (self._size[1] - side)
        return slice(y, y + side), slice(x, x + side)


def measure(engine: Engine, objects: int, frames: int, size: tuple[int, int], resolution: str) -> Row:
    """Follow `objects` through `frames` once, forward from the first."""
    clip = MovingBlocks(size, frames, objects)
    video = Video("made-up", Path("made-up"), "made-up", size[1], size[0], Fraction(25), frames, frames / 25)
    handle = engine.open(video, clip, Snapshot())
    seeds = tuple(Seed(0, i + 1, encode(clip.mask(i, 0)), prompted=True) for i in range(objects))
    span = Span("forward", (Leg(range(frames)),), tuple(range(1, objects + 1)), seeds, objects + 1)
    reset_peak()
    began = time.perf_counter()
    first = 0.0
    done = 0
    try:
        for done, result in enumerate(engine.propagate(handle, span), 1):  # noqa: B007
            assert len(result.obj_ids) == objects
            first = first or time.perf_counter() - began
        seconds = time.perf_counter() - began
    finally:
        # Also where the memory was full: the next measurement begins with what this one held.
        engine.close(handle)
    return Row(objects, frames, resolution, done / seconds, first, peak_mb())


def reset_peak() -> None:
    """Begin a new measurement of the device's memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_mb() -> float | None:
    """The most memory that torch had on the device since then, in MB (10^6 bytes)."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return float(torch.cuda.max_memory_allocated()) / 1e6


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    out = [
        "| objects | frames | resolution | frames/s | first frame, s | peak memory, MB |",
        "|--:|--:|---|--:|--:|--:|",
    ]
    for row in rows:
        peak = "–" if row.peak_mb is None else f"{row.peak_mb:.0f}"
        out.append(
            f"| {row.objects} | {row.frames} | {row.resolution} | {row.frames_per_second:.1f} "
            f"| {row.first_frame_seconds:.2f} | {peak} |"
        )
    return "\n".join(out)


def loaded(settings: Settings, anyway: bool) -> tuple[Engine, EngineSpec]:
    """The model engine of the settings, on the first GPU; `anyway`: on whatever there is.

    Raises:
        SystemExit: there is no GPU, or no model engine to be had.
    """
    found = gpus()
    if not found and not anyway:
        raise SystemExit("There is no GPU on this machine, so there is nothing to check. Nothing was measured.")
    for gpu in found:
        print(f"GPU {gpu.index}: {gpu.name}, {gpu.total_mb:.0f} MB, {gpu.used_mb:.0f} MB of it in use")
    try:
        spec: EngineSpec | None = choose(settings, found)[0]
        while spec is not None and spec.name in ("sam3", "transformers"):
            try:
                return build(spec, lambda stage: print(f"{stage} …", flush=True)), spec
            except ServiceError as error:
                print(f"{spec.title}: {error.sentence}")
                spec = spec.fallback
    except ServiceError as error:
        raise SystemExit(error.sentence) from None
    raise SystemExit("No model engine can be loaded here (see above): there is nothing to check.")


def run_tests(engine: str, on_gpu: bool) -> bool:
    """Run the tests marked `gpu`, with the engine of the settings; whether all of them passed."""
    # Those of Meta's package say what only it does.
    folders = ["tests/contract/engines", *(["tests/models"] if engine == "sam3" else [])]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", *folders]
    return subprocess.call(command, cwd=ROOT, env=os.environ | {CHECK: "gpu" if on_gpu else "anyway"}) == 0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--resolutions", nargs="+", choices=RESOLUTIONS, default=list(RESOLUTIONS))
    parser.add_argument("--without-gpu", action="store_true", help="do it on the CPU: to try this script out")
    parser.add_argument("--no-tests", action="store_true", help="only the table")
    args = parser.parse_args()

    engine, spec = loaded(Settings(), args.without_gpu)
    info = engine.info
    print(f"{info.title} ({info.name}), checkpoint {info.checkpoint}, on {info.device}")
    passed = args.no_tests or run_tests(info.name, on_gpu=bool(gpus()))
    # The first run of all also pays for what is prepared only once.
    measure(engine, 1, 3, RESOLUTIONS[args.resolutions[0]], args.resolutions[0])
    rows = []
    for resolution in args.resolutions:
        for frames in args.frames:
            for objects in args.objects:
                try:
                    rows.append(measure(engine, objects, frames, RESOLUTIONS[resolution], resolution))
                except ServiceError as error:
                    print(f"{objects} objects, {frames} frames, {resolution}: {error.sentence}")
                    continue
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(f"\n{info.title}, {info.checkpoint}, {info.device}{', compiled' if spec.compiled else ''}:\n\n{table(rows)}")
    if not passed:
        raise SystemExit("Some of the tests failed: see above.")


if __name__ == "__main__":
    main()
