"""Whose a session or an upload is.

An owner is a name: a key's, a login's, a browser's, that of everybody (`LOCAL_OWNER`), or a
*ticket*: where browsers are told apart, a program that carries nothing holds the unguessable id of
its session or upload as its ticket, and so does everybody it gives the id to.
"""

from __future__ import annotations

LOCAL_OWNER = "local"
"""The owner where there is only one."""
IMAGE_OWNER = "image-call"
"""The owner of what lives for one image call only: nobody lists or opens it, and no quota counts it."""
CROWD = 10
"""How many times an owner's share all the visitors and tickets of one address have together."""
_TICKET = "ticket-"
_VISITOR = "visitor-"
VISITORS = _VISITOR + "*"
"""What the names of browsers that a server tells apart are like."""


def ticket_owner(address: str) -> str:
    """The owner of what a program without key, login or cookie makes.

    Args:
        address: stands for the program's address; only quotas look at it. Without a dash.
    """
    return _TICKET + address


def visitor_owner(address: str, visitor: str) -> str:
    """A browser's own name; `address` stands for where it first came from. Without a dash."""
    return f"{_VISITOR}{address}-{visitor}"


def is_ticket(owner: str) -> bool:
    return owner.startswith(_TICKET)


def crowd_of(owner: str) -> str | None:
    """What all visitors of one address have in common: a name costs them nothing, so they share a limit."""
    return owner[: owner.index("-", len(_VISITOR)) + 1] if owner.startswith(_VISITOR) else None


def may_open(caller: str, owner: str) -> bool:
    """Whether a caller who knows its id may use what belongs to `owner`."""
    return caller == owner or is_ticket(owner)
