"""Which worker has which GPUs, and which worker a session's wish for GPUs means."""

from __future__ import annotations

from collections.abc import Sequence

from backend.errors import InvalidInput

Group = tuple[int, ...]
"""The GPUs of one worker: one, or several that work on one session together."""


def groups(setting: str, available: Sequence[int]) -> tuple[Group, ...]:
    """The workers' GPUs by VIDEO_MODEL_GPUS: "0,1" is two workers, "0+1" one over both, "" one for each GPU.

    Raises:
        InvalidInput: a GPU that isn't there, or one that is named twice.
    """
    if not setting.strip():
        return tuple((index,) for index in available)
    out = tuple(tuple(int(part) for part in group.split("+")) for group in setting.split(","))
    named = [index for group in out for index in group]
    missing = sorted({index for index in named if index not in available})
    if missing:
        raise InvalidInput(
            f"VIDEO_MODEL_GPUS names GPU {_listed(missing)}, but this machine has {_what_there_is(available)}.",
            "unknown_gpu",
        )
    if len(set(named)) != len(named):
        raise InvalidInput("VIDEO_MODEL_GPUS names a GPU twice.", "unknown_gpu")
    return out


def workers_for(gpu_ids: Sequence[int], layout: Sequence[Group]) -> list[int]:
    """The workers, by their place in the layout, that a session which asks for these GPUs may go to.

    The worker that has exactly these GPUs; else all workers that have nothing but GPUs among them.

    Raises:
        InvalidInput: a GPU that no worker has, or GPUs that only work together with others.
    """
    there = sorted({index for group in layout for index in group})
    missing = sorted({index for index in gpu_ids if index not in there})
    if missing:
        raise InvalidInput(
            f"There is no GPU {_listed(missing)} for sessions: this server has {_what_there_is(there)}.", "unknown_gpu"
        )
    wanted = set(gpu_ids)
    exact = [place for place, group in enumerate(layout) if set(group) == wanted]
    among = [place for place, group in enumerate(layout) if group and set(group) <= wanted]
    if not (exact or among):
        group = next(group for group in layout if wanted & set(group))
        raise InvalidInput(f"GPUs {_listed(group)} work together on this server: name all of them.", "unknown_gpu")
    return exact or among


def _listed(indices: Sequence[int]) -> str:
    return " and ".join([", ".join(str(i) for i in indices[:-1]), str(indices[-1])]) if indices[1:] else str(indices[0])


def _what_there_is(available: Sequence[int]) -> str:
    if not available:
        return "none"
    return f"GPU {available[0]}" if len(available) == 1 else f"GPUs {_listed(sorted(available))}"
