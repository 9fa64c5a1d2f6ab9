"""Bits from likelihoods, for training: CompressAI's Gaussian conditional for y, its factorised prior for z.

The latter is for edge models. The published network carries its own factorised prior (``manypath.tinylic.prior``).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.entropy._compressai import import_compressai
from manypath.entropy.schedule import Step
from manypath.entropy.tables import SCALE_MIN
from manypath.levels import nearest_level


class RateModel(nn.Module):
    """The priors. The Gaussian has no parameters of its own; the factorised one, edge models only, becomes tables."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        import_compressai()
        from compressai.entropy_models import EntropyBottleneck, GaussianConditional

        if isinstance(config, EdgeConfig):
            # filters (3, 3): z is small and its channels are unimodal; init_scale covers the first z of a linear start
            self.hyper_levels = config.hyper_levels
            channels = config.hyper_levels * config.hyper_channels
            self.hyper = EntropyBottleneck(channels, filters=(3, 3), init_scale=8)
        self.gaussian = GaussianConditional(None, scale_bound=SCALE_MIN)

    def hyper_bits(self, z: Tensor, code: Tensor, *, rounded: bool = False) -> Tensor:
        """Return bits per sample, [B], of z [B, h, w, K] at quality codes int64 [B], under uniform noise or rounded."""
        if rounded:
            z = torch.round(z)
        levels = self.hyper_levels
        values = z.permute(0, 3, 1, 2).repeat(1, levels, 1, 1)  # every level's tables judge, and one counts
        if rounded:
            likelihood = self.hyper._likelihood(values.transpose(0, 1).flatten(1)[:, None])[0]
            likelihood = likelihood.view(values.shape[1], values.shape[0], *values.shape[2:]).transpose(0, 1)
        else:
            _, likelihood = self.hyper(values, training=True)
        each: Tensor = -torch.log2(likelihood.clamp_min(1e-9))
        bits = each.view(len(z), levels, -1).sum(2)  # [B, levels]
        if levels == 1:
            return bits[:, 0]
        return bits.gather(1, nearest_level(code)[:, None])[:, 0]


class StepBits:
    """Adds up the bits of y over the steps of one pass, under uniform noise."""

    def __init__(self, model: RateModel) -> None:
        self._gaussian: Any = model.gaussian
        self.bits: Tensor | Any = 0.0

    def __call__(self, step: Step, y: Tensor, means: Tensor, scales: Tensor) -> None:
        """Add one step's bits; see ``manypath.model.Rate``."""
        _, likelihood = self._gaussian(y, scales, means=means, training=True)
        self.bits = self.bits - torch.log2(likelihood).flatten(1).sum(1)


class RoundedBits:
    """Adds up the bits of y over the steps of one pass as they are coded: rounded, and none at the smallest scale.

    Uniform noise would charge each dead channel some 0.15 bits that no stream ever has.
    """

    def __init__(self) -> None:
        self.bits: Tensor | Any = 0.0

    def __call__(self, step: Step, y: Tensor, means: Tensor, scales: Tensor) -> None:
        """Add one step's bits; see ``manypath.model.Rate``."""
        symbols = torch.round(y - means).abs()
        # the smaller tail, so that far cells keep their digits
        near, far = ((symbols + shift) / (scales * math.sqrt(2.0)) for shift in (-0.5, 0.5))
        likelihood = 0.5 * (torch.erfc(near) - torch.erfc(far))
        bits = -torch.log2(likelihood.clamp_min(1e-9)) * (scales > SCALE_MIN * 1.01)
        self.bits = self.bits + bits.flatten(1).sum(1)
