"""The GPUs of this machine, seen without loading a model's package."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver tells of it. `index` counts the ones this process may use, from 0; sizes in MB (10^6)."""

    index: int
    name: str
    total_mb: float
    used_mb: float


def gpus() -> tuple[Gpu, ...]:
    """NVIDIA's GPUs that this process may use; none where there is no driver.

    `CUDA_VISIBLE_DEVICES` counts: its first is number 0, as for CUDA itself.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        out = []
        for index, physical in enumerate(_visible(pynvml.nvmlDeviceGetCount())):
            # A GPU that fell off the bus must not take the others with it.
            with contextlib.suppress(pynvml.NVMLError):
                handle = pynvml.nvmlDeviceGetHandleByIndex(physical)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                name = pynvml.nvmlDeviceGetName(handle)
                out.append(Gpu(index, str(name), round(memory.total / 1e6, 1), round(memory.used / 1e6, 1)))
        return tuple(out)
    finally:
        pynvml.nvmlShutdown()


def visible_devices(chosen: tuple[int, ...]) -> str:
    """The `CUDA_VISIBLE_DEVICES` of a child process that may use these of this process's GPUs."""
    outer = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return ",".join(outer[i] if i < len(outer) else str(i) for i in chosen)


def _visible(count: int) -> list[int]:
    """The driver's numbers of the GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(range(count))
    out: list[int] = []
    for part in listed.split(","):
        if not part.strip().isdigit():
            # CUDA, too, stops at the first that it can't read; ids of the form GPU-… are not followed here.
            break
        if int(part) < count:
            out.append(int(part))
    return out
