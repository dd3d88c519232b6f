"""SAM 3 as the engine core sees a model."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.domain import Box, Capabilities, Image
from backend.engines.sam.model import Clicks, Follower, Found, Tracker, Views
from backend.engines.sam3.clicks import segment
from backend.engines.sam3.detector import Detector
from backend.engines.sam3.features import Encoded, Encoder
from backend.engines.sam3.follower import Sam3Follower, share_features
from backend.engines.sam3.inference import inference
from backend.engines.sam3.tracker import Sam3Tracker

FULL = ("CUDA error: out of memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class OnePicture:
    """A picture's features as a video of one frame."""

    def __init__(self, features: Encoded, size: tuple[int, int]) -> None:
        self._features = features
        self.size = size

    def __len__(self) -> int:
        return 1

    def features(self, frame_index: int) -> Encoded:
        """The only frame's."""
        return self._features


class Sam3Model:
    """Meta's video model: its detector, its tracker and what it makes of both.

    Everything is called on the thread that built the model: bf16 autocast was entered there.

    Args:
        video: the package's video model.
        checkpoint: the weights' name.
        device: where it runs, as people call it.
        note: a sentence for the page.
        keep_pictures: keep pictures beside their features, for other processes.
    """

    name = "sam3"
    title = "SAM 3"
    capabilities = Capabilities(text=True, exemplar=True, multi_concept=True, features=True)

    def __init__(self, video: Any, checkpoint: str, device: str, note: str = "", keep_pictures: bool = False) -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.note = note
        self._video = video
        self._encoder = Encoder(video, keep_pictures)
        self._detector = Detector(video)
        share_features(video, self._detector)

    @inference
    def encode(self, picture: Image) -> Encoded:
        """Run the vision encoder on a picture."""
        return self._encoder(picture)

    def nbytes(self, features: Encoded) -> int:
        """What features hold of the device's memory, in bytes."""
        return features.nbytes

    def segment(self, features: Encoded, size: tuple[int, int], clicks: Clicks) -> Found:
        """The one object that clicks or a box mean."""
        return segment(self._video.tracker, OnePicture(features, size), clicks)

    def detect(self, features: Encoded, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        """Everything on the picture that words and exemplar boxes name, best first.

        Raises:
            InvalidInput: the text is too long for the model.
        """
        return self._detector.find(features, size, text, exemplars)

    def track(self, views: Views, held: int) -> Tracker:
        """A new tracker over a video."""
        return Sam3Tracker(self._video.tracker, views, held)

    def follow(self, views: Views, text: str, held: int) -> Follower:
        """A new follower of a concept over a video.

        Raises:
            InvalidInput: the text is too long for the model.
        """
        self._detector.read(text)
        return Sam3Follower(self._video, views, text, held)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether what was raised says that the GPU has no memory left."""
        import torch

        return isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and any(sign in str(error) for sign in FULL)
        )

    def release_memory(self) -> None:
        """Give what PyTorch caches but doesn't use back to the GPU."""
        import torch

        gc.collect()
        torch.cuda.empty_cache()

    def compile(self) -> None:
        """Compile the model, after one pass that fills what it computes only once."""
        features = self.encode(np.zeros((8, 8, 3), np.uint8))
        self.detect(features, (8, 8), "object", ())
        self._video.compile_model = True
        self._video._compile_model()
