"""Answers prompts with a SAM model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.domain import BoolMask, PromptRequest
from backend.engines.base import Ask, Concept
from backend.engines.prompter import Found, Prompter
from backend.engines.sam.model import Clicks, SamModel
from backend.engines.sam.views import SessionViews


class SamPrompter(Prompter):
    """Answers one request on a frame.

    Args:
        model: the model.
        views: the session's video.
        request: what is asked.
    """

    def __init__(self, model: SamModel, views: SessionViews, request: PromptRequest) -> None:
        super().__init__(views.size, request)
        self._model = model
        self._views = views
        self._frame = request.frame_index
        self.cache_hit: bool | None = None
        """Whether the first use of the frame's features found them encoded; None: they were not needed."""

    def find(self, concept: Concept) -> Iterator[Found]:
        """What the model's detector gives for the words and exemplars."""
        yield from self._model.detect(self._features(), self.size, concept.text, concept.exemplars)

    def cut(self, ask: Ask, start: BoolMask | None) -> Found:
        """The object that all its clicks on the frame, its box and its mask before mean together."""
        if start is not None and not start.any():
            start = None
        if not any(ask.labels) and ask.box is None and start is None:
            # SAM needs something to hold on to: clicks that only take away do so from a mask.
            return Found(np.zeros(self.size, np.bool_), 0.0)
        box = None if ask.box is None else ask.box.box
        # A box says anew what the object is; clicks refine what it was.
        clicks = Clicks(ask.points, ask.labels, box, None if box is not None else start)
        return self._model.segment(self._features(), self.size, clicks)

    def _features(self) -> object:
        features = self._views.features(self._frame)
        if self.cache_hit is None:
            self.cache_hit = self._views.cache_hit
        return features
