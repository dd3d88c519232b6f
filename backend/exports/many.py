"""The results of many sessions as one file: joined where the format can, else a zip with a file of each."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from backend.errors import InvalidInput
from backend.exports.base import ExportFormat, ExportSource, OnProgress
from backend.media.disk import disk_errors

ZIP = (".zip", "application/zip")
_PACKED = "application/json"
"""What shrinks when it is compressed; pictures and videos don't."""


@runtime_checkable
class JoinsMany(Protocol):
    """A format that one file of can hold many sessions."""

    def write_joined(
        self,
        sources: Sequence[ExportSource],
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        """`ExportFormat.write` for many, at least one."""
        ...


def kind_of(fmt: ExportFormat) -> tuple[str, str]:
    """Extension and media type of the file that `write_many` writes."""
    return (fmt.extension, fmt.media_type) if isinstance(fmt, JoinsMany) else ZIP


def write_many(
    fmt: ExportFormat, sources: Sequence[tuple[str, ExportSource]], target: Path, options: Mapping[str, str]
) -> None:
    """Write the file `target`.

    Args:
        fmt: the format of each.
        sources: the name of each one's file, without its ending, and what it reads; at least one.
        target: where to; a zip's parts are made beside it, one at a time.
        options: of the format. Object ids mean another object in each session, so `objects` is refused.

    Raises:
        InvalidInput: options the format does not know, or `objects` (`invalid_option`).
        DiskFull: no room for the file.
    """
    if "objects" in options:
        raise InvalidInput("The option “objects” is for one session: each has its own ids.", "invalid_option")
    if isinstance(fmt, JoinsMany):
        fmt.write_joined([source for _, source in sources], target, options)
        return
    how = zipfile.ZIP_DEFLATED if fmt.media_type == _PACKED else zipfile.ZIP_STORED
    taken: dict[str, int] = {}
    with disk_errors(), zipfile.ZipFile(target, "w", how) as bundle:
        for stem, source in sources:
            part = target.with_name(f"part{fmt.extension}")
            try:
                fmt.write(source, part, options)
                bundle.write(part, f"{_unlike(stem, taken)}{fmt.extension}")
            finally:
                part.unlink(missing_ok=True)


def _unlike(stem: str, taken: dict[str, int]) -> str:
    """A name that the zip does not have yet: the second “cat” is “cat-2”."""
    name, key = stem, stem.casefold()
    while key in taken:
        taken[stem.casefold()] += 1
        name = f"{stem}-{taken[stem.casefold()]}"
        key = name.casefold()
    taken[key] = 1
    return name
