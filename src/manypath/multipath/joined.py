"""The MLPs whose sum a path is, as one MLP with all their hidden layers side by side, where no gradient is wanted.

A path of an adapter is the main path's MLP and its own. Joined, they are two products instead of four or five: tokens
are read once, noise enters as more of their channels, and the sum is made inside the last product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from manypath.kept import Kept
from manypath.multipath.layers import SLOPE, PathMLP
from manypath.products import linear, packed

Way = Callable[[Tensor, Tensor | None], Tensor]
"""Turns tokens [N, C], and noise [N, P] or none, into what a path adds to them, [N, C]."""


class JoinedMLPs:
    """MLPs whose sum a path is, with a gain in their last layer; what is made of frozen weights is kept."""

    def __init__(self) -> None:
        self._first: Kept[tuple[Tensor, Tensor]] = Kept()
        self._last: Kept[tuple[Tensor, Tensor]] = Kept()  # apart, since it alone is another at another quality

    def way(self, mlps: Sequence[PathMLP], gain: Tensor, *, noisy: bool) -> Way:
        """Return what these MLPs add, times a gain.

        Args:
            mlps: one or more, always the same.
            gain: float32 [1, C].
            noisy: whether noise comes with the tokens.
        """
        if not all(mlp.LEAKY for mlp in mlps):
            return _apart(mlps, gain)
        noisy = noisy and any(mlp.noise is not None for mlp in mlps)
        seeing = [mlp.noise.weight for mlp in mlps if mlp.noise is not None] if noisy else []
        first = [own for mlp in mlps for own in (mlp.expand.weight, mlp.expand.bias)]
        last = [own for mlp in mlps for own in (mlp.project.weight, mlp.project.bias)]
        expand, inner = self._first.get(lambda: _first(mlps, noisy), *first, *seeing, key=noisy)
        project, outer = self._last.get(lambda: _last(mlps, gain[0]), *last, gain)

        def way(tokens: Tensor, noise: Tensor | None) -> Tensor:
            seen = _beside(tokens, noise, inner.dtype) if noisy and noise is not None else tokens.to(inner.dtype)
            return linear(linear(seen, expand, inner, slope=SLOPE), project, outer)

        return way


def _first(mlps: Sequence[PathMLP], noisy: bool) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the first layer, which sees noise after the tokens if ``noisy``."""
    weights = [mlp.expand.weight for mlp in mlps]
    if noisy:
        planes = next(mlp.noise.in_features for mlp in mlps if mlp.noise is not None)
        grains = [
            weight.new_zeros(len(weight), planes) if mlp.noise is None else mlp.noise.weight
            for mlp, weight in zip(mlps, weights, strict=True)
        ]
        weights = [torch.cat(pair, 1) for pair in zip(weights, grains, strict=True)]
    return packed(torch.cat(weights)), torch.cat([mlp.expand.bias for mlp in mlps])


def _last(mlps: Sequence[PathMLP], gain: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the last layer, times a gain, float32 [C]."""
    dtype = mlps[0].project.weight.dtype
    weight = torch.cat([mlp.project.weight for mlp in mlps], 1) * gain[:, None]
    bias = torch.stack([mlp.project.bias.float() for mlp in mlps]).sum(0) * gain
    return packed(weight.to(dtype)), bias.to(dtype)


def _beside(tokens: Tensor, noise: Tensor, dtype: torch.dtype) -> Tensor:
    """Return tokens [N, C] and noise [N, P] as [N, C + P]."""
    channels = tokens.shape[1]
    seen = torch.empty(len(tokens), channels + noise.shape[1], dtype=dtype, device=tokens.device)
    seen[:, :channels] = tokens
    seen[:, channels:] = noise
    return seen


def _apart(mlps: Sequence[PathMLP], gain: Tensor) -> Way:
    """Return the same of MLPs whose hidden layers are of another kind."""
    scaled = [(mlp, *mlp.scaled(gain)) for mlp in mlps]

    def way(tokens: Tensor, noise: Tensor | None) -> Tensor:
        rounded = tokens.to(scaled[0][2].dtype)
        first, *others = (linear(mlp.hidden(rounded, noise), weight, bias) for mlp, weight, bias in scaled)
        for other in others:
            first = first + other
        return first

    return way
