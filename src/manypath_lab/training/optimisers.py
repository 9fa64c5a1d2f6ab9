"""What takes a run's steps: Adam, or Muon for the matrices and Adam beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from manypath_lab.training.recipe import LearningRates, MuonRates

ADAM_BETAS = (0.9, 0.99)  # a second beta of 0.98 remembers 35 steps


class MuonAndAdam(torch.optim.Optimizer):
    """Muon for matrices, Adam for everything else, stepped and saved as one.

    A dense convolution's kernel is a matrix of its outputs by everything that they read. Muon takes a view of it.

    Args:
        matrices: parameters of two dimensions or more.
        rates: Muon's.
        groups: Adam's groups, each with a ``base`` rate and a ``kind``.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], rates: MuonRates, groups: list[dict[str, Any]]) -> None:
        self._pairs = [(matrix, nn.Parameter(matrix.data.flatten(1))) for matrix in matrices]
        views = [view for _, view in self._pairs]
        self._muon = torch.optim.Muon(
            views, lr=1.0, weight_decay=rates.weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        )
        self._muon.param_groups[0].update(base=rates.rate, kind="muon")
        self._adam = torch.optim.Adam(groups, lr=1.0, betas=ADAM_BETAS, fused=True)
        self.defaults = {}
        self.state = self._adam.state
        self.param_groups = [*self._muon.param_groups, *self._adam.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for matrix, view in self._pairs:
            matrix.grad = view.grad = None
        self._adam.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step of each."""
        for matrix, view in self._pairs:
            view.grad = None if matrix.grad is None else matrix.grad.flatten(1)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self._muon.load_state_dict(state_dict["muon"])
        self._adam.load_state_dict(state_dict["adam"])
        self.param_groups = [*self._muon.param_groups, *self._adam.param_groups]
        self.state = self._adam.state


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes a parameter of a training network: a block's, a hyper-transform's or the context's matrix.

    The linear start's layers carry the whole picture and stay with Adam, as depthwise kernels, gains, offsets,
    predictors and the factorised prior do.
    """
    parts = name.split(".")
    if parts[0] != "model" or parts[-1] != "weight" or "predictors" in parts:
        return False
    if "blocks" in parts and parts[1] in {"g_a", "g_s"}:
        return parameter.dim() == 2
    if parts[1] in {"h_a", "h_s", "context"}:
        return parameter.dim() == 2 or (parameter.dim() == 4 and parameter.shape[1] > 1)
    return False


def make_optimiser(
    network: nn.Module, rates: LearningRates, muon: MuonRates | None, kind_of: Callable[[str], str]
) -> torch.optim.Optimizer:
    """Return the optimiser of a training network's parameters that have gradients, one group per kind of rate."""
    matrices: list[nn.Parameter] = []
    kinds: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if muon is not None and is_matrix(name, parameter):
            matrices.append(parameter)
        else:
            kinds.setdefault(kind_of(name), []).append(parameter)
    groups = [{"params": params, "base": getattr(rates, kind), "kind": kind} for kind, params in kinds.items()]
    if muon is not None and matrices:
        return MuonAndAdam(matrices, muon, groups)
    return torch.optim.Adam(groups, lr=1.0, betas=(0.9, 0.98), fused=True)
