"""What a disk refuses, in words."""

from __future__ import annotations

import errno
import os
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


def sync(path: Path) -> None:
    """Have the disk keep a file, or a folder's list of names, through a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """`sync` the plain files of a folder and the folder; folders in it are left to the system's own time."""
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            sync(path)
    sync(folder)
