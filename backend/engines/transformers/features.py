"""What the vision encoder makes of a picture, kept so that everything that looks at the frame shares it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """An encoded picture.

    Attributes:
        maps: for trackers and clicks, three levels from fine to coarse, each (cells, 1, channels).
        positions: the position encodings of these levels, the same for every picture.
        vision: for the detector, the package's own output; None where the model finds no words.
    """

    maps: list[torch.Tensor]
    positions: list[torch.Tensor]
    vision: Any = None

    @property
    def nbytes(self) -> int:
        """What belongs to this picture alone, in bytes."""
        tensors = [*self.maps, *(() if self.vision is None else self.vision.fpn_hidden_states)]
        return total_bytes(t for t in tensors if t is not None)


def total_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """The bytes that tensors hold, each storage counted once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())
