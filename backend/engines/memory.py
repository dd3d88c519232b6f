"""The memory of this machine and its processes, as the system tells of it."""

from __future__ import annotations

import os
from pathlib import Path

_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def resident_mb(pid: int) -> float:
    """The resident memory of a process (0: this one), in MB (10^6 bytes); 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid or 'self'}/statm", encoding="ascii") as statm:
            return round(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (OSError, ValueError, IndexError):
        return 0.0


def machine_mb() -> float:
    """The memory that this machine has, or this container may use, in MB; 0 where the system does not tell."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (ValueError, OSError, AttributeError):
        return 0.0
    for path in _CONTAINER_LIMITS:
        try:
            # "max", or a number larger than any machine's memory, where there is no limit.
            total = min(total, int(Path(path).read_text(encoding="ascii")) / 1e6)
        except (OSError, ValueError):
            continue
    return round(total, 1)
