"""The published transforms: convolutions between groups of attention blocks at falling resolution, NHWC throughout.

::

    g_a  picture -/2-> group -/2-> group -/2-> group -/2-> coarse blocks -> y          [B, H/16, W/16, M]
    g_s  y_hat -> coarse blocks -x2-> group -x2-> group -x2-> group -x2-> picture
    h_a  y * gain -/2-> blocks -/2-> blocks -> z                                       [B, H/64, W/64, K]
    h_s  z_hat -> blocks -x2-> blocks -x2-> features                                   [B, H/16, W/16, 2M]

The groups are those of ``transforms``, with another mixer, MLP, predictor and scope: routing is over the whole picture
(over a band of it, where a picture is cut into bands). Source: MPA section 3.1.
"""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor, nn

from manypath.aggregation import NormedMLP, PicturePredictor, Scope
from manypath.config import TinyLICConfig
from manypath.entropy.integer import round_through
from manypath.entropy.prior import FactorizedPrior
from manypath.gain import Gain
from manypath.mixers import NeighbourhoodMixer, conv_nhwc
from manypath.transforms import LOW, Group, Kit, Routing, Trace

REACH = 256  # pixels of margin around a band: attention and convolutions reach 302, of which the last fade out


def picture_kit(head: int, window: int) -> Kit:
    """Return the published kit."""
    mixer = functools.partial(NeighbourhoodMixer, head=head, window=window)
    return Kit(mixer, NormedMLP, PicturePredictor, Scope.PICTURE, skip=True)


def _down(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2)


def _up(inputs: int, outputs: int, kernel: int = 3) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1)


class PyramidAnalysis(nn.Module):
    """g_a: picture [B, H, W, 3] in [0, 1], sides multiples of 64 -> y [B, H/16, W/16, M]."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = picture_kit(config.head, config.window)
        widths = (*config.channels, config.latent_channels)
        self.downs = nn.ModuleList(
            _down(inputs, outputs, 3 if number else 5)
            for number, (inputs, outputs) in enumerate(zip((3, *config.channels), widths, strict=True))
        )
        self.groups = nn.ModuleList(
            Group(width, depth, kit, {LOW: "bottleneck"})
            for width, depth in zip(config.channels, config.depths[:3], strict=True)
        )
        self.coarse = Group(config.latent_channels, config.depths[3], kit, {})

    def forward(self, x: Tensor, code: Tensor, routing: Routing, trace: Trace | None = None) -> Tensor:
        """Return y, before the gain."""
        x = x.to(next(self.parameters()).dtype)
        for down, group in zip(self.downs, (*self.groups, self.coarse), strict=True):
            x = group(conv_nhwc(down, x), code, routing, trace)
        return x


class PyramidSynthesis(nn.Module):
    """g_s: y_hat after the inverse gain [B, h, w, M] -> picture [B, 16h, 16w, 3], not clamped."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = picture_kit(config.head, config.window)
        widths = (config.latent_channels, *reversed(config.channels), 3)
        self.coarse = Group(config.latent_channels, config.depths[3], kit, {})
        self.ups = nn.ModuleList(
            _up(inputs, outputs, 5 if outputs == 3 else 3) for inputs, outputs in itertools.pairwise(widths)
        )
        self.groups = nn.ModuleList(
            Group(width, depth, kit, dict(config.sides))
            for width, depth in zip(reversed(config.channels), reversed(config.depths[:3]), strict=True)
        )

    def shared(self, y: Tensor, code: Tensor) -> Tensor:
        """What all paths have in common: y -> tokens [B, 2h, 2w, C]."""
        x = self.coarse(y.to(next(self.parameters()).dtype), code, None, None)
        return conv_nhwc(self.ups[0], x)

    def forward(self, tokens: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """One path's picture from the shared tokens."""
        for group, up in zip(self.groups, list(self.ups)[1:], strict=True):
            tokens = conv_nhwc(up, group(tokens, code, routing, trace))
        return tokens


class PyramidHyperAnalysis(nn.Module):
    """h_a: y after the gain [B, h, w, M] -> z [B, h/4, w/4, K]."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = picture_kit(config.head, config.hyper_window)
        width = config.hyper_channels
        self.downs = nn.ModuleList(_down(inputs, width) for inputs in (config.latent_channels, width))
        self.groups = nn.ModuleList(Group(width, config.hyper_depth, kit, {}) for _ in range(2))

    def forward(self, y: Tensor, code: Tensor) -> Tensor:
        """Return z, before the hyper gain."""
        for down, group in zip(self.downs, self.groups, strict=True):
            y = group(conv_nhwc(down, y), code, None, None)
        return y


class PyramidHyperSynthesis(nn.Module):
    """h_s: the hyper-latent's symbols [B, h/4, w/4, K] -> features [B, h, w, 2M]; holds the prior they stand on."""

    BOUND = 2**15 - 1  # |symbol|, as far as the container's checksum goes

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = picture_kit(config.head, config.hyper_window)
        width = config.hyper_channels
        self.prior = FactorizedPrior(width)
        self.input_gain = Gain(width)
        self.groups = nn.ModuleList(Group(width, config.hyper_depth, kit, {}) for _ in range(2))
        self.ups = nn.ModuleList(_up(width, outputs) for outputs in (width, 2 * config.latent_channels))

    def symbols(self, z: Tensor) -> Tensor:
        """Return z, after the hyper gain, as whole numbers around the prior's medians."""
        rounded: Tensor = round_through(z - self.prior.medians)
        return torch.clamp(rounded, -self.BOUND, self.BOUND)

    def forward(self, symbols: Tensor, code: Tensor) -> Tensor:
        """Return the features for quality codes int64 [B]."""
        x: Tensor = (symbols + self.prior.medians) * self.input_gain(code)[:, None, None]
        for group, up in zip(self.groups, self.ups, strict=True):
            x = conv_nhwc(up, group(x, code, None, None))
        return x
