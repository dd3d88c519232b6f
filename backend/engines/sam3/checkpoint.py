"""Which weights SAM 3 is loaded from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import EngineError

DEFAULT = "facebook/sam3"
USUAL_NAME = "sam3.pt"
WEIGHTS = (".pt", ".pth")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights. `path` None: Meta's own, which the package downloads. `name` is never a path."""

    name: str
    path: Path | None


def find_checkpoint(wanted: str | None, report: Callable[[str], None]) -> Checkpoint:
    """Say where the weights are; those with a hub id are downloaded unless they are here already.

    Args:
        wanted: a file, a folder that holds one, a hub id, or None.
        report: told in a few words what is going on.

    Raises:
        EngineError: there are none, or the hub doesn't give them.
    """
    if not wanted:
        return Checkpoint(DEFAULT, None)
    path = Path(wanted).expanduser()
    if path.is_file():
        return Checkpoint(path.name, path)
    if path.is_dir():
        return Checkpoint(path.name, _inside(path))
    if path.suffix in WEIGHTS or not HUB_ID.fullmatch(wanted):
        raise EngineError("SAM3_CHECKPOINT names a file that isn't there.", "engine_unavailable")
    if wanted == DEFAULT:
        return Checkpoint(DEFAULT, None)
    report(f"fetching {wanted}")
    return Checkpoint(wanted, _download(wanted))


def _inside(folder: Path) -> Path:
    names = sorted(p.name for p in folder.iterdir() if p.suffix in WEIGHTS and p.is_file())
    return folder / _choose(names, "The folder of SAM3_CHECKPOINT")


def _choose(names: list[str], where: str) -> str:
    if USUAL_NAME in names:
        return USUAL_NAME
    if len(names) == 1:
        return names[0]
    if not names:
        raise EngineError(f"{where} holds no weights (.pt).", "engine_unavailable")
    raise EngineError(f"{where} holds several weights: name one of them.", "engine_unavailable")


def _download(repository: str) -> Path:
    import huggingface_hub

    try:
        listed = huggingface_hub.list_repo_files(repository)
        names = sorted(name for name in listed if Path(name).suffix in WEIGHTS)
        return Path(huggingface_hub.hf_hub_download(repository, _choose(names, repository)))
    except EngineError:
        raise
    except Exception as error:
        raise refusal(error, repository) from error


def refusal(error: BaseException, repository: str = DEFAULT) -> EngineError:
    """What went wrong with the hub, in a sentence that says what to do."""
    from huggingface_hub import errors

    # Gated is a kind of not found: without a token the hub does not even tell that it exists.
    if isinstance(error, errors.GatedRepoError):
        sentence = (
            f"The weights {repository} are given out under a licence: accept it on "
            f"huggingface.co/{repository}, then set HF_TOKEN to a token of that account."
        )
    elif isinstance(error, errors.RepositoryNotFoundError):
        sentence = (
            f"There is no {repository} on the Hugging Face hub that this server may read: "
            "check the name, and HF_TOKEN where it is private."
        )
    else:
        sentence = (
            f"The weights {repository} could not be fetched from the Hugging Face hub: check the network, "
            "or set SAM3_CHECKPOINT to a file that is here."
        )
    return EngineError(sentence, "engine_unavailable")


def from_hub(error: BaseException) -> bool:
    """Whether the Hugging Face hub, or the way to it, is what failed."""
    from huggingface_hub import errors

    kinds: tuple[type[BaseException], ...] = (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
    )
    return isinstance(error, kinds)
