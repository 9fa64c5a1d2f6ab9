"""The published hyper-transforms: attention blocks between a latent and its hyper-latent; see ``transforms``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from manypath.entropy.rounding import round_through
from manypath.levels import Gain
from manypath.multipath.blocks import Group
from manypath.multipath.layers import Layers, conv_nhwc
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.layers import published_kit
from manypath.tinylic.prior import FactorizedPrior
from manypath.tinylic.transforms import doubling, halving


class HyperAnalysis(nn.Module):
    """h_a: y after the gain [B, h, w, M] -> z [B, h/4, w/4, K]."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = published_kit(config.head, config.hyper_window)
        width = config.hyper_channels
        self.downs: Layers[nn.Conv2d] = Layers(halving(inputs, width) for inputs in (config.latent_channels, width))
        self.groups: Layers[Group] = Layers(Group(width, config.hyper_depth, kit, {}) for _ in range(2))

    def forward(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z, before the hyper gain."""
        for down, group in zip(self.downs, self.groups, strict=True):
            y = group(conv_nhwc(down, y), code, None, None)
        return y


class HyperSynthesis(nn.Module):
    """h_s: the hyper-latent's symbols [B, h/4, w/4, K] -> features [B, h, w, 2M]; holds the prior they stand on."""

    BOUND = 2**15 - 1  # |symbol|, as far as the container's checksum goes

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = published_kit(config.head, config.hyper_window)
        width = config.hyper_channels
        self.prior = FactorizedPrior(width)
        self.input_gain = Gain(width)
        self.groups: Layers[Group] = Layers(Group(width, config.hyper_depth, kit, {}) for _ in range(2))
        widths = (width, 2 * config.latent_channels)
        self.ups: Layers[nn.ConvTranspose2d] = Layers(doubling(width, outputs) for outputs in widths)

    def symbols(self, z: Tensor) -> Tensor:
        """Return z, after the hyper gain, as whole numbers around the prior's medians."""
        rounded: Tensor = round_through(z - self.prior.medians)
        return torch.clamp(rounded, -self.BOUND, self.BOUND)

    def forward(self, symbols: Tensor, code: Tensor) -> Tensor:
        """Return the features for quality codes int64 [B]."""
        x: Tensor = (symbols + self.prior.medians) * self.input_gain(code)[:, None, None]
        for group, up in zip(self.groups, self.ups, strict=True):
            x = conv_nhwc(up, group(x, code, None, None))
        return x
