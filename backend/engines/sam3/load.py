"""Loads SAM 3 with Meta's package, or says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from backend.engines.sam.model import SamModel
from backend.engines.sam3 import checkpoint as weights
from backend.engines.sam3.options import Sam3Options
from backend.engines.sam3.vocabulary import find_vocabulary
from backend.errors import EngineError, ServiceError

INSTALL = "pip install -c constraints.txt '.[sam3]'"


def load(options: Sam3Options, report: Callable[[str], None]) -> SamModel:
    """Load the model onto the first visible GPU, with `options.gpus` of them onto each.

    Takes from seconds to minutes. It must be used on the thread that loads it.

    Args:
        options: what to load.
        report: told in a few words what is going on.

    Raises:
        EngineError: there is no GPU, a package or the weights are missing, or loading failed.
    """
    missing = next((name for name in ("torch", "sam3") if find_spec(name) is None), None)
    if missing:
        raise EngineError(f"SAM 3 needs the package {missing}: {INSTALL}.", "engine_unavailable")
    import torch

    if not torch.cuda.is_available():
        raise EngineError(
            "SAM 3 by Meta's package needs an NVIDIA GPU that PyTorch can use, and there is none here: check the "
            "driver and that PyTorch is a CUDA build, or use ENGINE=transformers or ENGINE=lite.",
            "engine_unavailable",
        )
    if torch.cuda.device_count() < options.gpus:
        raise EngineError(
            f"SAM 3 was asked to use {options.gpus} GPUs together, but {torch.cuda.device_count()} can be used.",
            "engine_unavailable",
        )
    if options.gpus > 1:
        from backend.engines.sam3.group import load_group

        return load_group(options, report)
    return load_one(options, report)


def load_one(options: Sam3Options, report: Callable[[str], None], keep_pictures: bool = False) -> SamModel:
    """Load the model onto the first visible GPU; see `load`."""
    import torch

    from backend.engines.sam3.build import build
    from backend.engines.sam3.model import Sam3Model

    vocabulary = find_vocabulary(options.bpe_path)
    checkpoint = weights.find_checkpoint(options.checkpoint, report)
    report(f"loading {checkpoint.name}")
    try:
        video = build(checkpoint, vocabulary, options.temporal_disambiguation)
        model = Sam3Model(video, checkpoint.name, str(torch.cuda.get_device_name(0)), keep_pictures=keep_pictures)
        if options.compile:
            report("compiling SAM 3: this takes minutes")
            model.compile()
    except ServiceError:
        raise
    except ModuleNotFoundError as error:
        raise EngineError(f"SAM 3 needs the package {error.name}: {INSTALL}.", "engine_unavailable") from error
    except Exception as error:
        raise _translated(error, checkpoint) from error
    return model


def _translated(error: Exception, checkpoint: weights.Checkpoint) -> EngineError:
    import torch

    if weights.from_hub(error):
        return weights.refusal(error, checkpoint.name)
    if isinstance(error, torch.OutOfMemoryError):
        return EngineError("The GPU's memory is too small for SAM 3, or others use it.", "out_of_memory")
    if "state_dict" in str(error):
        return EngineError(f"The weights {checkpoint.name} are not SAM 3's.", "engine_unavailable")
    return EngineError(f"SAM 3 could not be loaded ({type(error).__name__}).", "engine_unavailable")
