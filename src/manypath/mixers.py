"""Token mixers: the part of a block that looks at neighbouring tokens. [B, h, w, C] -> [B, h, w, C]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.errors import ConfigError

SLOPE = 0.1  # of every leaky ReLU in the transforms


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU; in place when no gradient is wanted, since ``x`` is always a fresh result here."""
    return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled())


def conv_nhwc(conv: nn.Conv2d, x: Tensor) -> Tensor:
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
