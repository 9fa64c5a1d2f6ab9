"""Multi-path aggregation: a side MLP per block and a predictor that shares the tokens out (MPA section 3.3)."""

from __future__ import annotations

import torch

from benchmarks.paradigms.paradigm import Learned, Paradigm
from manypath.config import ADAPTERS
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import SideRecipe
from manypath_lab.training.side_init import add_nothing, imitate_main
from manypath_lab.training.stage2 import SideNetwork, model_with_side


def grow_side(
    start: sides.ModelFile, name: str, shape: str, pictures: PictureSet, recipe: SideRecipe
) -> tuple[sides.ModelFile, str]:
    """Return the model with a new side where ``manypath lab train`` lets it begin, and words for where that is."""
    model, _ = model_with_side(start, name, shape)
    side = SideNetwork(model, name)
    if shape in ADAPTERS:
        add_nothing(side)
        begins = "the main path"
    else:
        imitate_main(model, name, pictures, recipe.phases[0].crop, recipe.seed)
        begins = "the least-squares imitation of the main path"
    return sides.with_side(start, name, shape, side.tensors()), begins


class SidePath(Paradigm):
    """Side MLPs of one shape, and predictors; the share of tokens that they take is the decoder's choice.

    Args:
        start: the trained model, without sides.
        shape: of the MLPs, one of ``SIDE_WIDTHS``.
        pictures: that a replacing shape is fitted on before it learns.
        recipe: names the path and its step sizes.
        rate: Adam's step size for the MLPs.
    """

    def __init__(
        self, start: sides.ModelFile, shape: str, pictures: PictureSet, recipe: SideRecipe, rate: float
    ) -> None:
        torch.manual_seed(recipe.seed)
        grown, begins = grow_side(start, recipe.path, shape, pictures, recipe)
        super().__init__(grown)
        self.begins = begins
        self.side = recipe.path
        self.label = f"side path, {shape}"
        self._side = SideNetwork(self.model, recipe.path)
        self._side.requires_grad_(True)
        self._rates = (rate, recipe.predictor_rate)
        self._other_shares = 1.0 - recipe.all_side

    def learned(self) -> list[Learned]:
        """Return what learns."""
        kinds = ("side_mlps", "predictors")
        return [Learned(kind, self._side.of_kind(kind), rate) for kind, rate in zip(kinds, self._rates, strict=True)]

    def remark(self) -> str:
        """Return what the figures of the table do not say."""
        return (
            f"the decoder chooses the share of tokens; {self._other_shares:.0%} of its steps drew other shares than all"
        )
