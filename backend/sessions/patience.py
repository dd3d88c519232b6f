"""How often a request is tried again after its worker ended."""

from __future__ import annotations

MAX_HERE = 2
"""A request over which so many workers ended, without a frame's progress between, is not tried again."""
MAX_BLAMED = 3
"""Nor one over which so many ended in all, however far it came each time."""
FORGIVEN_FRAMES = 50
"""After so many frames without an end, the earlier ones are forgotten: long runs outlast a few accidents."""
MAX_TRIES = 6
"""Nor one that comes no further so often, whoever is to blame."""


class Patience:
    """One request's account. Others that share its worker begin anew with it, and are not held responsible."""

    def __init__(self) -> None:
        self._place = -1
        self._here = 0
        self._blamed = 0
        self._tries = 0

    def again(self, *, blamed: bool, done: int = 0) -> bool:
        """Enter that the worker ended; whether to try once more.

        Args:
            blamed: it ended while it worked on this very request.
            done: how far the request had come.
        """
        if done > self._place:
            if done - self._place >= FORGIVEN_FRAMES:
                self._blamed = 0
            self._place, self._here, self._tries = done, 0, 0
        self._tries += 1
        self._here += blamed
        self._blamed += blamed
        return self._here < MAX_HERE and self._blamed < MAX_BLAMED and self._tries < MAX_TRIES
