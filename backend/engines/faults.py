"""The faults that the stand-in engine can be ordered to have, so that tests have them for real.

A text prompt that starts with "#" orders one: `#crash` at once, `#later-crash` on the next frame of a
propagation, `#at-4-crash` on frame 4 of the next one, and `#always-crash` on every frame of every
propagation, in every life of the worker: it is kept as a concept to look for.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import threading
from dataclasses import dataclass, replace

import numpy as np

from backend.domain import DenseResult
from backend.errors import EngineError

LEAK_BYTES = 64_000_000
"""What each `#leak` keeps for ever."""
STRANGER = 10**9
ALWAYS = "#always-"

_leaked: list[object] = []


@dataclass(frozen=True, slots=True)
class Order:
    """A fault and when it is due: on the frame of that index, on the next one (None)."""

    fault: str
    frame_index: int | None = None

    def due(self, frame_index: int) -> bool:
        return self.frame_index is None or self.frame_index == frame_index


def ordered(text: str) -> Order | None:
    """The fault that a text orders for a propagation; None: none, or one for at once."""
    match = re.fullmatch(r"#(later|always|at-(\d+))-(.+)", text)
    return Order(match[3], int(match[2]) if match[2] else None) if match else None


def act(fault: str) -> None:
    """Do the fault; one that spoils results instead does nothing here."""
    match fault:
        case "crash":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            raise SystemExit("ordered by the test")
        case "hang":
            threading.Event().wait()
        case "raise":
            raise RuntimeError("ordered by the test")
        case "engine-error":
            raise EngineError("The GPU ran out of memory.", "out_of_memory")
        case "unpicklable":
            raise _Unpicklable("Ordered by the test.")
        case "leak":
            # Written to, or the system would not really give it.
            _leaked.append(np.ones(LEAK_BYTES, np.uint8))
        case "noise":
            _write_noise()
        case "out-of-memory":
            _run_out_of_memory()


class _Unpicklable(EngineError):
    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.cause,))


def _write_noise() -> None:
    """Write into the pipe to the service what is no message, as a library might that mistakes it for its own."""
    # The pipe's number is as high as the files that the service had open.
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        try:
            if fd > 2 and stat.S_ISSOCK(os.fstat(fd).st_mode):
                # A message of 5 bytes, by its length.
                os.write(fd, b"\0\0\0\5noise")
        except OSError:
            continue


def _run_out_of_memory() -> None:
    """Ask for memory that the system refuses, as it does where there is no more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 2 * LEAK_BYTES, before[1]))
    try:
        hoard = [np.ones(LEAK_BYTES, np.uint8) for _ in range(100)]
        raise AssertionError(f"{len(hoard)} arrays fitted under the limit")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def spoiled(fault: str, dense: DenseResult) -> list[DenseResult]:
    """What comes in place of a result; the result itself for a fault of another kind."""
    match fault:
        case "shape":
            return [replace(dense, masks=dense.masks[:, :-1])]
        case "dtype":
            return [replace(dense, masks=dense.masks.astype(np.float32))]
        case "no-masks":
            return [replace(dense, masks=None)]  # type: ignore[arg-type]
        case "nothing":
            return [None]  # type: ignore[list-item]
        case "nan":
            return [replace(dense, scores=(float("nan"),) * len(dense.scores))]
        case "scores":
            return [replace(dense, scores=(*dense.scores, 0.5))]
        case "words-for-scores":
            return [replace(dense, scores=("high",) * len(dense.scores))]  # type: ignore[arg-type]
        case "dim":
            return [replace(dense, scores=(0.2,) * len(dense.scores))]
        case "frame":
            return [replace(dense, frame_index=dense.frame_index + 1)]
        case "beyond":
            return [replace(dense, frame_index=10**6)]
        case "backwards":
            return [replace(dense, frame_index=dense.frame_index - 1)]
        case "no-index":
            return [replace(dense, frame_index=float(dense.frame_index))]  # type: ignore[arg-type]
        case "repeat":
            return [dense, dense]
        case "skip":
            return []
        case "stranger":
            ids, masks = (*dense.obj_ids, STRANGER), [*dense.masks, np.zeros(dense.masks.shape[1:], np.bool_)]
            return [replace(dense, obj_ids=ids, scores=(*dense.scores, 0.0), masks=np.stack(masks))]
        case "twice":
            both = np.concatenate([dense.masks, dense.masks])
            return [replace(dense, obj_ids=dense.obj_ids * 2, scores=dense.scores * 2, masks=both)]
        case "enormous":
            return [replace(dense, born=dict.fromkeys(dense.obj_ids, "x" * 300000000))]
    return [dense]
