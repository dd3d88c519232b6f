"""Which engines there are, and which one a server uses.

An `EngineSpec` is a small value that crosses into the worker process and is built there, so that
the web process never imports a model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from backend.engines.base import Engine
from backend.errors import EngineError
from backend.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine to be built. `cache_dir`: where it may keep what can be made again."""

    name: str
    cache_dir: Path
    device: str = "cpu"
    step_seconds: float = 0.0


def choose(settings: Settings) -> EngineSpec:
    """The engine that the settings ask for; "auto" is the best one this server has.

    Raises:
        EngineError: the engine is not part of this build and VIDEO_MODEL_REQUIRED is set.
    """
    wanted = settings.engine
    if wanted in ("sam3", "transformers"):
        sentence = f"ENGINE={wanted} is not part of this version yet."
        if settings.video_model_required:
            raise EngineError(sentence, "engine_unavailable")
        log.warning("%s Lite is used instead.", sentence)
    name = wanted if wanted in ("lite", "fake") else "lite"
    return EngineSpec(name, settings.cache, step_seconds=settings.fake_step_seconds)


def build(spec: EngineSpec) -> Engine:
    """Build an engine, in the process and thread that will use it.

    Raises:
        EngineError: there is no engine of that name.
    """
    if spec.name == "lite":
        from backend.engines.lite.engine import LiteEngine

        return LiteEngine(spec.cache_dir)
    if spec.name == "fake":
        from backend.engines.fake import FakeEngine

        return FakeEngine(spec.step_seconds)
    raise EngineError(f"There is no engine called “{spec.name}”.", "unknown_engine")
