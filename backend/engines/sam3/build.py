"""Builds Meta's model through its own predictor, and takes only what the rest here relies on.

The predictor's sessions are not used: a request to it resets what earlier ones made, and all its
sessions share one dictionary. Its constructor is: it enters bf16 autocast for the thread that
builds and calls the model, and loads the weights.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from backend.engines.sam3.checkpoint import Checkpoint
from backend.errors import EngineError

SETTINGS = {
    # Answers come with their frame, not 15 (SAM 3) or 30 (SAM 3.1) frames later.
    "hotstart_delay": 0,
    "postprocess_batch_size": 1,
    # A launcher's environment variables would make it wait for other processes.
    "rank": 0,
    "world_size": 1,
}
NEEDED = {
    "": ("detector", "tracker", "run_backbone_and_detection", "_det_track_one_frame", "score_threshold_detection"),
    "detector": ("backbone", "forward_grounding"),
    "tracker": ("track_step", "_get_image_feature", "_forward_sam_heads", "sam_mask_decoder", "no_mem_embed"),
}


def build(checkpoint: Checkpoint, vocabulary: Path, temporal_disambiguation: bool) -> Any:
    """Meta's video model, a `torch.nn.Module` with its detector and tracker, on the GPU.

    Raises:
        EngineError: this version of the package has no model that can be used here.
        Exception: whatever the package raises.
    """
    predictor = call_with_known(
        builder(checkpoint.name),
        checkpoint_path=None if checkpoint.path is None else str(checkpoint.path),
        bpe_path=str(vocabulary),
        apply_temporal_disambiguation=temporal_disambiguation,
        async_loading_frames=False,
        # On by default in 3.1, where it fails only at the first frame if it isn't there.
        use_fa3=find_spec("flash_attn_interface") is not None,
        compile=False,
        warm_up=False,
    )
    model = predictor.model
    check(model)
    for part in (model, model.detector):
        for name, value in SETTINGS.items():
            if hasattr(part, name):
                setattr(part, name, value)
    tolerate(model.tracker)
    return model


def builder(name: str) -> Callable[..., Any]:
    """What builds the predictor in the package's version that is installed.

    Args:
        name: of the checkpoint; SAM 3.1's have "3.1" in theirs.
    """
    newer = "3.1" in name
    if not newer and find_spec("sam3.model.sam3_video_predictor") is not None:
        found = getattr(import_module("sam3.model.sam3_video_predictor"), "Sam3VideoPredictor", None)
        if found is not None:
            return found  # type: ignore[no-any-return]
    chooser = getattr(import_module("sam3.model_builder"), "build_sam3_predictor", None)
    if chooser is None:
        raise EngineError(
            "The installed sam3 package knows no SAM 3.1: use the weights facebook/sam3.", "engine_unavailable"
        )
    return functools.partial(chooser, version="sam3.1" if newer else "sam3")


def call_with_known(function: Callable[..., Any], **wanted: Any) -> Any:
    """Call with those of the arguments that the function names; versions differ in them."""
    known = inspect.signature(function).parameters
    return function(**{name: value for name, value in wanted.items() if name in known})


def check(model: Any) -> None:
    """Refuse a model that lacks what the adapter calls, instead of failing at the first frame.

    Raises:
        EngineError: it is another kind of model, such as SAM 3.1's multiplex one.
    """
    for part, names in NEEDED.items():
        owner = getattr(model, part, None) if part else model
        if any(not hasattr(owner, name) for name in names):
            raise EngineError(
                "The installed sam3 package builds a model that this engine doesn't know, as for SAM 3.1: "
                "use the weights facebook/sam3 with sam3==0.1.4.",
                "engine_unavailable",
            )


def tolerate(tracker: Any) -> None:
    """Let the tracker's step ignore arguments that it doesn't take.

    sam3 0.1.4 passes two of them itself, where an object of a group has nothing on a frame, and fails.
    """
    step = tracker.track_step
    known = set(inspect.signature(step).parameters)

    @functools.wraps(step)
    def track_step(*args: Any, **kwargs: Any) -> Any:
        return step(*args, **{name: value for name, value in kwargs.items() if name in known})

    tracker.track_step = track_step
