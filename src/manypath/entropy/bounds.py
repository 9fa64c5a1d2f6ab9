"""Bounds that a value can come back from: the gradient is dropped only where it would push further out."""

from __future__ import annotations

import torch
from torch import Tensor


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
