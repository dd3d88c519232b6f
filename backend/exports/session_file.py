"""The session itself as a file: video, history, objects and results, to go on with elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.exports.base import ExportSource, OnProgress, check_options


@dataclass(frozen=True)
class SessionFile:
    """Written by the session service, which alone knows the history; read by its import."""

    name: str = "session"
    title: str = "Session"
    description: str = "Everything, video and history included, to open on another machine."
    extension: str = ".sam3.zip"
    media_type: str = "application/zip"
    options: Mapping[str, str] = field(default_factory=dict)

    def write(
        self,
        source: ExportSource,
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        """Write the file.

        Raises:
            InvalidInput: it takes no options (`invalid_option`).
            DiskFull: no room for the file.
        """
        check_options(options, self.options, self.title)
        source.save(target)
        if on_progress is not None:
            on_progress(1.0)
