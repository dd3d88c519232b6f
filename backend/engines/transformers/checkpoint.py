"""Finds a checkpoint and reads everything of it but the weights; says in a sentence what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.engines.transformers.families import FAMILIES, Family, Three
from backend.errors import EngineError

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_PREPROCESSING = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
"""Files that may hold the mean and deviation, the most particular first."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was found.

    Attributes:
        source: what the package loads it from, a folder or a hub id.
        name: what people may be told of it, never a path.
        local: whether it is a folder, so that nothing is asked of the network.
        config: the package's configuration object.
        family: which kind it is.
    """

    source: str
    name: str
    local: bool
    config: Any
    family: Family


def unavailable(sentence: str) -> EngineError:
    """The error of a model that can't be used here."""
    return EngineError(sentence, "engine_unavailable")


def find(model_id: str) -> Checkpoint:
    """Look a checkpoint up and read its configuration, from the hub where it is no folder here.

    Raises:
        EngineError: it is not there, may not be read, or is of a kind that this engine doesn't run.
    """
    source, name, local = _place(model_id)
    kind, config = _config(source, name, local)
    if kind not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise unavailable(
            f"“{name}” is a checkpoint of the kind “{kind}”, which this engine doesn't run: it runs {known}."
        )
    return Checkpoint(source, name, local, config, FAMILIES[kind])


def colours(checkpoint: Checkpoint) -> tuple[Three, Three]:
    """Mean and deviation of the colours (each in [0, 1]) that the model was trained with."""
    for name in _PREPROCESSING:
        text = _file(checkpoint, name)
        settings = {} if text is None else json.loads(text)
        for part in (settings, settings.get("video_processor", {}), settings.get("image_processor", {})):
            if "image_mean" in part and "image_std" in part:
                return _three(part["image_mean"]), _three(part["image_std"])
    return checkpoint.family.mean, checkpoint.family.std


def tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer of the texts.

    Raises:
        EngineError: the checkpoint comes without one, or with one of another model.
    """
    import transformers

    package: Any = transformers
    lacking = unavailable(
        f"The checkpoint “{checkpoint.name}” has no tokenizer for its texts: "
        "put tokenizer.json and tokenizer_config.json beside its weights."
    )
    if _file(checkpoint, "tokenizer.json") is None and _file(checkpoint, "vocab.json") is None:
        raise lacking
    try:
        found = package.CLIPTokenizer.from_pretrained(checkpoint.source, local_files_only=checkpoint.local)
    except Exception as error:
        # The package raises whatever the broken file made it stumble over.
        raise lacking from error
    size = checkpoint.config.detector_config.text_config.vocab_size
    if len(found) != size:
        raise unavailable(
            f"The tokenizer of “{checkpoint.name}” knows {len(found)} tokens, its weights {size}: "
            "take both from the same checkpoint."
        )
    return found


def explain(error: BaseException, name: str) -> EngineError:
    """What kept a checkpoint's files from being read, in a sentence for a person.

    Args:
        error: what the package raised.
        name: the checkpoint, as people call it.
    """
    from httpx import TransportError
    from huggingface_hub import errors as hub

    unreached = (
        hub.LocalEntryNotFoundError,
        hub.HfHubHTTPError,
        hub.OfflineModeIsEnabled,
        TransportError,
        ConnectionError,
    )
    for cause in _causes(error):
        if isinstance(cause, hub.GatedRepoError):
            return unavailable(
                f"“{name}” is given only to those who accept its licence: accept it on the model's page at "
                "Hugging Face, and set HF_TOKEN to a token of that account."
            )
        if isinstance(cause, (hub.RepositoryNotFoundError, hub.HFValidationError)):
            return unavailable(
                f"“{name}” is neither a folder on this server nor a model at Hugging Face that it may read: "
                "check MODEL_ID, and HF_TOKEN for a private model."
            )
        if isinstance(cause, unreached):
            return unavailable(
                f"“{name}” is not on this server, and Hugging Face can't be reached: "
                "check the connection, or set MODEL_ID to a folder with the checkpoint."
            )
    return unavailable(f"The checkpoint “{name}” can't be read: it is incomplete, damaged or of a newer version.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _place(model_id: str) -> tuple[str, str, bool]:
    """Where it is loaded from, its name, and whether that is a folder here."""
    path = Path(model_id).expanduser()
    if path.is_dir():
        return str(path), path.resolve().name, True
    if path.is_file():
        raise unavailable(f"“{path.name}” is a file: MODEL_ID is the folder that holds config.json and the weights.")
    if not _HUB_ID.fullmatch(model_id):
        raise unavailable(
            f"There is no folder “{path.name}” where MODEL_ID says: set it to a folder with a checkpoint, "
            "or to a model's id at Hugging Face such as facebook/sam3."
        )
    return model_id, model_id, False


def _config(source: str, name: str, local: bool) -> tuple[str, Any]:
    """The `model_type`, and the configuration where the package knows that type (None elsewhere)."""
    import transformers

    package: Any = transformers
    if local and not (Path(source) / "config.json").is_file():
        raise unavailable(f"The folder “{name}” holds no checkpoint: there is no config.json in it.")
    try:
        settings, _ = package.PreTrainedConfig.get_config_dict(source, local_files_only=local)
        kind = str(settings.get("model_type", ""))
        known = kind in FAMILIES
        return kind, package.AutoConfig.from_pretrained(source, local_files_only=local) if known else None
    except Exception as error:
        # Network, permissions, damaged files and wrong values alike come as whatever they made fail.
        raise explain(error, name) from error


def _file(checkpoint: Checkpoint, name: str) -> str | None:
    """A file of the checkpoint as text; None where it has no such file."""
    if checkpoint.local:
        path: str | Path | None = Path(checkpoint.source) / name
    else:
        from transformers.utils import hub

        path = hub.cached_file(
            checkpoint.source,
            name,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    if path is None or not Path(path).is_file():
        return None
    return Path(path).read_text(encoding="utf-8")


def _three(values: list[float]) -> Three:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
