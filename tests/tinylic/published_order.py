"""The published network's own way: its tensors' names and shapes, and its context model on the whole grid each pass."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.config import TinyLICConfig
from manypath.entropy.context import Step
from manypath.entropy.multistage import PATTERNS, positions
from manypath.model import MPAModel
from manypath.published import Piece, names


def _assemble(pieces: list[Piece], own: dict[str, Tensor]) -> Tensor:
    parts = []
    for ours, rows, _ in pieces:
        value = own[ours][slice(*rows)] if rows else own[ours]
        parts.append(torch.exp2(value) if ours.endswith(".log2") else value)
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def to_published(model: MPAModel) -> dict[str, Tensor]:
    """Return a model's parameters under their published names."""
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
    return {name: tuple(value.shape) for name, value in to_published(MPAModel(config)).items()}


def walk_as_published(model: MPAModel, features: Tensor, own: Tensor) -> list[tuple[Step, Tensor, Tensor]]:
    """Return (step, scales, means) of every pass at its positions, each computed on the full grid.

    Args:
        model: of the published family.
        features: [1, h, w, 2M].
        own: y_hat, [1, h, w, M], known beforehand.
    """
    config = model.config
    assert isinstance(config, TinyLICConfig)
    w = to_published(model)
    params, y_hat = features.permute(0, 3, 1, 2), own.permute(0, 3, 1, 2)
    grid = params.shape[2:]
    out = []
    near = 0
    steps = iter(model.context.schedule)
    for number, (width, name) in enumerate(zip(config.slices, config.patterns, strict=True)):
        pattern = PATTERNS[name]
        start = sum(config.slices[:number])
        channel = torch.cat((params, y_hat[:, :start]), 1)
        for layer, padding in ((0, 2), (2, 2), (4, 1)):
            prefix = f"cc_transforms.{number}.{layer}"
            channel = F.conv2d(channel, w[f"{prefix}.weight"], w[f"{prefix}.bias"], padding=padding)
            channel = F.gelu(channel) if layer < 4 else channel
        decoded = torch.zeros_like(y_hat[:, start : start + width])
        for stage in range(len(pattern.passes)):
            step = next(steps)
            where = positions(*grid, name, stage, features.device)
            served = torch.zeros(grid).flatten().index_fill(0, where, 1.0).view(grid)
            spatial = torch.zeros_like(channel)
            if stage:
                near += 1
                kernel = pattern.kernels[stage - 1]
                mask = torch.zeros(kernel, kernel)
                for row, column in pattern.masks[stage - 1]:
                    mask[row + kernel // 2, column + kernel // 2] = 1.0
                weight, bias = w[f"sc_transform_{near}.weight"] * mask, w[f"sc_transform_{near}.bias"]
                spatial = F.conv2d(decoded, weight, bias, padding=kernel // 2) * served
            x = torch.cat((params, spatial, channel), 1) if pattern.kernels else torch.cat((params, channel), 1)
            for layer in (0, 2, 4):
                prefix = f"entropy_parameters_{number + 1}.{layer}"
                x = F.conv2d(x, w[f"{prefix}.weight"], w[f"{prefix}.bias"])
                x = F.gelu(x) if layer < 4 else x
            at = x.flatten(2)[:, :, where].transpose(1, 2)
            out.append((step, at[..., :width].clamp_min(0.11), at[..., width:]))
            decoded = decoded + y_hat[:, start : start + width] * served
    return out
