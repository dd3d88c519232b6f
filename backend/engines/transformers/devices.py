"""Where a model runs, and in which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.engines.transformers.checkpoint import unavailable

if TYPE_CHECKING:
    import torch

MPS_NOTE = "Nobody has tested this engine on Apple's GPUs yet."


def choose(wanted: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" (or "cuda:1") or "mps".

    Raises:
        EngineError: it isn't here.
    """
    import torch

    kind = wanted.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise unavailable("No NVIDIA GPU can be used here: check the driver and that PyTorch is a CUDA build.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise unavailable("No Apple GPU can be used here: set IMAGE_MODEL_DEVICE to auto or cpu.")
    if kind == "auto":
        here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        wanted = next(kind for kind, is_here in here.items() if is_here)
    return torch.device(wanted)


def numbers(device: torch.device) -> torch.dtype:
    """What to calculate in: half the memory and twice the speed where the GPU does bfloat16 by itself."""
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def name(device: torch.device) -> str:
    """The device as people call it."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return "Apple GPU" if device.type == "mps" else "CPU"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether what was raised says that the device has no memory left."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # Apple's backend and the CPU's allocator raise plain errors.
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("out of memory", "can't allocate memory")
    )


def release_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps of the device's memory without using it."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
