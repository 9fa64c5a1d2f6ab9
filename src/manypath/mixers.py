"""Token mixers: the part of a block that looks at neighbouring tokens. [B, h, w, C] -> [B, h, w, C]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath import row_attention
from manypath.attention import neighbourhood_attention
from manypath.errors import ConfigError

SLOPE = 0.1  # of every leaky ReLU in the transforms
PIECE = 1024  # tokens that a CPU takes through several operations at a time: 1 MB at 256 channels
START = 0.02  # standard deviation of an untrained attention block; the published cut at 2 is 100 of them away


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU; in place when no gradient is wanted, since ``x`` is always a fresh result here."""
    return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled())


def pieces(tokens: Tensor) -> tuple[Tensor, ...]:
    """Cut tokens [N, C] into pieces that stay in a CPU core's own cache; elsewhere one piece is all."""
    return torch.split(tokens, PIECE) if tokens.device.type == "cpu" else (tokens,)


def piecewise(x: Tensor) -> bool:
    """Whether layers may be taken apart and store into given tensors: no gradient is wanted, and no other type."""
    return not torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)


def conv_nhwc(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution to [B, h, w, C].

    The permuted view is what PyTorch calls channels_last, so nothing is copied on either side.
    """
    out: Tensor = conv(x.permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1)


class DepthwiseMixer(nn.Module):
    """1x1, depthwise 3x3, 1x1 (the mixer of DCVC-RT's blocks). Starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, channels)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.project = nn.Linear(channels, channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return conv_nhwc(self.spatial, leaky(self.expand(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Mix [B, h, w, C]."""
        out: Tensor = self.project(self.hidden(x))
        return out


class BottleneckMixer(nn.Module):
    """1x1 to half the width, dense 3x3, 1x1 back (ELIC's residual bottleneck). Starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 2)
        self.spatial = nn.Conv2d(channels // 2, channels // 2, 3, padding=1)
        self.project = nn.Linear(channels // 2, channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return leaky(conv_nhwc(self.spatial, leaky(self.reduce(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Mix [B, h, w, C]."""
        out: Tensor = self.project(self.hidden(x))
        return out


class NeighbourhoodMixer(nn.Module):
    """Normalise, attend to the window around each token with a bias per offset (MPA section 3.1)."""

    def __init__(self, channels: int, head: int, window: int) -> None:
        super().__init__()
        self.head = head
        self.window = window
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.bias = nn.Parameter(torch.empty(channels // head, 2 * window - 1, 2 * window - 1))
        self.project = nn.Linear(channels, channels)
        nn.init.normal_(self.bias, std=START)
        for layer in (self.qkv, self.project):
            nn.init.normal_(layer.weight, std=START)
            nn.init.zeros_(layer.bias)

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        b, h, w, c = x.shape
        if piecewise(x) and not row_attention.refusal(x, c // self.head, self.window):
            made = [self._by_rows(own) for own in torch.split(x, 1)]
            return torch.cat(made) if len(made) > 1 else made[0]
        query, key, value = self._queries_keys_values(x).view(b, h, w, 3, -1, self.head).unbind(3)
        attended = neighbourhood_attention(query, key, value, self.bias, self.window)
        return attended.reshape(b, h, w, -1)

    def _by_rows(self, x: Tensor) -> Tensor:
        """Return what ``hidden`` does of [1, h, w, C], as a view of planes."""
        _, h, w, c = x.shape
        planes = x.new_empty(3 * c, h * w)
        for tokens, out in zip(pieces(x.reshape(-1, c)), torch.split(planes, PIECE, 1), strict=True):
            torch.addmm(self.qkv.bias[:, None], self.qkv.weight, self.norm(tokens).t(), out=out)
        made = row_attention.row_attention(planes.view(3, -1, self.head, h, w), self.bias)
        return made.view(1, c, h, w).permute(0, 2, 3, 1)

    def _queries_keys_values(self, x: Tensor) -> Tensor:
        """Return [B, h, w, 3C]."""
        if not piecewise(x):
            joint: Tensor = self.qkv(self.norm(x))
            return joint
        made = x.new_empty(*x.shape[:-1], self.qkv.out_features)
        for tokens, out in zip(pieces(x.reshape(-1, x.shape[-1])), pieces(made.flatten(0, -2)), strict=True):
            torch.addmm(self.qkv.bias, self.norm(tokens), self.qkv.weight.t(), out=out)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Mix [B, h, w, C]."""
        out: Tensor = self.project(self.hidden(x))
        return out


Mixer = DepthwiseMixer | BottleneckMixer | NeighbourhoodMixer


def make_mixer(kind: str, channels: int) -> DepthwiseMixer | BottleneckMixer:
    """Return the mixer called ``kind``.

    Raises:
        ConfigError: there is none of that name.
    """
    if kind == "depthwise":
        return DepthwiseMixer(channels)
    if kind == "bottleneck":
        return BottleneckMixer(channels)
    raise ConfigError(f"no mixer is called {kind!r}")
