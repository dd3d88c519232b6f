"""Tiny checkpoints of SAM 3, SAM 2.1 and EdgeTAM with random weights: the real packages, quick on a CPU."""

from tests.tiny.checkpoints import KINDS, Kind, make_checkpoint

__all__ = ["KINDS", "Kind", "make_checkpoint"]
