"""How a side path is initialised: an adapter adds nothing, any other side imitates the main path as well as it can.

A side that began as zero would first have to learn what the main path knows. Of the main MLP's hidden units those with
the largest output are kept, and the last layer is refitted to the main MLP's output by least squares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from manypath.multipath.blocks import Block
from manypath.multipath.layers import PathMLP
from manypath.network import Network
from manypath.tinylic.layers import NormedMLP
from manypath_lab.training.data import PictureSet
from manypath_lab.training.qualities import draw_codes

PIXELS = 24 * 128**2  # that the fit sees, at all qualities
BATCH = 4
RIDGE = 1e-4  # of the mean square of a hidden unit


@torch.no_grad()
def add_nothing(side: nn.Module) -> None:
    """Let every MLP of an adapter begin at zero: at the main path itself."""
    for mlp in side.modules():
        if isinstance(mlp, PathMLP):
            mlp.project.weight.zero_()
            mlp.project.bias.zero_()


@torch.no_grad()
def imitate_main(model: Network, name: str, pictures: PictureSet, side: int, seed: int) -> None:
    """Set the MLPs of the side ``name`` in every block of the synthesis, from crops of ``side`` pixels."""
    random = np.random.default_rng(seed)
    inputs: dict[Block, list[Tensor]] = {}
    blocks = [block for group in model.g_s.groups for block in group.blocks]
    for block in blocks:
        seen = inputs.setdefault(block, [])
        block.main_mlp.hidden = _recording(block.main_mlp.hidden, seen)  # type: ignore[method-assign]
    for _ in range(max(1, PIXELS // (BATCH * side**2))):
        x = pictures.crops(random, BATCH, side).to(next(model.parameters()).device)
        model(x, draw_codes(random, BATCH, 0.5).to(x.device))
    for block in blocks:
        del block.main_mlp.hidden
    for block, seen in inputs.items():
        _fit(block.side_mlps[name], block.main_mlp, torch.cat(seen))


def _recording(hidden: Callable[..., Tensor], seen: list[Tensor]) -> Callable[..., Tensor]:
    """Return an MLP's way to its hidden layer that keeps what it is given; its layers may be taken apart, unhooked."""

    def run(x: Tensor, noise: Tensor | None = None) -> Tensor:
        seen.append(x.flatten(0, -2))
        return hidden(x, noise)

    return run


def _fit(side: PathMLP, main: PathMLP, x: Tensor) -> None:
    if isinstance(side, NormedMLP) and isinstance(main, NormedMLP):
        side.norm.load_state_dict(main.norm.state_dict())
    hidden = main.hidden(x)
    target = main.project(hidden)
    reach = hidden.square().mean(0).sqrt() * main.project.weight.norm(dim=0)
    kept = torch.argsort(reach, descending=True, stable=True)[: side.expand.out_features].sort().values
    side.expand.weight.copy_(main.expand.weight[kept])
    side.expand.bias.copy_(main.expand.bias[kept])
    inputs = torch.cat((hidden[:, kept], torch.ones_like(hidden[:, :1])), 1).double()
    gram = inputs.T @ inputs
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    solution = torch.linalg.solve(gram, inputs.T @ target.double()).float()
    side.project.weight.copy_(solution[:-1].T)
    side.project.bias.copy_(solution[-1])
