"""Where SAM 3's text vocabulary is: Meta's package reads it but does not ship it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from backend.errors import EngineError

NAME = "bpe_simple_vocab_16e6.txt.gz"


def find_vocabulary(bpe_path: Path | None) -> Path:
    """The vocabulary: the one that is given, the package's own, or open_clip's, which is the same file.

    Raises:
        EngineError: there is none, with what to do about it.
    """
    if bpe_path is not None:
        if not bpe_path.is_file():
            raise EngineError("SAM3_BPE_PATH names a file that isn't there.", "engine_unavailable")
        return bpe_path
    for package, inside in (("sam3", ("assets", "../assets")), ("open_clip", ("",))):
        # Only located: importing open_clip would take seconds, and load a model's package of its own.
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            for folder in inside:
                path = Path(root, folder, NAME).resolve()
                if path.is_file():
                    return path
    raise EngineError(
        f"SAM 3 needs the text vocabulary {NAME}, which its package lacks: "
        "pip install --no-deps open_clip_torch, or set SAM3_BPE_PATH to the file.",
        "engine_unavailable",
    )
