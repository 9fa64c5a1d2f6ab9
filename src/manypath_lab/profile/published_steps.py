"""The published network as it was put together: TinyLIC, scaling factors, MPA in the encoder, MPA in the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from manypath import checkpoint
from manypath.levels import Gain
from manypath.multipath.blocks import Group
from manypath.multipath.layers import NamedLayers
from manypath.network import Network
from manypath.testing import random_model
from manypath.tinylic.config import PUBLISHED_SIDES, TINYLIC

STEPS = {
    "tinylic/plain": "TinyLIC: one rate, one path",
    "tinylic/gains": "+ scaling factors: all rates",
    "tinylic/encoder": "+ MPA in the encoder",
    "tinylic/decoder": "+ MPA in the decoder: all tasks",
}
"""Names and what each has beyond the one before it."""


class NoGain(nn.Module):
    """In a gain's place: ones, [B, channels], and no parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, code: Tensor) -> Tensor:
        """Return ones for any quality."""
        return torch.ones(code.shape[0], self.channels, device=code.device)


def released(step: str) -> checkpoint.Released:
    """Return one step with untrained weights, ready to code.

    Raises:
        KeyError: no step of that name.
    """
    number = list(STEPS).index(step) if step in STEPS else -1
    if number < 0:
        raise KeyError(step)
    whole = random_model(TINYLIC.name, sides=PUBLISHED_SIDES if number == len(STEPS) - 1 else ())
    if number < 2:
        _one_path(whole.model)
    if number < 1:
        _one_rate(whole.model)
    return whole


def _one_path(model: Network) -> None:
    """Take the side paths of the analysis away."""
    for group in model.g_a.modules():
        if isinstance(group, Group):
            group.predictors = NamedLayers()
            for block in group.blocks:
                block.side_mlps = NamedLayers()


def _one_rate(model: Network) -> None:
    """Put ones in the place of every gain."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Gain):
                setattr(module, name, NoGain(child.log2.shape[1]))
