"""h_s in integers: the hyper-latent's symbols to features that every context step reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from manypath.edge.config import EdgeConfig
from manypath.edge.integer import (
    FRACTION,
    SIGNED,
    UNSIGNED,
    IntegerDepthwise,
    IntegerGain,
    IntegerLinear,
    IntegerOffset,
    on_grid,
)
from manypath.entropy.rounding import round_through
from manypath.image import from_tokens


class HyperSynthesis(nn.Module):
    """h_s: z_hat, integers [B, h/4, w/4, K] -> features, integers 0..255 [B, h, w, F]."""

    BOUND = 127  # |z_hat| is at most this: int8

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        width = config.features
        self.input_gain = IntegerGain(config.hyper_channels)
        self.embed = IntegerLinear(config.hyper_channels, 4 * width)
        self.near1 = IntegerDepthwise(width)
        self.split = IntegerLinear(width, 4 * width)
        self.near2 = IntegerDepthwise(width)
        self.project = IntegerLinear(width, width)
        self.offset = IntegerOffset(width)

    def symbols(self, z: Tensor) -> Tensor:
        """Return z, after the hyper gain, as whole numbers."""
        return torch.clamp(round_through(z), -self.BOUND, self.BOUND)

    def forward(self, z_hat: Tensor, code: Tensor) -> Tensor:
        """Return the features for quality codes int64 [B], or [1] for all."""
        unit = 2.0**FRACTION
        x = on_grid(z_hat * (self.input_gain(code) * unit)[:, None, None], SIGNED)
        x = from_tokens(on_grid(self.embed(x), UNSIGNED), 2)  # [B, h/2, w/2, F]
        x = on_grid(self.near1(x), SIGNED)
        x = from_tokens(on_grid(self.split(x), UNSIGNED), 2)  # [B, h, w, F]
        x = on_grid(self.near2(x), SIGNED)
        return on_grid(self.project(x) + (self.offset(code) * unit)[:, None, None], UNSIGNED)
