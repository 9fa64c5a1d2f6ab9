"""The published hyper-synthesis in fixed point: attention blocks and upsampling whose results are integers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.entropy.rounding import round_through
from manypath.multipath.layers import Layers
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.fixed_point import (
    FixedConstant,
    FixedExp,
    FixedGain,
    FixedGelu,
    FixedLinear,
    FixedUp,
    fixed_norm,
    on_grid,
)
from manypath.transfers import cached_by_stream

SHARE_UNIT = 2.0**16  # attention's weights are multiples of 1 / 65536


class Neighbours(NamedTuple):
    """Whom each token of a grid looks at.

    Attributes:
        keys: places on the flattened grid, int64 [h * w, n].
        offsets: places in the flattened bias table, int64 [h * w, n].
    """

    keys: Tensor
    offsets: Tensor


@cached_by_stream(64)
def neighbours(height: int, width: int, window: int, device: torch.device) -> Neighbours:
    """Return the window around each token, moved inward at the borders as in ``attention``."""
    rows, row_offsets = _axis(height, window)
    columns, column_offsets = _axis(width, window)
    keys = rows[:, None, :, None] * width + columns[None, :, None, :]
    offsets = row_offsets[:, None, :, None] * (2 * window - 1) + column_offsets[None, :, None, :]
    return Neighbours(*(own.reshape(height * width, -1).to(device) for own in (keys, offsets)))


def _axis(length: int, window: int) -> tuple[Tensor, Tensor]:
    """Return for each token of an axis the keys it sees and their offsets' rows in the bias table, [length, n]."""
    span = min(window, length)
    token = torch.arange(length, device="cpu")
    keys = (token - window // 2).clamp(0, length - span)[:, None] + torch.arange(span, device="cpu")
    return keys, keys - token[:, None] + window - 1


class FixedBlock(nn.Module):
    """One published block of one path: attention, then the MLP, each on normalised values and scaled by its gain.

    Attributes:
        head: channels of a head.
        window: side of the window.
        qkv: with the norm's factors and the scores' scale in its weights.
        expand: with its norm's factors in its weights.
    """

    def __init__(self, channels: int, hidden: int, head: int, window: int) -> None:
        super().__init__()
        self.head = head
        self.window = window
        self.qkv = FixedLinear(channels, 3 * channels)
        self.bias = FixedConstant(channels // head, 2 * window - 1, 2 * window - 1)
        self.project = FixedLinear(channels, channels)
        self.mixer_gain = FixedGain(channels)
        self.expand = FixedLinear(channels, hidden)
        self.shrink = FixedLinear(hidden, channels)
        self.mlp_gain = FixedGain(channels)

    def forward(self, x: Tensor, code: Tensor, gelu: FixedGelu, exp: FixedExp) -> Tensor:
        """Transform values [B, h, w, C]."""
        x = on_grid(x + self.mixer_gain(code) * self.project(self._attend(self.qkv(fixed_norm(x)), exp)))
        return on_grid(x + self.mlp_gain(code) * self.shrink(gelu(self.expand(fixed_norm(x)))))

    def _attend(self, joint: Tensor, exp: FixedExp) -> Tensor:
        b, h, w, _ = joint.shape
        query, key, value = joint.view(b, h * w, 3, -1, self.head).unbind(2)  # [B, h * w, heads, d]
        keys, offsets = neighbours(h, w, self.window, joint.device)
        scores = on_grid((query[:, :, None] * key[:, keys]).sum(-1))  # [B, h * w, n, heads]
        scores += self.bias.value.flatten(1)[:, offsets].permute(1, 2, 0)
        weights = exp(scores - scores.amax(2, keepdim=True))
        shares = (weights / weights.sum(2, keepdim=True)).mul_(SHARE_UNIT).round_().mul_(1 / SHARE_UNIT)
        return on_grid((shares[..., None] * value[:, keys]).sum(2)).view(b, h, w, -1)


class FixedHyperSynthesis(nn.Module):
    """h_s: the hyper-latent's symbols [B, h/4, w/4, K] -> features, float64 values [B, h, w, 2M]."""

    BOUND = 2**15 - 1  # |symbol|, as far as the container's checksum goes

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        width = config.hyper_channels
        self.medians = FixedConstant(width)
        self.input_gain = FixedGain(width)
        self.groups: Layers[Layers[FixedBlock]] = Layers(
            Layers(FixedBlock(width, 2 * width, config.head, config.hyper_window) for _ in range(config.hyper_depth))
            for _ in range(2)
        )
        self.ups: Layers[FixedUp] = Layers(FixedUp(width, outputs) for outputs in (width, 2 * config.latent_channels))
        self.gelu = FixedGelu()
        self.exp = FixedExp()

    def symbols(self, z: Tensor) -> Tensor:
        """Return z, after the hyper gain, as whole numbers around the prior's medians."""
        rounded: Tensor = round_through(z - self.medians.value.to(z.dtype))
        return torch.clamp(rounded, -self.BOUND, self.BOUND)

    def forward(self, symbols: Tensor, code: Tensor) -> Tensor:
        """Return the features for quality codes int64 [B], or [1] for all."""
        x = on_grid((symbols.double() + self.medians.value) * self.input_gain(code))
        for group, up in zip(self.groups, self.ups, strict=True):
            made = x
            for block in group:
                made = block(made, code, self.gelu, self.exp)
            x = up(on_grid(x + made))
        return x
