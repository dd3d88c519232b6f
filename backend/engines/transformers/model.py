"""A loaded checkpoint as `SamEngine` wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.domain import Box, Capabilities, Image
from backend.engines.sam.model import Clicks, Found, Views
from backend.engines.transformers import clicks as by_clicks
from backend.engines.transformers import detector, devices
from backend.engines.transformers.features import Features
from backend.engines.transformers.follower import ConceptFollower
from backend.engines.transformers.network import Network
from backend.engines.transformers.tracker import VideoTracker
from backend.engines.transformers.words import Words
from backend.errors import Unsupported

if TYPE_CHECKING:
    import torch


class TransformersModel:
    """See `backend.engines.sam.model.SamModel`.

    Args:
        network: the loaded model.
        words: reads texts; None where the model finds no words.
        title: the model as people call it.
        checkpoint: its name.
        exemplars: whether it can take boxes as examples.
    """

    name = "transformers"

    def __init__(self, network: Network, words: Words | None, title: str, checkpoint: str, exemplars: bool) -> None:
        self.title = title
        self.checkpoint = checkpoint
        self.device = devices.name(network.device)
        self.note = devices.MPS_NOTE if network.device.type == "mps" else ""
        self.capabilities = Capabilities(
            text=words is not None,
            exemplar=words is not None and exemplars,
            multi_concept=words is not None,
            features=True,
        )
        self._network = network
        self._words = words

    def encode(self, picture: Image) -> Features:
        """Run the vision encoder on a picture: RGB uint8 (H, W, 3)."""
        return self._network.encode(picture)

    def nbytes(self, features: Features) -> int:
        """What the features hold of the device's memory, in bytes."""
        return features.nbytes

    def segment(self, features: Features, size: tuple[int, int], clicks: Clicks) -> Found:
        """The one object that clicks or a box mean."""
        return by_clicks.segment(self._network, features, size, clicks)

    def detect(self, features: Features, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        """Everything on the picture that words and exemplar boxes name, best first.

        Raises:
            InvalidInput: the text is too long for the model, or there is neither text nor exemplar.
            Unsupported: the model finds no words.
        """
        return detector.detect(self._network, self._reader(), features, size, text, exemplars)

    def track(self, views: Views, held: int) -> VideoTracker:
        """A new tracker over a video."""
        return VideoTracker(self._network, views, held)

    def follow(self, views: Views, text: str, held: int) -> ConceptFollower:
        """A new follower of a concept over a video.

        Raises:
            InvalidInput: the text is too long for the model.
            Unsupported: the model finds no words.
        """
        return ConceptFollower(self._network, self._reader(), views, text, held)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether what was raised says that the device has no memory left."""
        return devices.is_out_of_memory(error)

    def release_memory(self) -> None:
        """Give what PyTorch caches but does not use back to the device."""
        devices.release_memory(self._place)

    @property
    def _place(self) -> torch.device:
        return self._network.device

    def _reader(self) -> Words:
        if self._words is None:
            raise Unsupported(f"{self.title} finds nothing by words. Click or draw a box instead.", "text_unsupported")
        return self._words
