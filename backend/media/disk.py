"""What a disk refuses, in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backend.errors import Conflict, DiskFull, InvalidMedia

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


def hold_folder(folder: Path) -> IO[str] | None:
    """Take a folder for this process alone, until the file that is returned is closed or the process ends.

    Returns:
        The open lock file; None where the folder can't be written, so that nobody else can write it either.

    Raises:
        Conflict: another process has it (`folder_taken`).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a")
    except OSError:
        return None
    try:
        import fcntl
    except ImportError:
        # Windows has other locks; there nothing keeps two servers apart.
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(
            "Another server uses this DATA_DIR: stop it, or set DATA_DIR to another folder.", "folder_taken"
        ) from error
    return lock


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
