"""A mixture of experts: in every block a learned gate sends each token to the main MLP or to one of a few task MLPs.

Source: top-1 routing with a load term as in Switch Transformers (arXiv 2101.03961, equations 4 to 6); the gate's
gradient is straight-through, as MPA's predictors have it. What is chosen depends on the token alone: nobody can ask for
a share.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.paradigms.paradigm import Learned, Paradigm
from benchmarks.paradigms.side_path import grow_side
from manypath.multipath.blocks import Block
from manypath.multipath.layers import Layers, NamedLayers
from manypath.multipath.routing import MAIN
from manypath_lab.training import sides
from manypath_lab.training.data import PictureSet
from manypath_lab.training.recipe import SideRecipe

LOAD_WEIGHT = 0.01  # of the load term, as the source has it
GATE_START = 0.02  # standard deviation of an untrained gate


class GatedBlock(Block):
    """A block whose tokens choose among the main MLP and the block's side MLPs.

    Args:
        block: whose parts it takes over.
        channels: of a token.
    """

    def __init__(self, block: Block, channels: int) -> None:
        nn.Module.__init__(self)  # the parts come from the block
        self.mixer, self.mixer_gain, self.mlp_gain = block.mixer, block.mixer_gain, block.mlp_gain
        self.main_mlp = block.main_mlp
        self.side_mlps, self.adapters = block.side_mlps, block.adapters
        self._joined = {}
        self.gate = nn.Linear(channels, 1 + len(block.side_mlps))
        nn.init.normal_(self.gate.weight, std=GATE_START)
        nn.init.zeros_(self.gate.bias)
        self.load: Tensor | None = None
        self.chosen: Tensor | None = None  # share of tokens per choice in the last pass without gradients, [1 + E]

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the paths that a token chooses from."""
        return (MAIN, *self.side_mlps)

    def one_path(
        self, x: Tensor, code: Tensor, name: str, planes: Tensor | None = None, *, own: bool = False
    ) -> Tensor:
        """All tokens on the path of their gate's choice; ``name`` and noise say nothing here."""
        x = self.mix(x, code, own=own)
        gain = self.mlp_gain(code)
        logits = self.gate(x)  # [B, h, w, 1 + E]
        if torch.is_grad_enabled():
            return self._blend(x, gain, logits)
        flat, choice = x.reshape(-1, x.shape[-1]), logits.argmax(-1)
        self.chosen = F.one_hot(choice, len(self.choices)).flatten(0, -2).float().mean(0)
        if len(gain) > 1:  # each sample has its own gain
            return self._per_sample(x, gain, choice)
        out = torch.empty_like(flat)
        for number, path in enumerate(self.choices):
            (index,) = (choice.flatten() == number).nonzero(as_tuple=True)
            out.index_copy_(0, index, self._add_path(flat.index_select(0, index), gain, path))
        return out.view(x.shape)

    def _per_sample(self, x: Tensor, gain: Tensor, choice: Tensor) -> Tensor:
        outcomes = torch.stack([self._add_path(x.clone(), gain, path) for path in self.choices], -1)
        return outcomes.gather(-1, choice[..., None, None].expand(*x.shape, 1))[..., 0]

    def _blend(self, x: Tensor, gain: Tensor, logits: Tensor) -> Tensor:
        """All choices on all tokens; the hard choice forward, the gate's softmax backward."""
        soft = logits.softmax(-1)
        hard = F.one_hot(logits.argmax(-1), len(self.choices)).to(soft.dtype)
        mask = hard + soft - soft.detach()
        self.load = len(self.choices) * (hard.flatten(0, -2).mean(0) * soft.flatten(0, -2).mean(0)).sum()
        outcomes = torch.stack([self._add_path(x, gain, path) for path in self.choices], -1)
        return (outcomes * mask[..., None, :]).sum(-1)


class GatedExperts(Paradigm):
    """Task MLPs beside each main MLP, and a gate per block.

    Args:
        start: the trained model, without sides.
        experts: how many MLPs a block gets.
        shape: of these.
        pictures: that a replacing shape is fitted on before it learns.
        recipe: decides the seed and the gates' step size (the predictors').
        rate: Adam's step size for the MLPs.
    """

    def __init__(
        self,
        start: sides.ModelFile,
        experts: int,
        shape: str,
        pictures: PictureSet,
        recipe: SideRecipe,
        *,
        rate: float,
    ) -> None:
        torch.manual_seed(recipe.seed)
        begins = ""
        for number in range(experts):
            start, begins = grow_side(start, f"expert{number}", shape, pictures, recipe)
        super().__init__(start)
        self.begins = begins
        self.label = f"{experts} gated experts, {shape}"
        self._rates = (rate, recipe.predictor_rate)
        self.blocks: list[GatedBlock] = []
        torch.manual_seed(recipe.seed)
        for group in self.model.g_s.groups:
            group.predictors = NamedLayers()
            gated = [GatedBlock(block, block.main_mlp.expand.in_features) for block in group.blocks]
            group.blocks = Layers(gated)
            self.blocks += gated
        for block in self.blocks:
            block.side_mlps.requires_grad_(True)
            block.gate.requires_grad_(True)

    def learned(self) -> list[Learned]:
        """Return what learns."""
        mlps = [weight for block in self.blocks for weight in block.side_mlps.parameters()]
        gates = [weight for block in self.blocks for weight in block.gate.parameters()]
        return [Learned("experts", mlps, self._rates[0]), Learned("gates", gates, self._rates[1])]

    def penalty(self) -> Tensor | float:
        """Return the load term of the last training pass."""
        loads = [block.load for block in self.blocks if block.load is not None]
        return LOAD_WEIGHT * torch.stack(loads).mean() if loads else 0.0

    def remark(self) -> str:
        """Return how tokens were shared out when last measured."""
        chosen = [block.chosen for block in self.blocks if block.chosen is not None]
        if not chosen:
            return ""
        shares = torch.stack(chosen).mean(0).tolist()
        return "tokens to the main MLP and the experts: " + ", ".join(f"{share:.0%}" for share in shares)
