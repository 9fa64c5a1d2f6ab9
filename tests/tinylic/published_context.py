"""The published context model in its own order: every pass on the whole grid, of one concatenation of all it reads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.convert.upstream import Piece, names
from manypath.entropy.schedule import Step
from manypath.entropy.tables import SCALE_MIN
from manypath.families import build_network
from manypath.network import Network
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.context import PATTERNS, positions

Visitor = Callable[[Step, Tensor, Tensor, Tensor], Tensor]
"""Told (step, positions, scales, means), both [B, P, width]; returns y_hat there."""


def _assemble(pieces: list[Piece], own: Mapping[str, Tensor]) -> Tensor:
    parts = []
    for ours, rows, _ in pieces:
        value = own[ours][slice(*rows)] if rows else own[ours]
        parts.append(torch.exp2(value) if ours.endswith(".log2") else value)
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def to_published(model: Network) -> dict[str, Tensor]:
    """Return the parameters of a model of the published family under their published names."""
    config = model.config
    assert isinstance(config, TinyLICConfig)
    own = dict(model.named_parameters())
    tensors = {name: _assemble(pieces, own).detach() for name, pieces in names(config).items()}
    for name, value in tensors.items():
        if name.startswith("entropy_parameters") and value.dim() == 2:
            tensors[name] = value[:, :, None, None]
    return tensors


@functools.cache
def published_shapes(config: TinyLICConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every published parameter."""
    return {name: tuple(value.shape) for name, value in to_published(build_network(config)).items()}


class PublishedContext:
    """The published context model of one model, whose weights it copies."""

    def __init__(self, model: Network) -> None:
        config = model.config
        assert isinstance(config, TinyLICConfig)
        self.config = config
        self.schedule = model.context.schedule
        wanted = ("cc_transforms", "sc_transform", "entropy_parameters")
        self.weights = {
            name: value.contiguous() for name, value in to_published(model).items() if name.startswith(wanted)
        }
        kernels = [kernel for name in config.patterns for kernel in PATTERNS[name].kernels]
        masks = [mask for name in config.patterns for mask in PATTERNS[name].masks]
        for number, (kernel, seen) in enumerate(zip(kernels, masks, strict=True), 1):
            mask = torch.zeros(kernel, kernel)
            for row, column in seen:
                mask[row + kernel // 2, column + kernel // 2] = 1.0
            self.weights[f"sc_transform_{number}.weight"] *= mask

    def _conv(self, x: Tensor, name: str, padding: int = 0) -> Tensor:
        return F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], padding=padding)

    def walk(self, features: Tensor, visit: Visitor) -> Tensor:
        """Visit every pass in order and return y_hat, [B, M, h, w].

        Args:
            features: from the hyper-synthesis, [B, 2M, h, w].
            visit: makes y_hat at a pass's positions.
        """
        grid = features.shape[2:]
        slices: list[Tensor] = []
        near = 0
        steps = iter(self.schedule)
        for number, (width, name) in enumerate(zip(self.config.slices, self.config.patterns, strict=True)):
            pattern = PATTERNS[name]
            channel = torch.cat((features, *slices), 1)
            for layer, padding in ((0, 2), (2, 2), (4, 1)):
                channel = self._conv(channel, f"cc_transforms.{number}.{layer}", padding)
                channel = F.gelu(channel) if layer < 4 else channel
            decoded = features.new_zeros(features.shape[0], width, *grid)
            for stage in range(len(pattern.passes)):
                step = next(steps)
                where = positions(*grid, name, stage, features.device)
                served = torch.zeros(grid).flatten().index_fill(0, where, 1.0).view(grid)
                spatial = torch.zeros_like(channel)
                if stage:
                    near += 1
                    spatial = self._conv(decoded, f"sc_transform_{near}", pattern.kernels[stage - 1] // 2) * served
                x = torch.cat((features, spatial, channel) if pattern.kernels else (features, channel), 1)
                for layer in (0, 2, 4):
                    x = self._conv(x, f"entropy_parameters_{number + 1}.{layer}")
                    x = F.gelu(x) if layer < 4 else x
                at = x.flatten(2)[:, :, where].transpose(1, 2)
                made = visit(step, where, at[..., :width].clamp_min(SCALE_MIN), at[..., width:])
                decoded = decoded.flatten(2).index_copy(2, where, made.transpose(1, 2)).view_as(decoded)
            slices.append(decoded)
        return torch.cat(slices, 1)
