"""SAM 3, SAM 2.1 and EdgeTAM by the `transformers` package: the engine that runs on GPUs and CPUs alike."""

from backend.engines.transformers.load import load

__all__ = ["load"]
