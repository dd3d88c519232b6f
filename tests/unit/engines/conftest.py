from __future__ import annotations

import pytest

from backend.engines.lite import LiteEngine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LiteEngine:
    """The embedded engine, built once: it holds no state of its own."""
    return LiteEngine(tmp_path_factory.mktemp("cache"))
