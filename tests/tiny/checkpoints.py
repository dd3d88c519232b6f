"""Writes a tiny checkpoint as the real ones are laid out, so that the real loading code reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

from tests.tiny import configs
from tests.tiny.liven import liven

Kind = Literal["sam3", "sam2", "edgetam"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SEED = 5
MULTIPLE = {"sam3": 28, "sam2": 32, "edgetam": 32}
"""What the side of the model's picture is a multiple of."""


def make_checkpoint(folder: Path, kind: Kind, size: int = 112) -> Path:
    """Write a checkpoint with random weights: configuration, weights, preprocessing and tokenizer.

    The same arguments give the same files. The weights are made so that masks are neither empty nor
    everything, objects are on the picture, and words find a few of them.

    Args:
        folder: where to; made when missing.
        kind: "sam3" finds by words too.
        size: side of the square picture that the model sees, rounded up to what its layers need.

    Returns:
        The folder.
    """
    import torch
    import transformers

    package: Any = transformers
    # Saving draws a bar on the standard error, which tests and scripts have no use for.
    package.utils.logging.disable_progress_bar()
    size += -size % MULTIPLE[kind]
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        # More threads than that cost more than they bring with layers so small.
        torch.set_num_threads(1)
        try:
            model = _build(kind, size)
            with torch.no_grad():
                liven(model)
        finally:
            torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _write_preprocessing(folder, kind, size)
    if kind == "sam3":
        _write_tokenizer(folder)
    return folder


def _build(kind: Kind, size: int) -> Any:
    import transformers

    t: Any = transformers
    if kind == "sam3":
        config = t.Sam3VideoConfig(
            detector_config=configs.sam3_detector(size),
            tracker_config=configs.sam3_tracker(size),
            low_res_mask_size=4 * size // 14,
            # In masks of so few pixels, what is a speck in a real one is an object.
            fill_hole_area=1,
        )
        return t.Sam3VideoModel(config).eval()
    if kind == "sam2":
        return t.Sam2VideoModel(t.Sam2VideoConfig(**configs.sam2(size))).eval()
    return t.EdgeTamVideoModel(t.EdgeTamVideoConfig(**configs.edgetam(size))).eval()


def _write_preprocessing(folder: Path, kind: Kind, size: int) -> None:
    plain = kind == "sam3"
    settings = {
        "size": {"height": size, "width": size},
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.5, 0.5] if plain else [0.485, 0.456, 0.406],
        "image_std": [0.5, 0.5, 0.5] if plain else [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _write_tokenizer(folder: Path) -> None:
    """CLIP's tokenizer with single bytes only: a word has as many tokens as it has bytes."""
    from transformers import CLIPTokenizer, convert_slow_tokenizer

    package: Any = convert_slow_tokenizer
    letters = list(package.bytes_to_unicode().values())
    tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=configs.TOKENS).save_pretrained(folder)
