"""The objects' colours stay apart for everybody: simulated for the three kinds of colour blindness."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from backend.masks.overlay import PALETTE

# Of linear RGB, for a full lack of one kind of cone: Machado, Oliveira and Fernandes (2009), table of severity 1.
BLIND = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
APART = 15
"""The least distance (CIE76) of two colours."""


def linear(colour: str) -> np.ndarray:
    """#rrggbb as linear RGB from 0 to 1, of shape (3,)."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB as CIE L*a*b* under D65, of shape (3,)."""
    ratio = TO_XYZ @ rgb / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", BLIND)
def test_any_two_colours_can_be_told_apart(kind: str) -> None:
    seen = {c: lab(np.clip(BLIND[kind] @ linear(c), 0, 1)) for c in PALETTE}
    near = {
        f"{a} {b}": round(float(np.linalg.norm(seen[a] - seen[b])), 1)
        for a, b in itertools.combinations(PALETTE, 2)
        if np.linalg.norm(seen[a] - seen[b]) < APART
    }
    assert near == {}


def test_the_page_has_the_same_colours() -> None:
    store = (Path(__file__).parents[3] / "sam3_ui" / "canvas" / "store.js").read_text("utf-8")
    listed = re.search(r"PALETTE = \[(.*?)\]", store)
    assert listed is not None
    assert tuple(re.findall(r"#[0-9A-F]{6}", listed[1])) == PALETTE
