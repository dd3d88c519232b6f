"""Loads a checkpoint."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from backend.engines.sam.model import SamModel
from backend.engines.transformers import checkpoint as checkpoints
from backend.engines.transformers import devices, overlaps
from backend.engines.transformers.checkpoint import Checkpoint, unavailable
from backend.engines.transformers.families import title_of
from backend.engines.transformers.model import TransformersModel
from backend.engines.transformers.network import Network
from backend.engines.transformers.pixels import Pixels
from backend.engines.transformers.words import Words
from backend.errors import EngineError


def load(model_id: str, device: str, report: Callable[[str], None]) -> SamModel:
    """Load a checkpoint of SAM 3, SAM 2.1 or EdgeTAM; takes seconds to minutes.

    Args:
        model_id: a folder, or a model's id at the Hugging Face hub.
        device: "auto", "cpu", "cuda" or "mps".
        report: told in a few words what is going on.

    Raises:
        EngineError: the packages, the device or the checkpoint can't be had here.
    """
    report("Importing PyTorch")
    _import()
    place = devices.choose(device)
    found = checkpoints.find(model_id)
    tokenizer = checkpoints.tokenizer(found) if found.family.text else None
    pixels = Pixels(_side(found), *checkpoints.colours(found))
    report(f"Loading the weights of {found.name}")
    model = _weights(found, place)
    if found.family.text:
        overlaps.install()
        # With a delay the first frames come late, and the ids of a removed track's frame are wrong.
        model.hotstart_delay = 0
    network = Network(model, found.family, pixels)
    words = None if tokenizer is None else Words(tokenizer, network)
    return TransformersModel(network, words, title_of(found.family, found.config), found.name, _roi_align())


def _import() -> None:
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise unavailable(
            f"The package {error.name or 'transformers'} can't be imported: pip install '.[transformers]'."
        ) from error
    package: Any = transformers
    try:
        package.Sam3VideoModel  # noqa: B018
    except AttributeError as error:
        raise unavailable(
            f"transformers {package.__version__} is too old for SAM 3: pip install '.[transformers]'."
        ) from error
    except Exception as error:
        # Its modules are read only now, and torchvision with them, which fails in its own ways.
        raise unavailable(
            "The packages torch, torchvision and transformers don't fit together here: "
            "install them in one go, pip install '.[transformers]'."
        ) from error
    package.utils.logging.set_verbosity_error()
    package.utils.logging.disable_progress_bar()


def _side(found: Checkpoint) -> int:
    """Side of the square picture that the network sees."""
    config = found.config.tracker_config if found.family.text else found.config
    side = config.image_size
    return int(side if isinstance(side, int) else side[0])


def _weights(found: Checkpoint, place: Any) -> Any:
    """The package's model with its weights, on its device, ready to answer."""
    import transformers

    package: Any = transformers
    kind = getattr(package, found.family.model)
    try:
        model, told = kind.from_pretrained(
            found.source, dtype=devices.numbers(place), local_files_only=found.local, output_loading_info=True
        )
    except Exception as error:
        if isinstance(error, ImportError):
            raise unavailable(
                f"“{found.name}” needs a package that is not installed: {error.name or 'timm'}."
            ) from error
        # Whatever else the loader stumbles over: no connection, no weights, other shapes.
        raise checkpoints.explain(error, found.name) from error
    missing = list(told["missing_keys"])
    if missing:
        raise unavailable(
            f"The weights of “{found.name}” are incomplete: {len(missing)} of its tensors are missing. "
            "Fetch the checkpoint again."
        )
    try:
        return model.to(place).eval()
    except Exception as error:
        if not devices.is_out_of_memory(error):
            raise
        sentence = f"“{found.name}” doesn't fit into the memory of {devices.name(place)}: free it, or use another."
        raise EngineError(sentence, "engine_unavailable") from error


def _roi_align() -> bool:
    """Whether boxes can serve as examples, for which the package needs torchvision."""
    try:
        operations: Any = importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError, OSError, AttributeError):
        # A torchvision built for another torch fails in its own ways.
        return False
    return hasattr(operations, "roi_align")
