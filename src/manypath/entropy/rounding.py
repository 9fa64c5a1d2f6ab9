"""Rounding and bounds that gradients pass through."""

from __future__ import annotations

import torch
from torch import Tensor


class _RoundThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, kept: Tensor | None) -> Tensor:
        rounded = torch.round(x)
        return rounded if kept is None else rounded * kept

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def round_through(x: Tensor, kept: Tensor | None = None) -> Tensor:
    """Round half to even, to 0 where ``kept`` is given and false; the gradient passes unchanged."""
    if not torch.is_grad_enabled():
        rounded = torch.round(x)
        return rounded if kept is None else rounded * kept
    out: Tensor = _RoundThrough.apply(x, kept)  # type: ignore[no-untyped-call]
    return out


class _ClampThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        blocked = ((x < low) & (grad > 0)) | ((x > high) & (grad < 0))
        return grad.masked_fill(blocked, 0.0), None, None


def clamp_through(x: Tensor, low: float, high: float = float("inf")) -> Tensor:
    """Clamp to ``low``..``high``."""
    if not torch.is_grad_enabled():
        return x.clamp(low, high)
    out: Tensor = _ClampThrough.apply(x, low, high)  # type: ignore[no-untyped-call]
    return out
