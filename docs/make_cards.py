"""Draw the example cards of the empty page from the sample clip and its exact masks.

python docs/make_cards.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backend.domain import Rle  # noqa: E402
from backend.masks import decode  # noqa: E402
from backend.masks.overlay import Layer, draw  # noqa: E402

OUT = ROOT / "sam3_ui" / "canvas" / "examples"
SIZE = (464, 244)
COLOURS = ("#45B0FF", "#FFA21A", "#E07FC8")
# An object of the sample and the top left corner of its cut-out, in pixels of the clip.
CARDS = (("Star", (520, 0)), ("Box", (210, 140)), ("Ball", (0, 250)))


def main() -> None:
    """Write one JPEG a card."""
    OUT.mkdir(parents=True, exist_ok=True)
    known = json.loads((ROOT / "assets" / "sample_masks.json").read_text())
    height, width = known["size"]
    capture = cv2.VideoCapture(str(ROOT / "assets" / "sample.mp4"))
    picture = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
    for (name, (x, y)), colour in zip(CARDS, COLOURS, strict=True):
        index = next(i for i, o in enumerate(known["objects"]) if o["name"] == name)
        mask = decode(Rle(known["frames"][0][index], height, width))
        drawn = draw(picture, [Layer(mask, colour, name)], labels=False)
        card = drawn[y : y + SIZE[1] * 440 // SIZE[0], x : x + 440]
        card = cv2.resize(card, SIZE, interpolation=cv2.INTER_AREA)
        cv2.imwrite(
            str(OUT / f"{name.lower()}.jpg"), cv2.cvtColor(card, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82]
        )


if __name__ == "__main__":
    main()
