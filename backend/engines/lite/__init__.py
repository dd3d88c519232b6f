"""The embedded engine: ImageNet features, flow and colours; no GPU, no download."""

from backend.engines.lite.engine import LiteEngine

__all__ = ["LiteEngine"]
