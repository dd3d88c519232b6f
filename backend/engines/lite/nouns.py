"""The nouns that can be found: which of the 1000 ImageNet classes each means, and how evident it must be.

Groups and bars were settled with `python -m benchmarks.lite.words`, on 126 photographs of COCO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Noun:
    """ImageNet classes (numbers) that together mean a noun.

    Args:
        bar: the evidence that it needs, in [0, 1]: see `evidence.py`.
        also: other words for it.
    """

    classes: tuple[int | range, ...]
    bar: float
    also: tuple[str, ...] = ()

    @property
    def numbers(self) -> NDArray[np.intp]:
        """All its classes."""
        return np.array([n for c in self.classes for n in ((c,) if isinstance(c, int) else c)], np.intp)


NOUNS: Mapping[str, Noun] = {
    "animal": Noun((range(398),), 0.56, ("beast", "creature")),
    "dog": Noun((range(151, 269),), 0.48, ("puppy", "hound")),
    "cat": Noun((range(281, 286),), 0.3, ("kitten", "kitty")),
    "bear": Noun((range(294, 298),), 0.4),
    "elephant": Noun((101, 385, 386), 0.3),
    "zebra": Noun((340,), 0.38),
    "vehicle": Noun(
        (407, 436, 468, 479, 511, 555, 569, 581, 609, 627, 654, 656, 661, 675, 717, 734, 751, 779, 817, 864, 867, 874),
        0.26,
    ),
    "bus": Noun((654, 779, 874), 0.35),
    "motorcycle": Noun((665, 670), 0.27, ("motorbike", "scooter", "moped")),
    "train": Noun((466, 547, 705, 820), 0.25, ("locomotive",)),
    "airplane": Noun((404, 895), 0.25, ("plane", "aeroplane", "aircraft", "jet")),
    "pizza": Noun((963,), 0.3),
    "broccoli": Noun((937,), 0.22),
    "oven": Noun((827,), 0.22, ("stove",)),
    "clock": Noun((409, 530, 892), 0.22),
    "remote": Noun((761,), 0.4, ("remote control",)),
    "toilet": Noun((861,), 0.5),
    "tie": Noun((457, 906), 0.28, ("necktie", "bow tie")),
    "traffic light": Noun((920,), 0.35, ("traffic signal",)),
}
