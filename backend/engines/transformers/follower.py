"""Finds and follows what a concept names, by the package's own pipeline of detector and tracker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.engines.sam.model import Found, Views
from backend.engines.transformers import memory
from backend.engines.transformers.network import Network
from backend.engines.transformers.pixels import drawn
from backend.engines.transformers.words import Words


class ConceptFollower:
    """See `backend.engines.sam.model.Follower`.

    Args:
        network: the loaded model.
        words: reads the text.
        views: the video.
        text: what to find.
        held: how many frames to remember.

    Raises:
        InvalidInput: the text is too long for the model.
    """

    def __init__(self, network: Network, words: Words, views: Views, text: str, held: int) -> None:
        self._network = network
        self._views = views
        self._held = held
        self._text = text
        self._tokens = words.tokens(text)
        self._session = self._fresh()

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every find's mask on the frame; see `Follower.step`."""
        import torch

        session = self._session
        with torch.inference_mode():
            memory.prepare(session, self._network.tracker.config, frame_index)
            self._network.feed(session, frame_index, self._views.features(frame_index))
            try:
                out = self._network.model(inference_session=session, frame_idx=frame_index, reverse=reverse)
            finally:
                self._network.unfeed(session)
            found = self._found(out)
            config = self._network.tracker.config
            memory.trim(session, config, frame_index, self._held)
            memory.thin(session, max(self._held, config.num_maskmem))
            self._forget_history(frame_index)
        return found

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._session = self._fresh()

    @property
    def nbytes(self) -> int:
        """What the follower's memory holds, in bytes."""
        return memory.nbytes(self._session)

    def _fresh(self) -> Any:
        from transformers.models.sam3_video import modeling_sam3_video as module

        # A session that was propagated once gives its objects twice: each follower has a fresh one.
        session = self._network.session(module.Sam3VideoInferenceSession, len(self._views), self._views.size)
        prompt = session.add_prompt(self._text)
        session.prompt_input_ids[prompt], session.prompt_attention_masks[prompt] = self._tokens
        return session

    def _found(self, out: Any) -> dict[int, Found]:
        """The finds of a frame, none over another: what overlaps is the one's of the better score."""
        scores = {int(i): float(s) for i, s in out.obj_id_to_tracker_score.items()}
        free = np.ones(self._views.size, np.bool_)
        found: dict[int, Found] = {}
        for obj_id in sorted(out.obj_id_to_mask, key=lambda i: (-scores.get(i, 0.0), i)):
            mask = drawn(out.obj_id_to_mask[obj_id], self._views.size) & free
            if obj_id in out.suppressed_obj_ids:
                mask = np.zeros_like(mask)
            free &= ~mask
            found[int(obj_id)] = Found(mask, min(max(scores.get(obj_id, 0.0), 0.0), 1.0))
        return dict(sorted(found.items()))

    def _forget_history(self, frame_index: int) -> None:
        """Drop what the pipeline noted of earlier frames, all of which it copies on every frame.

        Of the lists it asks only whether they are as long as its thresholds.
        """
        session, model = self._session, self._network.model
        for notes in (session.obj_id_to_tracker_score_frame_wise, session.suppressed_obj_ids):
            for index in [i for i in notes if i != frame_index]:
                del notes[index]
        for lists, most in (
            (session.unmatched_frame_inds, model.hotstart_unmatch_thresh),
            (session.overlap_pair_to_frame_inds, model.hotstart_dup_thresh),
        ):
            for noted in lists.values():
                del noted[: -max(most, 1)]
