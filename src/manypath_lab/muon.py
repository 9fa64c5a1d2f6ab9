"""Muon in float32, for CPUs without bfloat16 units (torch.optim.Muon orthogonalises in bfloat16 only).

Source: Jordan et al., "Muon: an optimizer for hidden layers", 2024: momentum, then a quintic Newton-Schulz
iteration that brings every singular value of the update near one. Matrices of one shape are iterated as a batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(batch: Tensor, steps: int = 5) -> Tensor:
    """Return matrices [n, a, b] with their singular values brought to about one."""
    wide = batch.shape[1] <= batch.shape[2]
    x = batch if wide else batch.mT
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates for 2-D weights.

    Args:
        params: matrices only.
        lr: step size; an update has the scale ``0.2 * sqrt(max(rows, columns))`` times this, as AdamW's would have.
        momentum: of the gradient's moving average (Nesterov).
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                updates = []
                for parameter in parameters:
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    gradient = cast("Tensor", parameter.grad)
                    buffer = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(gradient.lerp(buffer, group["momentum"]))
                directions = orthogonalise(torch.stack(updates))
                scale = 0.2 * max(shape) ** 0.5 * group["lr"]
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction, alpha=-scale)
