"""A session's video as a model sees it, and the features of still images between calls."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from backend.domain import Image, Video
from backend.engines.base import FrameSource
from backend.engines.sam.model import Features, SamModel


@dataclass(slots=True)
class _Kept:
    features: Features
    nbytes: int
    used: float


class FeatureCache:
    """What the encoder made of still images, by their content: a time to live and a limit in bytes.

    Args:
        max_bytes: the oldest go when all together hold more; 0 keeps none.
        ttl_seconds: how long features stay that nobody asks for.
        clock: seconds that only grow.
    """

    def __init__(self, max_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    @staticmethod
    def key(picture: Image) -> bytes:
        """What identifies a picture: a hash of its size and its pixels."""
        digest = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
        digest.update(picture.tobytes())
        return digest.digest()

    def get(self, key: bytes) -> Features | None:
        """The features of a picture, if they are here; asking keeps them for longer."""
        self.expire()
        kept = self._kept.get(key)
        if kept is None:
            return None
        kept.used = self._clock()
        self._kept.move_to_end(key)
        return kept.features

    def put(self, key: bytes, features: Features, nbytes: int) -> None:
        """Keep features, unless they alone are over the limit."""
        self._kept.pop(key, None)
        if nbytes > self._max_bytes:
            return
        self._kept[key] = _Kept(features, nbytes, self._clock())
        while self.nbytes > self._max_bytes:
            self._kept.popitem(last=False)

    def expire(self) -> None:
        """Let go of what nobody asked for in time."""
        limit = self._clock() - self._ttl
        for key in [k for k, kept in self._kept.items() if kept.used < limit]:
            del self._kept[key]

    def clear(self) -> None:
        """Let go of everything."""
        self._kept.clear()

    @property
    def nbytes(self) -> int:
        """What is kept, in bytes of the device's memory."""
        return sum(kept.nbytes for kept in self._kept.values())


class SessionViews:
    """A video's frames, encoded when they are asked for; the last few are kept.

    Args:
        model: encodes.
        video: whose frames they are.
        frames: reads them.
        cache: where a still image's features are looked for first.
        held: how many frames' features are kept.
    """

    def __init__(self, model: SamModel, video: Video, frames: FrameSource, cache: FeatureCache, held: int) -> None:
        self._model = model
        self._frames = frames
        self._size = video.height, video.width
        self._still = video.num_frames == 1
        self._cache = cache
        self._key: bytes | None = None
        self._kept: OrderedDict[int, tuple[Features, int]] = OrderedDict()
        self.held = held
        self.cache_hit = False
        """Whether the frame asked for last needed no encoding."""

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def __len__(self) -> int:
        return len(self._frames)

    def features(self, frame_index: int) -> Features:
        """What the model made of the frame; see `Views`."""
        kept = self._kept.get(frame_index)
        self.cache_hit = kept is not None
        if kept is not None:
            self._kept.move_to_end(frame_index)
            return kept[0]
        while len(self._kept) >= max(self.held, 1):
            self._kept.popitem(last=False)
        features = self._still_features() if self._still else self._model.encode(self._frames.read(frame_index))
        self._kept[frame_index] = features, self._model.nbytes(features)
        return features

    def _still_features(self) -> Features:
        picture = self._frames.read(0)
        self._key = self._key or self._cache.key(picture)
        features = self._cache.get(self._key)
        self.cache_hit = features is not None
        if features is None:
            features = self._model.encode(picture)
            self._cache.put(self._key, features, self._model.nbytes(features))
        return features

    def clear(self) -> None:
        """Let go of all features; those of a still image stay in the cache for as long as it keeps them."""
        self._kept.clear()

    @property
    def nbytes(self) -> int:
        """What is kept, in bytes of the device's memory."""
        return sum(nbytes for _, nbytes in self._kept.values())
