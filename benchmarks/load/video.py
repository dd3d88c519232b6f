"""A small video for the load: what is in it does not matter to the stand-in engine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: int, width: int, height: int) -> Path:
    """An H.264 video at 25 frames a second, a bar wandering through grey."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, 25)
        stream.options = {"preset": "ultrafast"}
        for index in range(frames):
            picture = np.full((height, width, 3), 90, np.uint8)
            picture[:, index * 2 % (width - 8) :][:, :8] = 200
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
