"""These tests need Meta's package; where it isn't installed they are not collected."""

from __future__ import annotations

from tests.models.shrunk import install, installed

collect_ignore_glob: list[str] = [] if installed() else ["test_*.py"]
if installed():
    install()
