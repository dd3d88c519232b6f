"""What can be chosen about Meta's SAM 3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sam3Options:
    """How SAM 3 is loaded.

    Attributes:
        checkpoint: weights: a file, a folder that holds one, or a hub id; None: `facebook/sam3`, by
            the package's own download.
        bpe_path: the vocabulary of texts; None: looked for.
        gpus: how many of the visible GPUs work on each session.
        compile: compile the model: a slow start, quicker frames.
        temporal_disambiguation: let the model choose its memories by how sure it was of them.
    """

    checkpoint: str | None = None
    bpe_path: Path | None = None
    gpus: int = 1
    compile: bool = False
    temporal_disambiguation: bool = True
