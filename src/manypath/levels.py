"""Tables over the trained levels, and the one interpolation between them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from manypath.kept import Kept
from manypath.quality import LEVELS, QUALITY_STEPS


def interpolate(table: Tensor, code: Tensor) -> Tensor:
    """Return the values of a table [levels, ...] at quality codes int64 [B], linear between levels: [B, ...].

    Both ends of a stream, training and all families stand on this one rule: what is to be geometric between levels is
    kept as its logarithm.
    """
    position = code.to(table.dtype) / QUALITY_STEPS
    low = position.floor().clamp(0, LEVELS - 2)
    weight = (position - low).view(-1, *(1,) * (table.dim() - 1))
    index = low.long()
    return torch.lerp(table[index], table[index + 1], weight)


Codes = TypeVar("Codes", int, Tensor)


def nearest_level(code: Codes) -> Codes:
    """Return the level 0..7 nearest to a quality code, or to each of int64 codes; halves go up."""
    return (code + QUALITY_STEPS // 2) // QUALITY_STEPS


class Gain(nn.Module):
    """One positive gain per level and channel, geometric between levels.

    Source: MPA section 3.2 and equation 10 (the paper's tables ``|T[q]|`` with geometric interpolation; here the
    table holds the logarithm, so that a gain is positive by construction and interpolation is linear).

    Attributes:
        log2: logarithms of the gains, float32 [levels, channels].
    """

    def __init__(self, channels: int, log2_start: float = 0.0) -> None:
        super().__init__()
        self.log2 = nn.Parameter(torch.full((LEVELS, channels), log2_start))
        self._kept: Kept[Tensor] = Kept()

    def log2_at(self, code: Tensor) -> Tensor:
        """Return the interpolated log2 gains, [B, channels], for quality codes int64 [B]."""
        return interpolate(self.log2, code)

    def forward(self, code: Tensor) -> Tensor:
        """Return the gains, [B, channels], for quality codes int64 [B]; not to be changed in place."""
        if code.numel() != 1 or code.device.type != "cpu":
            return torch.exp2(self.log2_at(code))
        return self._kept.get(lambda: torch.exp2(self.log2_at(code)), self.log2, key=int(code))
