"""The process that opens untrusted media: `python -m backend.media.child MODULE:FUNCTION`.

It reads one JSON request from its input, limits itself, calls the function, and writes JSON lines
to its output: `{"progress": 0.4}` any number of times, then `{"error": [class, sentence, code]}`,
or `{"found": {…}, "bytes": n}` followed by the n bytes of the index.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from backend.errors import InvalidMedia, ServiceError
from backend.media.limits import Limits

Found = tuple[dict[str, Any], bytes]
"""What a probe function returns: the fields of a `Probe`, and its index as bytes."""
ProbeFunction = Callable[[Path, Limits, Fraction | None, Callable[[float], None]], Found]


def confine(limits: Limits) -> None:
    """Limit this process for good: memory, processor time, no written files, no core dumps.

    On systems without such limits only the parent's clock remains.
    """
    _limit(limits.probe_memory_mb, int(limits.probe_seconds * (os.cpu_count() or 1)) + 1)


def confine_reader(memory_mb: int) -> None:
    """The same for a process that lives long: its parent looks at the clock for each frame."""
    _limit(memory_mb, None)


def _limit(memory_mb: int, cpu_seconds: int | None) -> None:
    try:
        import resource
    except ImportError:
        return
    wanted = [
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ]
    if cpu_seconds is not None:
        wanted.append((resource.RLIMIT_CPU, cpu_seconds))
    for what, limit in wanted:
        _, hard = resource.getrlimit(what)
        ceiling = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (ceiling, ceiling))


def look(path: Path, limits: Limits, fps: Fraction | None, on_progress: Callable[[float], None]) -> Found:
    """Probe a file or a folder of frames. See `backend.media.probe.probe` for what it raises."""
    from backend.media.look import look_at

    return look_at(path, limits, fps, on_progress)


def main(target: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer one request."""

    def say(**message: Any) -> None:
        sink.write(json.dumps(message).encode() + b"\n")
        sink.flush()

    request = json.loads(source.readline())
    module, _, name = target.partition(":")
    function: ProbeFunction = getattr(import_module(module), name)
    limits = Limits(**request["limits"])
    fps = Fraction(request["fps"]) if request["fps"] else None
    confine(limits)
    try:
        found, index = function(Path(request["path"]), limits, fps, lambda part: say(progress=part))
    except ServiceError as error:
        say(error=[type(error).__name__, error.sentence, error.code])
    except MemoryError:
        say(error=["InvalidMedia", "This file needs too much memory to be read.", InvalidMedia.default_code])
    else:
        say(found=found, bytes=len(index))
        sink.write(index)
        sink.flush()


def private_output() -> BinaryIO:
    """This process's output, out of the reach of libraries that print."""
    private = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return os.fdopen(private, "wb")


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.buffer, private_output())
