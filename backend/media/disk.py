"""What a disk refuses, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import DiskFull, InvalidMedia

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


def check_steady(path: Path) -> None:
    """Refuse a link to a server-side file that leads elsewhere than when it was made.

    The link names the file with all links before it resolved. Where one was put in its way since
    then, the file may lie outside the folders that were allowed.

    Raises:
        InvalidMedia: it leads elsewhere, or nowhere.
    """
    try:
        if path.is_symlink() and path.readlink() != path.resolve(strict=True):
            raise InvalidMedia("The video's file has changed: start a new session on it.")
    except (OSError, RuntimeError) as error:
        raise InvalidMedia("The video's file is no longer there: upload it again.") from error
