"""Follows objects from their masks through a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.domain import BoolMask
from backend.engines.sam.model import Found, Views
from backend.engines.transformers import memory
from backend.engines.transformers.network import Network
from backend.engines.transformers.pixels import drawn, squared

if TYPE_CHECKING:
    import torch


class VideoTracker:
    """See `backend.engines.sam.model.Tracker`.

    Args:
        network: the loaded model.
        views: the video.
        held: how many frames to remember, besides those whose masks are given.
    """

    def __init__(self, network: Network, views: Views, held: int) -> None:
        self._network = network
        self._views = views
        self._held = held
        self._session = self._fresh()
        self._waiting: dict[int, dict[int, BoolMask]] = {}
        self._given: dict[int, dict[int, NDArray[np.uint8]]] = {}

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        """Take an object in; see `Tracker.add`. What its masks tell is worked out at the next step."""
        self.remove(obj_id)
        self._waiting[obj_id] = dict(masks)
        self._given[obj_id] = {index: np.packbits(mask) for index, mask in masks.items()}

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every object's mask on the frame; see `Tracker.step`."""
        import torch

        if not self._given:
            return {}
        with torch.inference_mode():
            self._condition(frame_index)
            session = self._session
            memory.prepare(session, self._network.tracker.config, frame_index)
            self._network.feed(session, frame_index, self._views.features(frame_index))
            try:
                out = self._network.tracker(inference_session=session, frame_idx=frame_index, reverse=reverse)
            finally:
                self._network.unfeed(session)
            scores = out.object_score_logits.float().sigmoid().flatten().tolist()
            found = {
                obj_id: Found(self._mask(obj_id, frame_index, out.pred_masks[row]), scores[row])
                for row, obj_id in enumerate(out.object_ids)
            }
            memory.trim(session, self._network.tracker.config, frame_index, self._held)
        return found

    def remove(self, obj_id: int) -> None:
        """Follow an object no longer. Unknown ids are no error."""
        self._waiting.pop(obj_id, None)
        self._given.pop(obj_id, None)
        memory.forget(self._session, obj_id)

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._waiting.clear()
        self._given.clear()
        self._session = self._fresh()

    @property
    def nbytes(self) -> int:
        """What the tracker's memory holds, in bytes."""
        return memory.nbytes(self._session)

    def _fresh(self) -> Any:
        return self._network.tracker_session(len(self._views), self._views.size)

    def _mask(self, obj_id: int, frame_index: int, logits: torch.Tensor) -> BoolMask:
        given = self._given[obj_id].get(frame_index)
        if given is None:
            return drawn(logits, self._views.size)
        height, width = self._views.size
        return np.unpackbits(given, count=height * width).reshape(height, width).view(np.bool_)

    def _condition(self, frame_index: int) -> None:
        """Work out what the masks of new objects tell, the farthest frames first.

        So the features of the frame that is stepped on next are the ones encoded last.
        """
        waiting, self._waiting = self._waiting, {}
        frames = {index for masks in waiting.values() for index in masks}
        learned: dict[int, dict[int, Any]] = {obj_id: {} for obj_id in waiting}
        for index in sorted(frames, key=lambda i: abs(i - frame_index), reverse=True):
            for obj_id, masks in waiting.items():
                if index in masks:
                    learned[obj_id][index] = self._learn(index, masks[index])
        for obj_id, outputs in learned.items():
            place = self._session.obj_id_to_idx(obj_id)
            self._session.output_dict_per_obj[place]["cond_frame_outputs"].update(sorted(outputs.items()))

    def _learn(self, frame_index: int, mask: BoolMask) -> Any:
        """What one mask tells the tracker, in a session of its own.

        In the tracker's own session the package would follow all other objects to that frame too,
        from frames that were never computed, and keep what came of it.
        """
        import torch

        network = self._network
        alone = self._fresh()
        place = alone.obj_id_to_idx(0)
        values = torch.from_numpy(squared(mask, network.side)).to(network.device, network.dtype)[None, None]
        alone.add_mask_inputs(place, frame_index, values)
        alone.obj_with_new_inputs = [0]
        network.feed(alone, frame_index, self._views.features(frame_index))
        try:
            network.tracker(inference_session=alone, frame_idx=frame_index)
        finally:
            network.unfeed(alone)
        output = alone.output_dict_per_obj[place]["cond_frame_outputs"][frame_index]
        # EdgeTAM gives this one fewer dimensions than its tracked frames have.
        output["object_score_logits"] = output["object_score_logits"].reshape(1, 1, 1)
        output.pop("high_res_masks", None)
        return output
