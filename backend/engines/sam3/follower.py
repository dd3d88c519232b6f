"""Finds and follows what a concept names, by the video model's own steps.

The package keeps one concept a session and holds its whole video. Here each concept has a state of
its own, and all of them share the session's encoded frames: the model's single-frame step is called
directly, with the detector's pass over a frame taken from `Detector`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.engines.sam.model import Found, Views
from backend.engines.sam3.detector import Detector
from backend.engines.sam3.inference import inference
from backend.engines.sam3.memory import Recall, nbytes_of_outputs
from backend.engines.sam3.tracker import FrameCache

if TYPE_CHECKING:
    import torch


class ConceptCache(FrameCache):
    """What the package takes for a session's feature cache: here, a concept over shared views."""

    def __init__(self, views: Views, device: torch.device, text: str) -> None:
        super().__init__(views, device)
        self.text = text


def share_features(video: Any, detector: Detector) -> None:
    """Let the model's step take frames from the shared views instead of encoding them itself.

    The package's own pass also runs ahead, over a frame that nobody has asked for yet.
    """

    def run_backbone_and_detection(
        *, frame_idx: int, feature_cache: ConceptCache, **_: object
    ) -> dict[str, torch.Tensor]:
        return detector.raw(feature_cache.views.features(frame_idx), feature_cache.text)

    video.run_backbone_and_detection = run_backbone_and_detection


class Sam3Follower:
    """See `backend.engines.sam.model.Follower`.

    Args:
        video: the package's video model, prepared by `share_features`.
        views: the session's video.
        text: the concept.
        held: how many frames to remember.
    """

    def __init__(self, video: Any, views: Views, text: str, held: int) -> None:
        self._video = video
        self._views = views
        self._cache = ConceptCache(views, video.device, text)
        self._recall = Recall(video.tracker, held)
        self._states: list[dict[str, Any]] = []
        self._about: dict[str, Any] = {}

    @inference
    def step(self, frame_index: int, *, reverse: bool) -> dict[int, Found]:
        """Every find's mask on the frame."""
        height, width = self._views.size
        masks, _, self._states, self._about, *_ = self._video._det_track_one_frame(
            frame_idx=frame_index,
            num_frames=len(self._views),
            reverse=reverse,
            input_batch=None,
            geometric_prompt=None,
            tracker_states_local=self._states,
            tracker_metadata_prev=self._about,
            feature_cache=self._cache,
            orig_vid_height=height,
            orig_vid_width=width,
            is_image_only=False,
            allow_new_detections=True,
        )
        scores = self._about["obj_id_to_tracker_score_frame_wise"][frame_index]
        hidden = self._about["rank0_metadata"]["suppressed_obj_ids"][frame_index]
        out = {}
        for own, mask in masks.items():
            there = mask.squeeze(0).cpu().numpy()
            score = float(scores.get(own, 0.0))
            out[int(own)] = Found(there & (own not in hidden), min(max(score, 0.0), 1.0))
        self._forget(frame_index)
        return out

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._states = []
        self._about = {}

    @property
    def nbytes(self) -> int:
        """What it remembers, in bytes of the device's memory."""
        return nbytes_of_outputs(*(store for state in self._states for store in state["output_dict"].values()))

    def _forget(self, now: int) -> None:
        for state in self._states:
            self._forget_frames(state, now)
        about = self._about
        # Copied at every frame by the package; of use to it only while it holds results back.
        frames = about["obj_id_to_tracker_score_frame_wise"]
        for frame_index in [f for f in frames if f != now]:
            del frames[frame_index]
        for name in ("suppressed_obj_ids", "unmatched_frame_inds", "overlap_pair_to_frame_inds"):
            about["rank0_metadata"][name].clear()

    def _forget_frames(self, state: dict[str, Any], now: int) -> None:
        outputs = state["output_dict"]
        followed = self._recall.forget(outputs["non_cond_frame_outputs"], now)
        given = self._recall.forget_given(outputs["cond_frame_outputs"], now)
        for own in state["output_dict_per_obj"].values():
            for frame_index in followed:
                own["non_cond_frame_outputs"].pop(frame_index, None)
            for frame_index in given:
                own["cond_frame_outputs"].pop(frame_index, None)
        for frame_index in (*followed, *given):
            state["frames_already_tracked"].pop(frame_index, None)
        state["consolidated_frame_inds"]["cond_frame_outputs"].difference_update(given)
        for masks in state["mask_inputs_per_obj"].values():
            for frame_index in given:
                masks.pop(frame_index, None)
            for frame_index in masks:
                # Only which frames had one is asked for later; at the video's size they would add up.
                masks[frame_index] = None
