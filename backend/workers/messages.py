"""The whole conversation with a worker, as dataclasses.

A ticket numbers a request; every request with a ticket is answered by exactly one `Opened`,
`Applied`, `Finished` or `Failed` with the same ticket, a propagation by any number of `Stepped`
before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.domain import EngineInfo, FrameResult, PromptRequest, Snapshot, Span, Video
from backend.errors import ServiceError

MAX_MESSAGE_BYTES = 256_000_000
"""No frame's masks are larger; a worker refuses to send more."""

# --- to the worker -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    ticket: int
    session_id: str
    video: Video
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Apply:
    ticket: int
    session_id: str
    request: PromptRequest


@dataclass(frozen=True, slots=True)
class Propagate:
    ticket: int
    session_id: str
    span: Span


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the propagation with that ticket after the frame it is on; unknown tickets are ignored."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Remove:
    session_id: str
    obj_id: int


@dataclass(frozen=True, slots=True)
class Reset:
    session_id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Free the session's state, a running propagation included; unknown sessions are ignored."""

    session_id: str


Request = Open | Apply | Propagate | Cancel | Remove | Reset | Close
Ticketed = Open | Apply | Propagate

# --- from the worker ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loading:
    """What the engine does before it is ready, in a few words."""

    stage: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is loaded."""

    info: EngineInfo


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The engine can't be loaded; the worker ends."""

    error: ServiceError


@dataclass(frozen=True, slots=True)
class Opened:
    ticket: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Applied:
    ticket: int
    frame: FrameResult
    concept_kept: bool
    memory_bytes: int
    born: Mapping[int, str] = field(default_factory=dict)
    cache_hit: bool | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    ticket: int
    frame: FrameResult
    memory_bytes: int
    born: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    ticket: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """`blamed`: the worker ended while it worked on this very request."""

    ticket: int
    error: ServiceError
    blamed: bool = False


Reply = Opened | Applied | Stepped | Finished | Failed
FromWorker = Loading | Ready | LoadFailed | Reply
