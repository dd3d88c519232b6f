"""The error tree.

ServiceError
├── InvalidInput        the request can't be right whatever the state is
│   └── InvalidMedia    a file is not what it claims to be
├── Unauthenticated     no valid key or login
├── NotFound            unknown, or somebody else's
├── Conflict            right in itself, but not now (busy, closed, taken, nothing to undo)
├── LimitExceeded
│   ├── TooLarge        one thing is too big
│   ├── TooMany         too many things at once; carries `retry_after`
│   └── DiskFull
├── StorageUnavailable  the data folder can't be read or written
├── Unsupported         this engine can't do that kind of prompt
└── EngineError         the model failed, or there is none
    └── WorkerLost      the engine's process ended; the same request may succeed on a new one

Every error has a stable snake_case `code` and a sentence a person can act on. Which HTTP status
each one becomes is known to `backend.api.errors` alone.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Anything the service refuses or fails to do, with a sentence for a person.

    Args:
        sentence: one sentence that says what is wrong and what to do about it. Never holds a path
            of the server.
        code: a stable snake_case word for programs; each class has a default.
    """

    default_code = "error"

    def __init__(self, sentence: str, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (worker → service); the default reduction would lose `code`.
        return (type(self), (self.sentence, self.code))


class InvalidInput(ServiceError):
    default_code = "invalid_input"


class InvalidMedia(InvalidInput):
    default_code = "invalid_media"


class Unauthenticated(ServiceError):
    default_code = "unauthenticated"


class NotFound(ServiceError):
    default_code = "not_found"


class Conflict(ServiceError):
    default_code = "conflict"


class LimitExceeded(ServiceError):
    default_code = "limit_exceeded"


class TooLarge(LimitExceeded):
    default_code = "too_large"


class TooMany(LimitExceeded):
    """Too many at once.

    Args:
        retry_after: whole seconds after which another try makes sense.
    """

    default_code = "too_many"

    def __init__(self, sentence: str, code: str | None = None, retry_after: int = 5) -> None:
        super().__init__(sentence, code)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.sentence, self.code, self.retry_after))


class DiskFull(LimitExceeded):
    default_code = "disk_full"


class StorageUnavailable(ServiceError):
    default_code = "storage_unavailable"


class Unsupported(ServiceError):
    default_code = "unsupported"


class EngineError(ServiceError):
    default_code = "engine_error"


class WorkerLost(EngineError):
    default_code = "worker_lost"
