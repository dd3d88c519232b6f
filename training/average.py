"""A moving average of a network's weights, which is what is kept of a training run."""

from __future__ import annotations

import torch
from torch import nn


class Average:
    """Follows a network: slowly, but not so slowly at first that the start weighs on."""

    def __init__(self, network: nn.Module, slowest: float = 0.995) -> None:
        self._network, self._slowest, self._count = network, slowest, 0
        self._state = {k: v.clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        self._count += 1
        keep = min(self._slowest, self._count / (self._count + 20))
        for name, value in self._network.state_dict().items():
            if value.is_floating_point():
                self._state[name].lerp_(value, 1 - keep)
            else:
                self._state[name].copy_(value)

    def into(self, network: nn.Module) -> None:
        """Load the average into a network of the same kind."""
        network.load_state_dict(self._state)
