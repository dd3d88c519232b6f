"""What the measurement found, as lines to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def at(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lie; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Followed:
    """A propagation that the page followed. `alone`: frames a second of the same run with nobody watching."""

    pace: float
    total: int
    came: int
    painted: int
    rate: float
    alone: float

    def line(self) -> str:
        asked = f"{1 / self.pace:.0f} frames/s" if self.pace else "as fast as it can"
        return (
            f"engine at {asked}: {self.came} of {self.total} frames came, {self.painted} painted, "
            f"{self.rate:.1f} frames/s watched and {self.alone:.1f} alone (×{self.rate / self.alone:.2f})"
        )


@dataclass(frozen=True, slots=True)
class Rival:
    """The same through gr.Image. `bytes_a_frame`: what came over the network for each frame it made."""

    total: int
    painted: int
    rate: float
    bytes_a_frame: float


@dataclass(frozen=True, slots=True)
class Report:
    followed: Sequence[Followed]
    scrubs: Sequence[float]
    """Milliseconds from the pointer's event to the painted frame."""
    message_bytes: float
    """Of a frame's message over the WebSocket, as it is before the connection compresses it."""
    overlay_bytes: float
    """Of the same frame as a JPEG with the masks painted in, at the video's size."""
    rival: Rival

    def lines(self) -> list[str]:
        fastest = max(self.followed, key=lambda f: f.rate)
        return [
            *(f.line() for f in self.followed),
            f"scrubbing {len(self.scrubs)} cached frames: painted after {at(self.scrubs, 0.5):.0f} ms (median), "
            f"{at(self.scrubs, 0.95):.0f} ms (95 %), {max(self.scrubs, default=0):.0f} ms (worst)",
            f"masks of a frame: {self.message_bytes:.0f} bytes; as a painted JPEG {self.overlay_bytes:.0f} "
            f"(×{self.overlay_bytes / self.message_bytes:.0f})",
            f"gr.Image: {self.rival.painted} of {self.rival.total} frames painted, {self.rival.rate:.1f} frames/s, "
            f"{self.rival.bytes_a_frame:.0f} bytes a frame; the page ×{fastest.rate / self.rival.rate:.1f} as fast, "
            f"its masks ×{self.rival.bytes_a_frame / self.message_bytes:.0f} smaller",
        ]
