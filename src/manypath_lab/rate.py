"""Bits from likelihoods, for training: CompressAI's factorised prior for z and Gaussian conditional for y."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from manypath.config import ModelConfig
from manypath.entropy._compressai import import_compressai
from manypath.entropy.context import Step
from manypath.entropy.tables import SCALE_MAX, SCALE_MIN, SCALES

LOG_SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)


def index_to_scale(index: Tensor) -> Tensor:
    """Return the standard deviation of a (float) scale index."""
    return SCALE_MIN * torch.exp(index * LOG_SCALE_STEP)


class RateModel(nn.Module):
    """The priors. The Gaussian has no parameters of its own; the factorised one is exported as tables."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        import_compressai()
        from compressai.entropy_models import EntropyBottleneck, GaussianConditional

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

    def __call__(self, step: Step, y: Tensor, means: Tensor, indexes: Tensor) -> None:
        """Add one step's bits; see ``manypath.model.Rate``."""
        _, likelihood = self._gaussian(y, index_to_scale(indexes), means=means, training=True)
        self.bits = self.bits - torch.log2(likelihood).flatten(1).sum(1)
