"""Probing untrusted media in a child process limited in time, processor time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from backend import errors
from backend.domain import VideoKind
from backend.errors import InvalidInput, InvalidMedia, ServiceError
from backend.media.container import NOT_MEDIA
from backend.media.index import Index
from backend.media.limits import Limits

TARGET = "backend.media.child:look"
"""The function the child runs, as MODULE:FUNCTION. Tests put misbehaving ones here."""
_ROOT = Path(__file__).resolve().parents[2]
_MAX_LINE = 65536
_MAX_INDEX = 64_000_000
# Nothing else of the environment is handed to the decoder: it may hold keys.
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LANG")


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What a piece of media is. `width` and `height` in pixels as displayed; `duration` in seconds.

    `rotation`: clockwise degrees that stored frames are turned for display (0, 90, 180, 270).
    """

    kind: VideoKind
    width: int
    height: int
    fps: Fraction
    fps_assumed: bool
    num_frames: int
    duration: float
    has_audio: bool
    rotation: int
    index: Index


def probe(
    path: Path, limits: Limits, fps: Fraction | None = None, on_progress: Callable[[float], None] | None = None
) -> Probe:
    """Find out what a file, or a folder of numbered frames, is: by its content, not its name.

    Args:
        fps: for a folder, whose pictures have no timing; else 30 is assumed.
        on_progress: called with the part done, 0 to 1.

    Raises:
        InvalidMedia: not a video or image that can be read, cut off, damaged, without frames
            (`no_frames`), or reading it took more than the limits grant.
        InvalidInput: an impossible `fps` (`invalid_fps`).
        TooLarge: `too_many_pixels`, `video_too_long`, `too_many_frames`.
    """
    check_fps(fps)
    request = {"path": str(path.resolve()), "limits": asdict(limits), "fps": str(fps) if fps else None}
    child = subprocess.Popen(
        [sys.executable, "-m", "backend.media.child", TARGET],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()

    clock = threading.Timer(limits.probe_seconds, stop)
    clock.daemon = True
    clock.start()
    try:
        with child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                child.stdin.write(json.dumps(request).encode() + b"\n")
                child.stdin.flush()
                result = _listen(child.stdout, on_progress)
            except BrokenPipeError:
                result = None
            finally:
                child.kill()
    finally:
        clock.cancel()
    if result is None:
        raise InvalidMedia(
            f"Reading this file took more than {limits.probe_seconds:g} seconds: it is damaged or too complex."
            if late.is_set()
            else "This file can't be read: the decoder gave up on it."
        )
    return result


def child_environment() -> dict[str, str]:
    """The environment of a child that opens untrusted media."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    python_path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment | {
        "PYTHONPATH": os.pathsep.join(python_path),
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def check_fps(fps: Fraction | None) -> None:
    """Refuse frame rates that can't be meant.

    Raises:
        InvalidInput: `invalid_fps`.
    """
    if fps is not None and not Fraction(1, 100) <= fps <= 1000:
        raise InvalidInput("fps must be between 0.01 and 1000 frames a second.", "invalid_fps")


def _listen(output: IO[bytes], on_progress: Callable[[float], None] | None) -> Probe | None:
    """Read the child's messages to the end; None if it ends without an answer.

    The child has read hostile data, so its answer is checked as if it were hostile too.
    """
    while line := output.readline(_MAX_LINE):
        try:
            message = json.loads(line)
            if "error" in message:
                raise error_of(*message["error"])
            if "found" not in message:
                if on_progress is not None:
                    on_progress(min(1.0, max(0.0, float(message["progress"]))))
                continue
            length = int(message["bytes"])
            data = output.read(length) if 0 <= length <= _MAX_INDEX else b""
            return _probe_from(message["found"], Index.from_bytes(data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidMedia(NOT_MEDIA) from error
    return None


def _probe_from(fields: dict[str, Any], index: Index) -> Probe:
    kind = fields["kind"]
    if kind not in ("video", "frames", "image"):
        raise ValueError("an unknown kind")
    return Probe(
        kind=kind,
        width=int(fields["width"]),
        height=int(fields["height"]),
        fps=index.fps,
        fps_assumed=bool(fields["fps_assumed"]),
        num_frames=len(index),
        duration=index.duration,
        has_audio=bool(fields["has_audio"]),
        rotation=int(fields["rotation"]),
        index=index,
    )


def error_of(name: str, sentence: str, code: str) -> ServiceError:
    """The error that a child told of. What it says is not believed beyond that."""
    kind = getattr(errors, name, InvalidMedia)
    if not (isinstance(kind, type) and issubclass(kind, ServiceError)):
        kind = InvalidMedia
    return kind(sentence, code)
