"""Bits from likelihoods, for training: CompressAI's Gaussian conditional for y, its factorised prior for z.

The latter is for edge models. The published network carries its own factorised prior (``manypath.tinylic.prior``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.edge.config import EdgeConfig
from manypath.entropy._compressai import import_compressai
from manypath.entropy.schedule import Step
from manypath.entropy.tables import SCALE_MIN


class RateModel(nn.Module):
    """The priors. The Gaussian has no parameters of its own; the factorised one, edge models only, becomes tables."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        import_compressai()
        from compressai.entropy_models import EntropyBottleneck, GaussianConditional

        if isinstance(config, EdgeConfig):
            # filters (3, 3): z is small and its channels are unimodal; init_scale covers the first z of a linear start
            self.hyper = EntropyBottleneck(config.hyper_channels, filters=(3, 3), init_scale=8)
        self.gaussian = GaussianConditional(None, scale_bound=SCALE_MIN)

    def hyper_bits(self, z: Tensor) -> Tensor:
        """Return bits per sample, [B], of z [B, h, w, K] under uniform noise."""
        _, likelihood = self.hyper(z.permute(0, 3, 1, 2).contiguous(), training=True)
        return -torch.log2(likelihood).flatten(1).sum(1)


class StepBits:
    """Adds up the bits of y over the steps of one pass, under uniform noise."""

    def __init__(self, model: RateModel) -> None:
        self._gaussian: Any = model.gaussian
        self.bits: Tensor | float = 0.0

    def __call__(self, step: Step, y: Tensor, means: Tensor, scales: Tensor) -> None:
        """Add one step's bits; see ``manypath.model.Rate``."""
        _, likelihood = self._gaussian(y, scales, means=means, training=True)
        self.bits = self.bits - torch.log2(likelihood).flatten(1).sum(1)
