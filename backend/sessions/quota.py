"""How many sessions each owner may keep."""

from __future__ import annotations

from collections.abc import Iterable

from backend.errors import TooMany
from backend.owners import CROWD, IMAGE_OWNER, crowd_of

_RETRY_SECONDS = 60


def check_sessions(owner: str, owners: Iterable[str], most: int) -> None:
    """Refuse one session more than `most`; the visitors of one address together have `CROWD` times as many.

    Args:
        owner: who wants one more.
        owners: the owner of each session there is, under the lock that the new one is added under.
        most: 0 is any number.

    Raises:
        TooMany: `session_quota`.
    """
    if not most or owner == IMAGE_OWNER:
        return
    crowd = crowd_of(owner)
    own = together = 0
    for other in owners:
        own += other == owner
        together += crowd is not None and crowd_of(other) == crowd
    if own >= most or together >= most * CROWD:
        raise TooMany(
            f"You have {own} sessions, and {most} may be kept here. Close one you no longer need.",
            "session_quota",
            _RETRY_SECONDS,
        )
