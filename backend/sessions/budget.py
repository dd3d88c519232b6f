"""How much memory the sessions of a worker may hold together."""

from __future__ import annotations

from collections.abc import Sequence

from backend.engines.memory import machine_mb
from backend.workers.pool import SlotStatus

GPU_SHARE = 0.85
"""Of what a GPU has left once the model is there. The rest is for what a step takes while it runs."""
MACHINE_SHARE = 0.5
"""Of the machine's memory, or the container's, for all workers that have no GPU together."""


def budget_bytes(slots: Sequence[SlotStatus], place: int, setting_mb: int) -> int:
    """The budget of one worker, in bytes; 0: unknown, so no limit.

    Args:
        slots: all workers.
        place: which one.
        setting_mb: ENGINE_MEMORY_MB; 0: by what the device has.
    """
    if setting_mb:
        return setting_mb * 1_000_000
    slot = slots[place]
    if slot.gpus:
        return int(slot.free_mb * GPU_SHARE * 1e6)
    sharing = sum(not s.gpus for s in slots)
    return int(machine_mb() * MACHINE_SHARE / sharing * 1e6)
