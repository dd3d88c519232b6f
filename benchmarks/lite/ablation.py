"""What each part of the tracker is worth: mean J and F without it, over whole runs and over one step at a time.

    python -m benchmarks.lite.ablation [--sets davis] [--every 8]

A step starts from the exact mask of the frame before, learns from the first frame's exact mask, and is measured on the
next frame: what a part does for a frame, without what its mistakes do later.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from backend.domain import Leg, Seed, Snapshot, Span
from backend.engines.lite import LiteEngine, cues, guided, match, parts, tracker
from backend.masks import encode
from benchmarks.lite.data import Sequence, on_one_thread, sequences
from benchmarks.lite.following import by_lite, measure
from benchmarks.lite.measures import boundary, region

Without = Callable[[LiteEngine, ExitStack], None]


def _unweighted(*names: str) -> Without:
    """A fusion that does not hear these cues."""

    def part(_: LiteEngine, stack: ExitStack) -> None:
        deaf = dataclasses.replace(cues.FUSION, **dict.fromkeys(names, 0.0))
        stack.enter_context(mock.patch.object(tracker, "FUSION", deaf))

    return part


def _replaced(module: object, name: str, value: object) -> Without:
    def part(_: LiteEngine, stack: ExitStack) -> None:
        stack.enter_context(mock.patch.object(module, name, value))

    return part


def _unrefined(engine: LiteEngine, stack: ExitStack) -> None:
    stack.enter_context(mock.patch.object(engine, "_refiner", None))


def _uncut(logits: cues.Floats, *_: object) -> cues.Floats:
    return cues.sigmoid(logits)


PARTS: Mapping[str, Without] = {
    "nothing": lambda engine, stack: None,
    "the refiner": _unrefined,
    "matching against references": _unweighted("reference"),
    "matching against memory": _unweighted("memory"),
    "places in matching": _replaced(match, "_POSITION", np.float32(1e-6)),
    "the linear classifier": _unweighted("linear"),
    "colours close by": _unweighted("local"),
    "colours": _unweighted("colour"),
    "the carried mask": _unweighted("carried", "doubtful"),
    "the distance from its edge": _unweighted("distance"),
    "the cut along edges": _replaced(tracker, "cut_out", _uncut),
    "the dropping of specks": _replaced(tracker, "drop_specks", lambda soft: None),
    "the dropping of parts that moved": _replaced(parts, "drop_strays", lambda soft, known: None),
    "windows that go by depth": _replaced(guided, "window_of", lambda soft, cell: guided.RADIUS),
}


@contextmanager
def without(part: Without, engine: LiteEngine) -> Iterator[None]:
    with ExitStack() as stack:
        part(engine, stack)
        yield


def steps(engine: LiteEngine, sequence: Sequence, every: int) -> list[tuple[float, float]]:
    """J and F of single steps from exact masks, on every so-manieth frame."""
    out = []
    first = encode(sequence.truth(0)[0][1])
    handle = engine.open(sequence.video(), sequence, Snapshot())
    for frame in range(every, len(sequence) - 1, every):
        before, truth = (sequence.truth(i)[0][1] for i in (frame - 1, frame))
        if not before.any():
            continue
        # Where it starts is no reference: it only says where the object was.
        seeds = (Seed(frame - 1, 1, encode(before), prompted=False), Seed(0, 1, first, prompted=True))
        span = Span("forward", (Leg(range(frame - 1, frame + 1)),), (1,), seeds, 2)
        *_, result = engine.propagate(handle, span)
        out.append((region(result.masks[0], truth), boundary(result.masks[0], truth)))
    engine.close(handle)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lite.ablation")
    parser.add_argument("--sets", default="davis")
    parser.add_argument("--every", type=int, default=8, help="frames between the single steps")
    parser.add_argument("--steps", action="store_true", help="single steps only")
    args = parser.parse_args()
    found = [s for name in args.sets.split(",") for s in sequences(name)]
    if not found:
        return
    sys.stdout.write(f"{'without':<32}{'J':>8}{'F':>8}{'J step':>10}{'F step':>8}\n")
    with tempfile.TemporaryDirectory() as cache:
        engine = LiteEngine(Path(cache))
        for name, part in PARTS.items():
            with without(part, engine):
                runs = [] if args.steps else [measure(by_lite(engine), s) for s in found]
                one = np.mean([np.mean(steps(engine, s, args.every), 0) for s in found], 0)
            whole = [np.mean([s.region for s in runs]), np.mean([s.boundary for s in runs])] if runs else [np.nan] * 2
            sys.stdout.write(f"{name:<32}{whole[0]:>8.3f}{whole[1]:>8.3f}{one[0]:>10.3f}{one[1]:>8.3f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    on_one_thread()
    main()
