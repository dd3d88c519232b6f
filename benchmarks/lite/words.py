"""How good the embedded engine is at finding things by words: precision, recall, scores and time.

    python -m benchmarks.lite.words [word ...]

Every word is asked on every photograph of `clicks`, through the engine's public protocol. A find is
right where its mask overlaps an instance of the word's classes that no other find has by an IoU of
.5; of a face, where its box does, on `faces`. As a further check the nouns are asked on the first
frames of DAVIS, where those that show a noun are named below. From `SAM3_EVAL_DATA` as in
`benchmarks.lite`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from backend.domain import BoolMask, Image, PromptRequest, Snapshot, Text
from backend.engines.lite import LiteEngine
from backend.engines.lite.finds import PixelBox, box_iou, box_of
from backend.engines.lite.words import WORDS
from benchmarks.lite.clicks import Photograph
from benchmarks.lite.data import data_folder, on_one_thread, read_mask, read_picture
from benchmarks.lite.measures import region

RIGHT = 0.5
LARGE = 0.01
"""Share of the photograph from which on an instance counts for the second recall."""
STEPS = (0.5, 0.7, 0.8, 0.9, 1.01)
"""Between these, scores are held against the share of right finds."""
MEANT: Mapping[str, tuple[str, ...]] = {
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "vehicle": ("car", "truck", "bus"),
}
"""COCO's classes that a word means, where they are not called the same."""
SHOWN: Mapping[str, tuple[str, ...]] = {
    "animal": ("dog", "libby", "dog-agility", "bear", "rhino", "camel", "blackswan"),
    "dog": ("dog", "libby", "dog-agility"),
    "bear": ("bear",),
    "vehicle": ("car-turn", "drift-straight", "drift-turn"),
    "car": ("car-turn", "drift-straight", "drift-turn"),
    "motorcycle": ("motorbike", "scooter-black"),
}
"""Sequences of DAVIS whose object a word means. Whatever else is seen there counts as false."""


@dataclass
class Tally:
    """What became of a word on a set of pictures."""

    pictures: int = 0
    """Those that show it."""
    truths: int = 0
    large: int = 0
    found: int = 0
    """Large truths that were found."""
    finds: list[tuple[float, bool]] = field(default_factory=list)
    """Score of each find, and whether it is right."""

    @property
    def right(self) -> int:
        return sum(ok for _, ok in self.finds)

    def add(self, overlaps: Sequence[Sequence[float]], scores: Sequence[float], large: Sequence[bool]) -> None:
        """Count a picture by each find's overlap with each truth; a truth serves one find."""
        self.pictures += bool(large)
        self.truths += len(large)
        self.large += sum(large)
        served: set[int] = set()
        for row, score in zip(overlaps, scores, strict=True):
            best = max((i for i in range(len(row)) if i not in served), key=lambda i: row[i], default=None)
            ok = best is not None and row[best] >= RIGHT
            if ok and best is not None:
                served.add(best)
                self.found += large[best]
            self.finds.append((score, ok))

    def row(self) -> str:
        precision = f"{self.right / len(self.finds):.2f}" if self.finds else "  – "
        recall = f"{self.right / self.truths:.2f}" if self.truths else "  – "
        of_large = f"{self.found / self.large:.2f}" if self.large else "  – "
        return (
            f"{self.pictures:3d} pictures {self.truths:3d} things  {len(self.finds):2d} finds {self.right:2d} right  "
            f"precision {precision}  recall {recall}, of large ones {of_large}"
        )


class Asker:
    """Asks words on a picture, and notes the time."""

    def __init__(self, engine: LiteEngine) -> None:
        self._engine = engine
        self.spent: list[float] = []
        """Milliseconds of CPU of each first word on a picture."""

    def ask(self, picture: Image, words: Sequence[str]) -> Iterator[tuple[str, list[BoolMask], list[float]]]:
        """The masks and scores of each word's finds."""
        frames = Photograph(picture)
        handle = self._engine.open(frames.video(), frames, Snapshot())
        for i, word in enumerate(words):
            began = time.process_time()
            result = self._engine.apply(handle, PromptRequest(0, (Text(word),), None, 1))
            if not i:
                self.spent.append(1000 * (time.process_time() - began))
            yield word, list(result.masks), list(result.scores)
        self._engine.close(handle)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def on_photographs(asker: Asker, words: Sequence[str]) -> dict[str, Tally]:
    """The nouns on `clicks`; those without an annotation show nothing of them."""
    tallies = {word: Tally() for word in words if word != "face"}
    folder = data_folder("clicks")
    if folder is None:
        return {}
    known = json.loads((folder / "instances.json").read_text())
    for path in sorted((folder / "images").iterdir()):
        instances = known.get(path.stem, {"instances": []})["instances"]
        ids = cv2.imread(str(folder / "instances" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED) if instances else None
        for word, masks, scores in asker.ask(read_picture(path), list(tallies)):
            meant = MEANT.get(word, (word,))
            truths = [ids == one["id"] for one in instances if one["cls"] in meant] if ids is not None else []
            overlaps = [[region(mask, np.asarray(truth)) for truth in truths] for mask in masks]
            tallies[word].add(overlaps, scores, [bool(truth.mean() >= LARGE) for truth in truths])
    return tallies


def on_sequences(asker: Asker, words: Sequence[str]) -> dict[str, Tally]:
    """The nouns on the first frames of DAVIS."""
    tallies = {word: Tally() for word in words if word != "face"}
    for folder in (data_folder("davis"), data_folder("davis_train")):
        for sequence in sorted(folder.iterdir()) if folder else ():
            first = sorted((sequence / "frames").iterdir())[0]
            truth = read_mask(sequence / "masks" / f"{first.stem}.png")
            for word, masks, scores in asker.ask(read_picture(first), list(tallies)):
                shown = sequence.name in SHOWN.get(word, ())
                overlaps = [[region(mask, truth)] if shown else [] for mask in masks]
                tallies[word].add(overlaps, scores, [bool(truth.mean() >= LARGE)] if shown else [])
    return tallies


def on_faces(asker: Asker) -> Tally:
    """The word “face” on `faces`, by boxes."""
    tally = Tally()
    folder = data_folder("faces")
    known = json.loads((folder / "faces.json").read_text()) if folder else {}
    for name, faces in sorted(known.items()):
        assert folder is not None
        picture = read_picture(folder / "images" / name)
        truths: list[PixelBox] = []
        for face in faces:
            x, y, w, h = face["box_xywh"]
            truths.append((x, y, x + w, y + h))
        for _, masks, scores in asker.ask(picture, ["face"]):
            overlaps = [[box_iou(box_of(mask), truth) for truth in truths] for mask in masks]
            tally.add(overlaps, scores, [True] * len(truths))
    return tally


def faces_on_people(asker: Asker) -> tuple[int, int]:
    """Finds of “face” on `clicks`, which says nothing of faces, and those of them that lie on people."""
    folder = data_folder("clicks")
    finds = right = 0
    known = json.loads((folder / "instances.json").read_text()) if folder else {}
    for name, photograph in sorted(known.items()):
        assert folder is not None
        ids = cv2.imread(str(folder / "instances" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        people = np.isin(np.asarray(ids), [one["id"] for one in photograph["instances"] if one["cls"] == "person"])
        for _, masks, _ in asker.ask(read_picture(folder / "images" / f"{name}.jpg"), ["face"]):
            finds += len(masks)
            right += sum(bool(people[mask].mean() > RIGHT) for mask in masks)
    return finds, right


def report(title: str, tallies: Mapping[str, Tally]) -> None:
    say(title)
    for word, tally in tallies.items():
        say(f"  {word:14s}{tally.row()}")
    finds = [find for tally in tallies.values() for find in tally.finds]
    for low, high in pairwise(STEPS):
        some = [find for find in finds if low <= find[0] < high]
        if some:
            mean, ok = np.mean(np.array(some, np.float64), 0)
            say(f"  scores {low:.2f} to {min(high, 1):.2f}: {len(some):2d} finds, mean {mean:.2f}, right {ok:.2f}")


def main(words: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as cache:
        asker = Asker(LiteEngine(Path(cache)))
        # The classifier is made when it is first asked for; that is not what a prompt takes.
        for _ in asker.ask(np.zeros((32, 32, 3), np.uint8), [next(w for w in WORDS if w != "face")]):
            asker.spent.clear()
        if "face" in words:
            report("faces, by boxes", {"face": on_faces(asker)})
            say("clicks: {} finds of “face”, {} of them on people".format(*faces_on_people(asker)))
            asker.spent.clear()
        report("clicks, by masks", on_photographs(asker, words))
        if asker.spent:
            say(
                f"  {np.mean(asker.spent):.0f} ms of CPU the first word on a picture, {np.max(asker.spent):.0f} at most"
            )
        report("first frames of DAVIS, by masks", on_sequences(asker, words))


if __name__ == "__main__":
    on_one_thread()
    main(sys.argv[1:] or WORDS)
