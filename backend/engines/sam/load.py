"""Builds a SAM engine from its spec, in the process that will use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backend.engines.sam.engine import SamEngine
from backend.engines.sam.model import SamModel

if TYPE_CHECKING:
    from backend.engines.registry import EngineSpec

DEFAULT_MODEL = "facebook/sam3"


def load(spec: EngineSpec, report: Callable[[str], None]) -> SamEngine:
    """Load the weights and put the engine around them; takes seconds to minutes.

    Raises:
        EngineError: the package or the weights can't be had here.
    """
    model: SamModel
    if spec.name == "sam3":
        from backend.engines.sam3 import Sam3Options
        from backend.engines.sam3 import load as load_sam3

        options = Sam3Options(
            checkpoint=spec.checkpoint,
            bpe_path=spec.bpe_path,
            gpus=max(len(spec.gpus), 1),
            compile=spec.compiled,
            temporal_disambiguation=spec.temporal_disambiguation,
        )
        model = load_sam3(options, report)
    else:
        from backend.engines.transformers import load as load_transformers

        model = load_transformers(spec.checkpoint or DEFAULT_MODEL, spec.device, report)
    return SamEngine(model, spec.cache_bytes, spec.cache_seconds, spec.reason)
