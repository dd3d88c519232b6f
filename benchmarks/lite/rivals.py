"""What people use without a model, by the same protocol: optical flow, and a box tracker with GrabCut.

CSRT is in OpenCV's contributed modules, which the engine does not need: `with_contrib` installs them beside the
project's packages, for the benchmark alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Numbers

import cv2
import numpy as np

from backend.domain import BoolMask, Image
from backend.settings import ROOT
from benchmarks.lite.data import Sequence
from benchmarks.lite.following import Given, Masks

_CONTRIB = ROOT / "build" / "contrib"
_CUTS = 3
"""Rounds of GrabCut a frame."""
_AROUND = 0.5
"""How much of the picture around the box GrabCut learns the background from, in boxes."""

Found = Iterator[tuple[Masks, Mapping[int, float]]]


def with_contrib() -> None:
    """Start the program again with OpenCV's contributed modules, of the version that is installed."""
    if hasattr(cv2, "TrackerCSRT"):
        return
    if str(_CONTRIB) in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        raise SystemExit("The contributed modules of OpenCV could not be loaded.")
    from importlib.metadata import version

    wanted = f"opencv-contrib-python-headless=={version('opencv-python-headless')}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(_CONTRIB)]
    subprocess.run([*pip, wanted], check=True)
    path = os.pathsep.join([str(_CONTRIB), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PYTHONPATH": path})


def flow_warp(sequence: Sequence, given: Given) -> Found:
    """The last frame's masks, moved along DIS optical flow (Kroeger et al. 2016)."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    masks: dict[int, BoolMask] = {}
    before: np.ndarray | None = None
    for frame in range(len(sequence)):
        grey = cv2.cvtColor(sequence.read(frame), cv2.COLOR_RGB2GRAY)
        if before is not None:
            flow = dis.calc(grey, before, None)  # type: ignore[call-overload]
            rows, cols = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32)
            x, y = cols + flow[..., 0], rows + flow[..., 1]
            masks = {
                i: cv2.remap(m.astype(np.float32), x, y, cv2.INTER_LINEAR, borderValue=0) > 0.5
                for i, m in masks.items()
            }
        masks.update(given.get(frame, {}))
        before = grey
        yield masks, {}


def csrt_grabcut(sequence: Sequence, given: Given) -> Found:
    """A CSRT tracker (Lukežič et al. 2017) for the box, and GrabCut (Rother et al. 2004) within it."""
    trackers: dict[int, cv2.Tracker] = {}
    for frame in range(len(sequence)):
        picture = sequence.read(frame)
        here = given.get(frame, {})
        masks = dict(here)
        for obj_id, mask in here.items():
            trackers[obj_id] = cv2.TrackerCSRT.create()  # type: ignore[attr-defined]
            trackers[obj_id].init(picture, cv2.boundingRect(mask.view(np.uint8)))
        for obj_id, tracker in trackers.items():
            if obj_id not in here:
                found, box = tracker.update(picture)
                masks[obj_id] = _cut(picture, box) if found else np.zeros(picture.shape[:2], np.bool_)
        yield masks, {}


def _cut(picture: Image, box: Numbers[float]) -> BoolMask:
    """What GrabCut takes for the object in a box (x, y, width, height), from the part around it."""
    height, width = picture.shape[:2]
    x, y, w, h = (round(v) for v in box)
    pad_x, pad_y = round(_AROUND * w), round(_AROUND * h)
    left, top = max(x - pad_x, 0), max(y - pad_y, 0)
    right, low = min(x + w + pad_x, width), min(y + h + pad_y, height)
    mask = np.zeros((height, width), np.bool_)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return mask
    labels = np.full((low - top, right - left), cv2.GC_BGD, np.uint8)
    labels[y0 - top : y1 - top, x0 - left : x1 - left] = cv2.GC_PR_FGD
    if (labels == cv2.GC_BGD).any():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        part = np.ascontiguousarray(picture[top:low, left:right])
        cv2.grabCut(part, labels, None, *models, _CUTS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    mask[top:low, left:right] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return mask
