"""A loaded network: its vision encoder, and the sessions of the package that work on what it encoded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from backend.domain import Image
from backend.engines.transformers.families import Family
from backend.engines.transformers.features import Features
from backend.engines.transformers.pixels import Pixels

if TYPE_CHECKING:
    import torch


class _Frames(dict[int, Any]):
    """As many frames as a video has, and no pixels: encoded pictures are handed over instead."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        import torch

        return torch.empty(0)


class Network:
    """The parts of a loaded model, and the one place where its encoder runs.

    Args:
        model: the package's model with its weights, on its device.
        family: which kind it is.
        pixels: how it wants its pictures.
    """

    def __init__(self, model: Any, family: Family, pixels: Pixels) -> None:
        self.model = model
        self.family = family
        self.pixels = pixels
        self.tracker: Any = model.tracker_model if family.text else model
        """The package's model that follows objects and answers clicks."""
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        places = self.tracker.prompt_encoder.shared_embedding
        places.positional_embedding = places.positional_embedding.float()
        self._positions: tuple[list[torch.Tensor], Any] | None = None
        self._fed: Features | None = None
        if family.text:
            self._vision = model.detector_model.get_vision_features
            self._tracker_maps = model.get_vision_features_for_tracker
            # The package's pipeline encodes its frames itself; it gets what is encoded already.
            model.detector_model.get_vision_features = lambda pixel_values: self._current.vision
            model.get_vision_features_for_tracker = lambda vision_embeds: (self._current.maps, self._current.positions)

    @property
    def side(self) -> int:
        """Side of the square picture that the network sees, in pixels."""
        return self.pixels.size

    def encode(self, picture: Image) -> Features:
        """Run the vision encoder on an RGB uint8 picture (H, W, 3)."""
        import torch

        with torch.inference_mode():
            values = self.pixels.tensor(picture, self.device, self.dtype)
            return self._encode_for_words(values) if self.family.text else self._encode(values)

    def session(self, kind: Any, count: int, size: tuple[int, int]) -> Any:
        """A session of the package over a video.

        Args:
            kind: the package's class.
            count: how many frames the video has.
            size: (height, width) of its frames.
        """
        session = kind(
            video_height=size[0],
            video_width=size[1],
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=self.dtype,
            max_vision_features_cache_size=1,
        )
        session.processed_frames = _Frames(count)
        return session

    def tracker_session(self, count: int, size: tuple[int, int]) -> Any:
        """A session of the network's tracker; see `session`."""
        module = sys.modules[type(self.tracker).__module__]
        return self.session(getattr(module, self.family.session), count, size)

    def feed(self, session: Any, frame_index: int, features: Features) -> None:
        """Let the package's next forward on the frame work with these features."""
        self._fed = features
        maps = {"vision_feats": features.maps, "vision_pos_embeds": features.positions}
        session.cache.cache_vision_features(frame_index, maps)

    def unfeed(self, session: Any) -> None:
        """Hold no features any longer."""
        self._fed = None
        session.cache.clear_all()

    @property
    def _current(self) -> Features:
        assert self._fed is not None, "a frame is fed before each step"
        return self._fed

    def _encode(self, values: torch.Tensor) -> Features:
        out = self.tracker.get_image_features(values, return_dict=True)
        positions, _ = self._same_positions(out.fpn_position_encoding, None)
        return Features(list(out.fpn_hidden_states), positions)

    def _encode_for_words(self, values: torch.Tensor) -> Features:
        vision = self._vision(pixel_values=values)
        maps, encodings = self._tracker_maps(vision_embeds=vision)
        positions, wide = self._same_positions(encodings, vision.fpn_position_encoding)
        # The coarsest level and the encoder's own output have served; they are a third of the memory.
        kept = type(vision)(fpn_hidden_states=(*vision.fpn_hidden_states[:-1], None), fpn_position_encoding=wide)
        return Features(maps, positions, kept)

    def _same_positions(self, encodings: Any, wide: Any) -> tuple[list[torch.Tensor], Any]:
        """The position encodings, one copy for all pictures: they depend on nothing but the size."""
        if self._positions is None:
            self._positions = [e.contiguous() for e in encodings], wide
        return self._positions
