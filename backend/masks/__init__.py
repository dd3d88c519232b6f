"""Pure functions on masks: run-length codes, boxes, overlays."""

from backend.masks.boxes import mask_box
from backend.masks.rle import area, decode, empty, encode, parse

__all__ = ["area", "decode", "empty", "encode", "mask_box", "parse"]
