"""An owner's classes: those that objects of any session have, and those that were given a colour for later."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backend.domain import MAX_NAME, ObjectInfo
from backend.errors import Conflict, InvalidInput, NotFound, TooMany
from backend.owners import is_ticket
from backend.sessions.store import OnStored, Store

COLOR = re.compile(r"#[0-9a-fA-F]{6}")
MOST = 1000
"""Classes that an owner may give a colour."""


@dataclass(frozen=True, slots=True)
class Label:
    """A class; `objects` counts those that have it now, over all sessions of its owner."""

    label: str
    color: str
    objects: int


class Labels:
    """Thread-safe. Whoever holds a ticket only has none, as it has no list of sessions.

    Args:
        store: keeps the colours.
        objects_of: all objects of an owner's sessions.
        wait: has something stored, and returns once it is.
        clock: the server's own time, in seconds.
    """

    def __init__(
        self,
        store: Store,
        objects_of: Callable[[str], Iterable[ObjectInfo]],
        wait: Callable[[Callable[[OnStored], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._objects_of = objects_of
        self._wait = wait
        self._clock = clock

    def listed(self, owner: str) -> list[Label]:
        """The owner's classes, most used first. One without a colour of its own has its objects' most frequent.

        Raises:
            StorageUnavailable: they can't be read.
        """
        if is_ticket(owner):
            return []
        given = self._store.labels(owner)
        used: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for info in self._objects_of(owner):
            if info.label:
                used[info.label][info.color] += 1
        out = []
        for label in given.keys() | used.keys():
            color = given.get(label) or used[label].most_common(1)[0][0]
            out.append(Label(label, color, used[label].total() if label in used else 0))
        return sorted(out, key=lambda each: (-each.objects, each.label.casefold(), each.label))

    def color(self, owner: str, label: str) -> str | None:
        """The colour that objects get with a class; None: they keep theirs."""
        return None if is_ticket(owner) else self._store.labels(owner).get(label)

    def put(self, owner: str, label: str, color: str) -> Label:
        """Add a class, or give one another colour (`#rrggbb`), for objects that get it from now on.

        Raises:
            InvalidInput: no name or colour, or a caller who can't have any.
            TooMany: the owner has too many (`label_quota`).
            DiskFull, StorageUnavailable: it can't be kept.
        """
        label = label.strip()
        if is_ticket(owner):
            raise InvalidInput(
                "On this server classes are kept for browsers and keys only: give each object its class.",
                "labels_not_allowed",
            )
        if not label or len(label) > MAX_NAME:
            raise InvalidInput(f"A class has 1 to {MAX_NAME} characters.", "invalid_name")
        if not COLOR.fullmatch(color):
            raise InvalidInput("A colour is written #rrggbb.", "invalid_color")
        given = self._store.labels(owner)
        if label not in given and len(given) >= MOST:
            raise TooMany(f"You have {MOST} classes already: remove some first.", "label_quota", 60)
        self._wait(lambda on_stored: self._store.put_label(owner, label, color, self._clock(), on_stored))
        return next((each for each in self.listed(owner) if each.label == label), Label(label, color, 0))

    def drop(self, owner: str, label: str) -> None:
        """Remove a class that no object has.

        Raises:
            NotFound: there is none of that name (`unknown_label`).
            Conflict: objects have it (`label_in_use`).
            DiskFull, StorageUnavailable: it can't be removed.
        """
        found = next((each for each in self.listed(owner) if each.label == label), None)
        if found is None:
            raise NotFound("You have no class of that name.", "unknown_label")
        if found.objects:
            have = f"{found.objects} objects have" if found.objects > 1 else "An object has"
            raise Conflict(f"{have} this class: give them another one first.", "label_in_use")
        self._wait(lambda on_stored: self._store.drop_label(owner, label, on_stored))
