"""Texts as the detector reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend.engines.transformers.network import Network
from backend.errors import InvalidInput

if TYPE_CHECKING:
    import torch

ANYTHING = "visual"
"""The text that SAM 3 was trained with where boxes alone say what is meant."""


class Words:
    """Reads texts.

    Args:
        tokenizer: the checkpoint's own.
        network: whose detector reads them.
    """

    def __init__(self, tokenizer: Any, network: Network) -> None:
        self._tokenizer = tokenizer
        self._network = network
        self._most: int = network.model.config.detector_config.text_config.max_position_embeddings

    def tokens(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and which of them count, both (1, n), n the detector's number of tokens.

        Raises:
            InvalidInput: the text is empty, or has too many tokens.
        """
        if not text.strip():
            raise InvalidInput("The text is empty: type what to find, for example “dog”.", "empty_text")
        # Longer ones would only fail inside the model, and cut ones would mean something else.
        read = self._tokenizer(text, padding="max_length", max_length=self._most, truncation=False, return_tensors="pt")
        count = read.input_ids.shape[1]
        if count > self._most:
            raise InvalidInput(
                f"The text is too long for SAM 3: it has {count} tokens, {self._most} are the most. "
                "Name the thing in a few words.",
                "text_too_long",
            )
        device = self._network.device
        return read.input_ids.to(device), read.attention_mask.to(device)
