"""Copies that learn as wholes: a decoder per task behind one encoder, or an encoder and a decoder per task."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.paradigms.paradigm import Learned, Paradigm
from manypath.edge.integer import IntegerAffine, IntegerGain, IntegerOffset
from manypath.network import Latents, Network, Rate
from manypath.quality import LEVELS, QUALITY_STEPS
from manypath.tinylic.hyper import HyperSynthesis
from manypath_lab.training import sides
from manypath_lab.training.losses import ratio_loss
from manypath_lab.training.recipe import SideRecipe


class OwnDecoder(Paradigm):
    """One encoder and one stream; the synthesis and its inverse gains are the task's own and learn as a whole.

    Args:
        start: the trained model, without sides.
        rate: Adam's step size.
    """

    def __init__(self, start: sides.ModelFile, rate: float) -> None:
        super().__init__(start)
        self.label = "a full decoder of its own"
        self._rate = rate
        for part in (self.model.g_s, self.model.inverse_gain):
            part.requires_grad_(True)

    def learned(self) -> list[Learned]:
        """Return what learns."""
        parts = (self.model.g_s, self.model.inverse_gain)
        return [Learned("decoder", [parameter for part in parts for parameter in part.parameters()], self._rate)]


@torch.no_grad()
def thaw(model: Network) -> None:
    """Let everything of a released model learn: frozen integers become the values that round to them.

    Gains and offsets are stored per quality code and learn per level: between levels they begin within their rounding.
    """
    levels = torch.arange(LEVELS) * QUALITY_STEPS
    for module in model.modules():
        if isinstance(module, IntegerAffine):
            module.frozen = False
        elif isinstance(module, IntegerGain | IntegerOffset) and module.table.numel():
            at_levels = module.table[levels]
            module.gain.log2.copy_(at_levels.log2() if isinstance(module, IntegerGain) else at_levels)
            module.table = module.table.new_zeros(0)
    model.requires_grad_(True)
    if isinstance(model.h_s, HyperSynthesis):
        model.h_s.prior.quantiles.requires_grad_(False)  # they follow the density; see the main model's training


class OwnPair(Paradigm):
    """Encoder and decoder are the task's own: all learns, with the rate in the loss, and no stream is shared.

    Args:
        start: the trained model, without sides.
        recipe: weighs the analysis' ratio loss.
        rate: Adam's step size.
    """

    shared_stream: ClassVar[bool] = False

    def __init__(self, start: sides.ModelFile, recipe: SideRecipe, rate: float) -> None:
        super().__init__(start)
        self.label = "an encoder-decoder pair of its own"
        self.begins = "the main path" + (" within the rounding of stored gains" if self.model.exact else "")
        self._rate = rate
        self._ratio_weight = recipe.loss.ratio
        self._ratio: Tensor | float = 0.0
        thaw(self.model)

    def learned(self) -> list[Learned]:
        """Return what learns."""
        return [
            Learned("pair", [parameter for parameter in self.model.parameters() if parameter.requires_grad], self._rate)
        ]

    @property
    def added(self) -> int:
        """Return how many parameters a server needs beside the model's own."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def latents(self, x: Tensor, code: Tensor, rate: Rate | None = None) -> Latents:
        """Run analysis and estimate, with gradients where they are wanted."""
        latents = self.model.latents(x, code, rate)
        share = self.model.analysis_routing(code, exact=False).share
        self._ratio = self._ratio_weight * ratio_loss(latents.trace.soft_share, share).mean()
        return latents

    def penalty(self) -> Tensor | float:
        """Return the ratio loss of the analysis' routing in the last pass."""
        return self._ratio
