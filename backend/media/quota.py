"""How much of the disk each owner's uploads may take."""

from __future__ import annotations

import threading
from collections import Counter

from backend.errors import TooMany
from backend.owners import CROWD, IMAGE_OWNER, crowd_of

_RETRY_SECONDS = 60


class Quota:
    """Counts bytes by owner as they come in, so that uploads at the same time can't pass it together.

    Thread-safe. The visitors of one address together get `CROWD` times as much as one of them.

    Args:
        most_bytes: for each owner; 0: any amount.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def held(self, owner: str) -> int:
        return self._held[owner]

    def take(self, owner: str, count: int) -> None:
        """Count bytes that are about to be stored.

        Raises:
            TooMany: `storage_quota`; nothing is counted then.
        """
        crowd = crowd_of(owner)
        with self._lock:
            over = self._held[owner] + count > self._most
            over = over or (crowd is not None and self._held[crowd] + count > self._most * CROWD)
            if self._most and over and count > 0 and owner != IMAGE_OWNER:
                raise TooMany(
                    f"Your uploads fill the {self._most / 1e6:g} MB you may keep here. "
                    "Close sessions you no longer need; what nobody uses is deleted in time.",
                    "storage_quota",
                    _RETRY_SECONDS,
                )
            self._add(owner, count)

    def note(self, owner: str, count: int) -> None:
        """Count bytes that are stored already, whatever the limit says; negative: that are gone."""
        with self._lock:
            self._add(owner, count)

    def _add(self, owner: str, count: int) -> None:
        for name in filter(None, (owner, crowd_of(owner))):
            self._held[name] += count
            if self._held[name] <= 0:
                del self._held[name]


class Taking:
    """What one upload has taken so far; given back unless it is kept."""

    def __init__(self, quota: Quota, owner: str) -> None:
        self._quota = quota
        self._owner = owner
        self.count = 0

    def take(self, count: int) -> None:
        """Raises: TooMany."""
        self._quota.take(self._owner, count)
        self.count += count

    def settle(self, size: int) -> None:
        """What it takes in the end, in bytes. Raises: TooMany."""
        self.take(size - self.count)

    def give_back(self) -> None:
        self._quota.note(self._owner, -self.count)
        self.count = 0
