"""SAM 3 by Meta's own package, `sam3`; imported only where the engine is built."""

from backend.engines.sam3.load import load
from backend.engines.sam3.options import Sam3Options

__all__ = ["Sam3Options", "load"]
