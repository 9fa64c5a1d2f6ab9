"""LoRA: a product of two thin matrices is added to the weight of every linear layer of the decoder.

Source: arXiv 2106.09685. Torch's own parametrizations are the whole mechanism; a library of adapters (peft) would bring
transformers and accelerate along for it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.paradigms.paradigm import Learned, Paradigm
from manypath_lab.training import sides
from manypath_lab.training.recipe import SideRecipe

ALPHA = 1.0  # of the product over the rank, as the paper's comparison has it


class LowRank(nn.Module):
    """``W + (alpha / rank) B A``; B begins at zero.

    Args:
        outputs: rows of the weight.
        inputs: its columns.
        rank: of the product.
    """

    def __init__(self, outputs: int, inputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        self.scale = ALPHA / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer computes with."""
        return torch.addmm(weight, self.up, self.down, alpha=self.scale)


def decoder_layers(model: nn.Module) -> list[nn.Linear]:
    """Return the linear layers of a synthesis that its main path runs through."""
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not {"predictors", "side_mlps"} & set(name.split("."))
    ]


class LowRankUpdate(Paradigm):
    """A low-rank update of every linear layer of the synthesis; convolutions, attention biases and gains stay.

    The frozen weights are never written to: each layer's is a parametrization of torch's, which a server computes once.

    Args:
        start: the trained model, without sides.
        rank: of each update.
        recipe: decides the seed.
        rate: Adam's step size.
    """

    def __init__(self, start: sides.ModelFile, rank: int, recipe: SideRecipe, rate: float) -> None:
        super().__init__(start)
        torch.manual_seed(recipe.seed)
        self.label = f"LoRA, rank {rank}"
        self._rate = rate
        self._updates: list[LowRank] = []
        for layer in decoder_layers(self.model.g_s):
            update = LowRank(layer.out_features, layer.in_features, rank)
            parametrize.register_parametrization(layer, "weight", update)
            self._updates.append(update)

    def learned(self) -> list[Learned]:
        """Return what learns."""
        return [Learned("low-rank", [module for update in self._updates for module in update.parameters()], self._rate)]

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Add the updates up once, at the first picture."""
        with parametrize.cached():
            yield

    def remark(self) -> str:
        """Return what the figures of the table do not say."""
        return (
            "added to the weights when the task is loaded: as fast as the main path, one copy of them per loaded task"
        )
