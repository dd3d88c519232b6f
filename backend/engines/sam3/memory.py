"""Keeps what a tracker remembers bounded, without a change of what it gives.

The package keeps every frame it has been on. On a frame it looks at the last few of them, or, with
temporal disambiguation, at the last few that it was sure of; the rest is dead weight.
"""

from __future__ import annotations

from typing import Any

from backend.engines.sam3.features import nbytes_of

Outputs = dict[int, dict[str, Any]]
"""What the package keeps of each frame."""


class Recall:
    """What a tracker of the package looks back at.

    Args:
        tracker: the package's.
        held: how many frames to keep at least, besides those with given masks.
    """

    def __init__(self, tracker: Any, held: int) -> None:
        self.held = max(held, int(tracker.num_maskmem))
        self._selects = bool(getattr(tracker, "use_memory_selection", False))
        self._least = float(getattr(tracker, "mf_threshold", 0.0))
        self._most_given = int(getattr(tracker, "max_cond_frames_in_attn", -1))
        self._pointers = int(getattr(tracker, "max_obj_ptrs_in_encoder", 16))

    def forget(self, outputs: Outputs, now: int) -> list[int]:
        """Drop the frames that are not looked at any more, having gone as far as `now`; says which."""
        near = sorted(outputs, key=lambda frame: abs(frame - now))
        kept: list[int] = []
        for frame in near:
            if len(kept) < self.held and (frame == now or self._sure(outputs[frame])):
                kept.append(frame)
        return _drop(outputs, set(kept))

    def forget_given(self, outputs: Outputs, now: int) -> list[int]:
        """The same for frames with masks that the model gave itself along the way."""
        if self._most_given < 0:
            return []
        near = sorted(outputs, key=lambda frame: abs(frame - now))
        kept = set(near[: self._most_given]) | {frame for frame in near if abs(frame - now) <= self._pointers}
        return _drop(outputs, kept)

    def _sure(self, output: dict[str, Any]) -> bool:
        if not self._selects or "eff_iou_score" not in output:
            return True
        # As a plain number, asking the device for it once instead of at every later frame.
        output["eff_iou_score"] = float(output["eff_iou_score"])
        return bool(output["eff_iou_score"] > self._least)


def _drop(outputs: Outputs, kept: set[int]) -> list[int]:
    dropped = [frame for frame in outputs if frame not in kept]
    for frame in dropped:
        del outputs[frame]
    return dropped


def nbytes_of_outputs(*stores: Outputs) -> int:
    """What is remembered, in bytes of the device's memory."""
    return nbytes_of(value for store in stores for output in store.values() for value in output.values())
