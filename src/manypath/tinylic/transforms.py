"""The published transforms: convolutions between groups of attention blocks at falling resolution, NHWC throughout.

::

    g_a  picture -/2-> group -/2-> group -/2-> group -/2-> coarse blocks -> y          [B, H/16, W/16, M]
    g_s  y_hat -> coarse blocks -x2-> group -x2-> group -x2-> group -x2-> picture
    h_a  y * gain -/2-> blocks -/2-> blocks -> z                                       [B, H/64, W/64, K]
    h_s  z_hat -> blocks -x2-> blocks -x2-> features                                   [B, H/16, W/16, 2M]

The groups are those of ``transforms``, with another mixer, MLP, predictor and scope: routing is over the whole picture
(over a strip of it, where a picture is cut into strips). Source: MPA section 3.1.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from manypath.multipath.blocks import Group
from manypath.multipath.layers import Layers, conv_nhwc
from manypath.multipath.routing import LOW, Routing, Trace
from manypath.network import AnalysisTransform, SynthesisTransform
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.layers import published_kit

REACH = 256  # pixels of margin around a strip: attention and convolutions reach 302, of which the last fade out


def halving(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """Return a convolution that halves the resolution."""
    return nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2)


def doubling(inputs: int, outputs: int, kernel: int = 3) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles the resolution."""
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1)


class Analysis(AnalysisTransform):
    """g_a: picture [B, H, W, 3] in [0, 1], sides multiples of 64 -> y [B, H/16, W/16, M]."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = published_kit(config.head, config.window)
        widths = (*config.channels, config.latent_channels)
        self.downs: Layers[nn.Conv2d] = Layers(
            halving(inputs, outputs, 3 if number else 5)
            for number, (inputs, outputs) in enumerate(zip((3, *config.channels), widths, strict=True))
        )
        self.groups: Layers[Group] = Layers(
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


class Synthesis(SynthesisTransform):
    """g_s: y_hat after the inverse gain [B, h, w, M] -> picture [B, 16h, 16w, 3], not clamped."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        kit = published_kit(config.head, config.window)
        widths = (config.latent_channels, *reversed(config.channels), 3)
        self.coarse = Group(config.latent_channels, config.depths[3], kit, {})
        self.ups: Layers[nn.ConvTranspose2d] = Layers(
            doubling(inputs, outputs, 5 if outputs == 3 else 3) for inputs, outputs in itertools.pairwise(widths)
        )
        self.groups: Layers[Group] = Layers(
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
