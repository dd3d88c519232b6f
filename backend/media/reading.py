"""The process that decodes frames of untrusted videos for the web process: `python -m backend.media.reading`.

It reads one JSON line that says which video, limits its memory, and answers with a JSON line and
the frames' times; then a frame for each line that names one: `{"shape": [h, w], "bytes": n}` and
the picture, or `{"error": [class, sentence, code]}`. It ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from backend.errors import InvalidMedia, ServiceError
from backend.media.child import confine_reader, private_output
from backend.media.reader import FrameReader, open_frames
from backend.media.records import video_from_record

Say = Callable[..., None]


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until there are no more."""

    def say(message: object, data: bytes | memoryview = b"") -> None:
        sink.write(json.dumps(message).encode() + b"\n")
        sink.write(data)
        sink.flush()

    request = json.loads(source.readline())
    confine_reader(request["memory_mb"])
    try:
        reader = open_frames(video_from_record(request["video"], Path(request["path"])))
        times = np.array(reader.timestamps, np.float64).tobytes()
        say({"count": len(reader), "bytes": len(times)}, times)
    except (ServiceError, OSError, MemoryError) as error:
        say(_told(error))
        return
    for line in source:
        _answer(reader, int(line), say)


def _answer(reader: FrameReader, frame_index: int, say: Say) -> None:
    try:
        picture = reader.read(frame_index)
    except (ServiceError, OSError, MemoryError) as error:
        say(_told(error))
    else:
        say({"shape": picture.shape[:2], "bytes": picture.nbytes}, picture.data.cast("B"))


def _told(error: BaseException) -> dict[str, list[str]]:
    if not isinstance(error, ServiceError):
        error = InvalidMedia("The video can't be read any more: it is damaged, gone, or needs too much memory.")
    return {"error": [type(error).__name__, error.sentence, error.code]}


if __name__ == "__main__":
    main(sys.stdin.buffer, private_output())
