"""`python -m benchmarks.lite`: see the package."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from backend.domain import Image
from backend.engines.lite import LiteEngine
from benchmarks.lite.data import Sequence, on_one_thread, sequences
from benchmarks.lite.following import Follow, Given, Masks, Score, by_lite, measure
from benchmarks.lite.measures import region
from benchmarks.lite.rivals import csrt_grabcut, flow_warp, with_contrib
from benchmarks.lite.sheet import COLUMNS, sheet, tile

SETS = ("davis", "davis_train", "multi")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shown(follow: Follow, row: list[Image]) -> Follow:
    """The same, with a few of its frames drawn into a row of the contact sheet."""

    def watched(sequence: Sequence, given: Given) -> Iterator[tuple[Masks, Mapping[int, float]]]:
        picks = {round(share * (len(sequence) - 1)) for share in np.linspace(0, 1, COLUMNS)}
        for frame, (masks, sure) in enumerate(follow(sequence, given)):
            yield masks, sure
            if frame in picks:
                truth, known = sequence.truth(frame)
                found = {i: m & known for i, m in masks.items()}
                overlap = np.mean([region(found[i], truth.get(i, np.zeros_like(known))) for i in found] or [0])
                text = f"{sequence.name} {frame}: {overlap:.2f} (says {np.mean(list(sure.values()) or [0]):.2f})"
                row.append(tile(sequence.read(frame), found, truth, text))

    return watched


def second_mask(follow: Follow, sequence: Sequence, first: Score) -> tuple[float, float]:
    """Mean J without and with another exact mask in the middle, over the same frames."""
    middle = len(sequence) // 2
    again = measure(follow, sequence, (0, middle))
    one = [np.mean(np.delete(values, middle - 1)) for values in first.regions.values()]
    return float(np.mean(one)), again.region


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lite", description="The embedded engine, measured.")
    parser.add_argument("sequences", nargs="*", help="only these")
    parser.add_argument("--sets", default=",".join(SETS), help="folders of the evaluation data")
    parser.add_argument("--no-rivals", action="store_true", help="the engine alone")
    parser.add_argument("--no-second", action="store_true", help="without the runs with a second mask")
    parser.add_argument("--sheet", type=Path, help="a picture of frames of all sequences")
    args = parser.parse_args()
    if not args.no_rivals:
        with_contrib()
    cv2.setNumThreads(1)
    rivals = {} if args.no_rivals else {"flow warp": flow_warp, "CSRT+GrabCut": csrt_grabcut}
    rows: list[list[Image]] = []
    with tempfile.TemporaryDirectory() as cache:
        follow = by_lite(LiteEngine(Path(cache)))
        scored: list[tuple[float, float]] = []
        for name in args.sets.split(","):
            scored += table(name, tuple(args.sequences), follow, rivals, not args.no_second, rows)
    if scored:
        say("\nall together: " + agreement(scored))
    if args.sheet and rows:
        cv2.imwrite(str(args.sheet), cv2.cvtColor(sheet(rows), cv2.COLOR_RGB2BGR))
        say(f"contact sheet: {args.sheet} (right green, missed blue, wrong red)")
    # With the rivals' and the reading of masks; what the engine alone needs is a little less.
    say(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def table(
    name: str,
    wanted: tuple[str, ...],
    follow: Follow,
    rivals: Mapping[str, Follow],
    second: bool,
    rows: list[list[Image]],
) -> list[tuple[float, float]]:
    """The table of a set, a line a sequence as it is done; the engine's score and J of every mask."""
    lines: list[list[float]] = []
    scored: list[tuple[float, float]] = []
    heads = ["J", "F", "J last ¼", "ms"] + (["J one*", "J two*"] if second else [])
    for rival in rivals:
        heads += [f"{rival} J", "F", "ms"]
    for sequence in sequences(name, wanted):
        if not lines:
            say(f"\n{name:<24}" + "".join(f"{head:>16}" if " J" in head else f"{head:>10}" for head in heads))
        row: list[Image] = []
        score = measure(shown(follow, row), sequence)
        rows.append(row)
        scored += score.scores
        line = [score.region, score.boundary, score.last, score.milliseconds]
        if second:
            line += second_mask(follow, sequence, score)
        for other in (measure(rival, sequence) for rival in rivals.values()):
            line += [other.region, other.boundary, other.milliseconds]
        lines.append(line)
        say(_line(sequence.name, heads, line))
    if not lines:
        return []
    say(_line("mean", heads, [float(v) for v in np.mean(lines, 0)]))
    say(agreement(scored))
    if second:
        say("* over the frames that neither gave: from one exact mask, and from another one in the middle as well")
    return scored


def agreement(scored: list[tuple[float, float]]) -> str:
    """How far scores and J go together."""
    guessed, true = np.array(scored).T
    return (
        f"scores: mean {guessed.mean():.3f}, true {true.mean():.3f}, "
        f"correlation over {len(true)} masks {np.corrcoef(guessed, true)[0, 1]:.3f}"
    )


def _line(name: str, heads: list[str], values: list[float]) -> str:
    cells = []
    for head, value in zip(heads, values, strict=True):
        text = f"{value:.0f}" if head == "ms" else f"{value:.3f}"
        cells.append(f"{text:>16}" if " J" in head else f"{text:>10}")
    return f"{name:<24}" + "".join(cells)


if __name__ == "__main__":
    on_one_thread()
    main()
