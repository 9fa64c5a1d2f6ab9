"""Quality to gain vectors: one positive gain per level and channel, geometric between levels.

Source: MPA section 3.2 and equation 10 (the paper's tables ``|T[q]|`` with geometric interpolation; here the
table holds the logarithm, so that a gain is positive by construction and interpolation is linear).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from manypath.config import LEVELS, QUALITY_STEPS
from manypath.errors import QualityError


def quality_to_code(quality: float) -> int:
    """Return the code 0..224 nearest to ``quality``.

    Raises:
        QualityError: not a number in [1, 8].
    """
    value = float(quality)
    if not 1.0 <= value <= LEVELS:  # also refuses NaN
        raise QualityError(f"quality must be in [1, {LEVELS}], got {quality!r}")
    return math.floor((value - 1.0) * QUALITY_STEPS + 0.5)


def main_share(quality: Tensor) -> Tensor:
    """Return rho_enc, the share of tokens on the analysis' main path.

    Source: MPA section 3.2: (5^((q-1)/7) - 1) / 4, from 0 at quality 1 to 1 at quality 8.
    """
    return (torch.pow(5.0, (quality - 1.0) / (LEVELS - 1)) - 1.0) / 4.0


class Gain(nn.Module):
    """A table of log2 gains, float32 [levels, channels]."""

    def __init__(self, channels: int, log2_start: float = 0.0) -> None:
        super().__init__()
        self.log2 = nn.Parameter(torch.full((LEVELS, channels), log2_start))

    def log2_at(self, code: Tensor) -> Tensor:
        """Return the interpolated log2 gains, [B, channels], for quality codes int64 [B]."""
        position = code.to(self.log2.dtype) / QUALITY_STEPS
        low = position.floor().clamp(0, LEVELS - 2)
        weight = (position - low)[:, None]
        index = low.long()
        return torch.lerp(self.log2[index], self.log2[index + 1], weight)

    def forward(self, code: Tensor) -> Tensor:
        """Return the gains, [B, channels], for quality codes int64 [B]."""
        return torch.exp2(self.log2_at(code))
