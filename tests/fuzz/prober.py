"""A process that probes one file after another: `python -m tests.fuzz.prober`, and the parent's side of it.

A child for each input would be too slow for thousands. This one calls the very function that the
probe's child runs, under the child's own limits, and says for each path what came out. It is
replaced after a while, and when it dies: to `probe` that is one more way to refuse a file.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.errors import ServiceError
from backend.media.child import confine, look
from backend.media.index import Index
from backend.media.limits import Limits

LIMITS = Limits(
    max_bytes=2_000_000, max_seconds=60, max_frames=500, max_pixels=1_000_000, probe_seconds=15, probe_memory_mb=1024
)
LIFE = 300
"""Inputs a process is given: its limit of processor time counts its whole life."""
ROOT = Path(__file__).resolve().parents[2]


class Prober:
    """Probes files in a confined process, and counts how they fared."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.deadly: list[bytes] = []
        """Inputs that ended the process, or that it never finished."""
        self._process: subprocess.Popen[bytes] | None = None
        self._given = 0

    def __call__(self, path: Path) -> str:
        """What became of a file: `found`, the name of a `ServiceError`, `died`, `hung`, or `bug: …`."""
        outcome = self._ask(path)
        self.outcomes[outcome.partition(":")[0]] += 1
        if outcome in ("died", "hung") and path.is_file():
            self.deadly.append(path.read_bytes())
        return outcome

    def _ask(self, path: Path) -> str:
        if self._process is None or self._given >= LIFE:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.prober"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._given = 0
        self._given += 1
        process = self._process
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(str(path).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            return "died"
        ready, _, _ = select.select([process.stdout], [], [], 4 * LIMITS.probe_seconds)
        line = process.stdout.readline() if ready else b""
        if not line:
            self.close()
            return "died" if ready else "hung"
        outcome: str = json.loads(line)
        return outcome

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _probe(path: Path) -> str:
    try:
        fields, index = look(path, LIMITS, None, lambda part: None)
    except ServiceError as error:
        return type(error).__name__
    except MemoryError:
        # The child says so by itself.
        return "InvalidMedia"
    except Exception as error:
        return f"bug: {type(error).__name__}: {error}"
    return _sound(fields, Index.from_bytes(index))


def _sound(fields: dict[str, Any], index: Index) -> str:
    """Whether what was found keeps the limits."""
    kept = 0 < fields["width"] * fields["height"] <= LIMITS.max_pixels and len(index) <= LIMITS.max_frames
    return "found" if kept and 0 <= index.duration <= LIMITS.max_seconds else f"bug: {fields} beyond {asdict(LIMITS)}"


def main() -> None:
    import av.logging

    av.logging.set_level(None)
    confine(LIMITS)
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(_probe(Path(line.decode().rstrip("\n")))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
