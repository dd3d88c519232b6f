"""Follows objects from given masks, with SAM 3's own tracker.

The package's state machine around that tracker takes no object once it has started, and lets the
masks of objects cut into each other. So its steps are called here directly, with a memory of our
own: objects that joined together go through the model as one batch, and don't touch each other's
masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backend.domain import BoolMask
from backend.engines.sam.model import Found, Views
from backend.engines.sam3.inference import inference
from backend.engines.sam3.masks import enlarge, shrink
from backend.engines.sam3.memory import Outputs, Recall, nbytes_of_outputs

if TYPE_CHECKING:
    import torch

PER_OBJECT = ("maskmem_features", "obj_ptr", "object_score_logits", "iou_score")


class FrameCache:
    """A session's views in the shape of the package's cache of features."""

    def __init__(self, views: Views, device: torch.device) -> None:
        import torch

        self.views = views
        # The package passes the picture along with its features and never looks at it.
        self._picture = torch.zeros(1, 3, 1, 1, device=device)

    def get(self, frame_index: int, default: object = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """What the package keeps of a frame."""
        return self._picture, {"tracker_backbone_out": self.views.features(frame_index).tracker}


class Batch:
    """Objects that joined on the same frame, with given masks on the same frames."""

    def __init__(self, given: dict[int, dict[int, BoolMask]]) -> None:
        self.given = given
        """Masks by object and frame; all objects have the same frames."""
        self.conditioned: Outputs = {}
        self.followed: Outputs = {}

    @property
    def ids(self) -> list[int]:
        return list(self.given)

    @property
    def frames(self) -> list[int]:
        """Frames with given masks."""
        return sorted(next(iter(self.given.values())))

    def remove(self, obj_id: int) -> None:
        """Forget one object of several."""
        rows = [row for row, known in enumerate(self.given) if known != obj_id]
        del self.given[obj_id]
        for output in (*self.conditioned.values(), *self.followed.values()):
            for name in PER_OBJECT:
                if output.get(name) is not None:
                    output[name] = output[name][rows]
            output["maskmem_pos_enc"] = [x[: len(rows)] for x in output["maskmem_pos_enc"]]


class Sam3Tracker:
    """See `backend.engines.sam.model.Tracker`.

    Args:
        tracker: the package's tracker.
        views: the session's video.
        held: how many frames to remember, besides those with given masks.
    """

    def __init__(self, tracker: Any, views: Views, held: int) -> None:
        self._tracker = tracker
        self._views = views
        self._cache = FrameCache(views, tracker.device)
        self._recall = Recall(tracker, held)
        self._joining: dict[int, dict[int, BoolMask]] = {}
        self._batches: list[Batch] = []
        self._place: torch.Tensor | None = None

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        """Take an object in, from the next step on."""
        self.remove(obj_id)
        self._joining[obj_id] = dict(masks)

    @inference
    def step(self, frame_index: int, *, reverse: bool) -> dict[int, Found]:
        """Every object's mask on the frame."""
        self._admit()
        out: dict[int, Found] = {}
        for batch in self._batches:
            out |= self._step(batch, frame_index, reverse)
        return out

    def remove(self, obj_id: int) -> None:
        """Follow an object no longer."""
        self._joining.pop(obj_id, None)
        for batch in self._batches:
            if obj_id in batch.given:
                if len(batch.given) == 1:
                    self._batches.remove(batch)
                else:
                    batch.remove(obj_id)
                return

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._joining.clear()
        self._batches.clear()

    @property
    def nbytes(self) -> int:
        """What it remembers, in bytes of the device's memory."""
        return nbytes_of_outputs(*(store for b in self._batches for store in (b.conditioned, b.followed)))

    def _admit(self) -> None:
        """Make batches of those who join: what they are conditioned by is encoded in one go."""
        joining, self._joining = self._joining, {}
        together: dict[frozenset[int], dict[int, dict[int, BoolMask]]] = {}
        for obj_id, masks in joining.items():
            together.setdefault(frozenset(masks), {})[obj_id] = masks
        for given in together.values():
            batch = Batch(given)
            for frame_index in batch.frames:
                here = [masks[frame_index] for masks in given.values()]
                prompt = shrink(here, self._tracker.input_mask_size, self._tracker.device)
                output = self._run(batch, frame_index, prompt, reverse=False)
                batch.conditioned[frame_index] = self._compact(output)
            self._batches.append(batch)

    def _step(self, batch: Batch, frame_index: int, reverse: bool) -> dict[int, Found]:
        if frame_index in batch.conditioned:
            logits = batch.conditioned[frame_index]["object_score_logits"]
            found = [masks[frame_index] for masks in batch.given.values()]
        else:
            output = self._run(batch, frame_index, None, reverse)
            batch.followed[frame_index] = self._compact(output)
            self._recall.forget(batch.followed, frame_index)
            logits = output["object_score_logits"]
            found = enlarge(output["pred_masks"].squeeze(1), self._views.size)
        scores = logits.float().sigmoid().flatten().tolist()
        return {i: Found(mask, score) for i, mask, score in zip(batch.given, found, scores, strict=True)}

    def _run(self, batch: Batch, frame_index: int, prompt: torch.Tensor | None, reverse: bool) -> dict[str, Any]:
        """One pass of the tracker over a frame: from masks given there, or from what is remembered."""
        count = len(batch.given)
        state = {"cached_features": self._cache}
        image, _, features, positions, sizes = self._tracker._get_image_feature(state, frame_index, count)
        output: dict[str, Any] = self._tracker.track_step(
            frame_idx=frame_index,
            is_init_cond_frame=prompt is not None,
            current_vision_feats=features,
            current_vision_pos_embeds=positions,
            feat_sizes=sizes,
            image=image,
            point_inputs=None,
            mask_inputs=prompt,
            output_dict={"cond_frame_outputs": batch.conditioned, "non_cond_frame_outputs": batch.followed},
            num_frames=len(self._views),
            track_in_reverse=reverse,
            run_mem_encoder=True,
        )
        return output

    def _compact(self, output: dict[str, Any]) -> dict[str, Any]:
        """What later frames look at."""
        import torch

        kept = {name: output[name] for name in PER_OBJECT if output.get(name) is not None}
        kept["maskmem_features"] = kept["maskmem_features"].to(torch.bfloat16)
        places = output["maskmem_pos_enc"]
        if self._place is None:
            # The same for every frame and object.
            self._place = places[-1][:1].clone()
        kept["maskmem_pos_enc"] = [self._place.expand(len(places[-1]), -1, -1, -1)]
        if "eff_iou_score" in output:
            kept["eff_iou_score"] = output["eff_iou_score"]
        return kept
