"""What a disk refuses, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import DiskFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOCKED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def disk_error(error: OSError) -> DiskFull:
    """The service's error for a failed write."""
    if error.errno in _FULL:
        return DiskFull("The server's disk is full: try again later.")
    if error.errno in _LOCKED:
        return DiskFull("The server can't store anything: its folder is read-only.")
    return DiskFull("The server could not store the file: try again later.")


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn every OSError of a block that writes into a `DiskFull`."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def disk_usage(path: Path) -> int:
    """The bytes of a file, or of the files right in a folder; a link's target is not counted."""
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(file.lstat().st_size for file in path.iterdir())
    return path.stat().st_size
