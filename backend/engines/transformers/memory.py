"""Bounds what the package's sessions remember, which by themselves keep everything of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from backend.engines.transformers.features import total_bytes

if TYPE_CHECKING:
    import torch


def trim(session: Any, config: Any, frame_index: int, held: int) -> None:
    """Drop what no later frame of the same direction looks at; results stay exactly the same.

    Of the last few frames the tracker reads maps, of some more only the object pointers, of masks
    at the network's full size none. Conditioning frames stay, whatever their distance.

    Args:
        session: of the package.
        config: of its tracker.
        frame_index: the frame that was computed last.
        held: how many frames' maps to keep; as many as the tracker reads at least.
    """
    reads = max(held, config.num_maskmem)
    points = max(reads, config.max_object_pointers_in_encoder)
    for outputs in session.output_dict_per_obj.values():
        tracked = outputs["non_cond_frame_outputs"]
        for index in [i for i in tracked if abs(frame_index - i) >= points]:
            del tracked[index]
        for index, output in tracked.items():
            if abs(frame_index - index) >= reads:
                tracked[index] = {"object_pointer": output["object_pointer"]}
        for output in [*tracked.values(), *outputs["cond_frame_outputs"].values()]:
            output.pop("high_res_masks", None)
    # Inputs have become outputs by now, and only a frame with new inputs asks what was tracked.
    for inputs in (*session.mask_inputs_per_obj.values(), *session.frames_tracked_per_obj.values()):
        inputs.clear()


def prepare(session: Any, config: Any, frame_index: int) -> None:
    """Forget pointers without maps where the tracker would look for maps: after a jump, or turned round."""
    for outputs in session.output_dict_per_obj.values():
        tracked = outputs["non_cond_frame_outputs"]
        for index in [i for i, o in tracked.items() if "maskmem_features" not in o]:
            if abs(frame_index - index) < config.num_maskmem:
                del tracked[index]


def thin(session: Any, held: int) -> None:
    """Keep the first conditioning frame of each object and the last `held` ones.

    For sessions whose own detector makes conditioning frames, again and again, of what it confirms.
    """
    for outputs in session.output_dict_per_obj.values():
        given = outputs["cond_frame_outputs"]
        for index in list(given)[1 : max(len(given) - held, 1)]:
            del given[index]


def forget(session: Any, obj_id: int) -> None:
    """Take an object out of a tracker's session, which has no way of its own for that."""
    index = session._obj_id_to_idx.get(obj_id)
    if index is None:
        return
    names = ("point_inputs_per_obj", "mask_inputs_per_obj", "output_dict_per_obj", "frames_tracked_per_obj")
    left = [i for i in session._obj_id_to_idx if i != obj_id]
    for name in names:
        kept = getattr(session, name)
        values = [kept[session._obj_id_to_idx[i]] for i in left]
        kept.clear()
        kept.update(enumerate(values))
    for known in (session._obj_id_to_idx, session._obj_idx_to_id):
        known.clear()
    session._obj_id_to_idx.update((i, place) for place, i in enumerate(left))
    session._obj_idx_to_id.update(enumerate(left))
    session.obj_ids = left


def nbytes(session: Any) -> int:
    """What a session's outputs hold, in bytes."""
    return total_bytes(_tensors(session))


def _tensors(session: Any) -> Iterator[torch.Tensor]:
    import torch

    for outputs in session.output_dict_per_obj.values():
        for kept in outputs.values():
            for output in kept.values():
                yield from (value for value in output.values() if isinstance(value, torch.Tensor))
