"""Small real videos, quickly made."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np


def write_clip(path: Path, frames: int = 12, width: int = 64, height: int = 48, fps: int = 24) -> Path:
    """An H.264 clip with a bright square that moves right, two pixels a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.options = {"preset": "ultrafast"}
        for index in range(frames):
            picture = np.full((height, width, 3), 60, np.uint8)
            x = 6 + 2 * index
            picture[16:30, x : x + 14] = (230, 180, 40)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def png_bytes(width: int = 64, height: int = 48) -> bytes:
    """A PNG of noise."""
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()
