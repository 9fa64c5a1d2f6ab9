"""The transforms g_a, g_s and h_a: tokens of 8x8 pixels through multi-path blocks, in NHWC throughout.

::

    g_a  picture -/8-> 1x1 -> group, group, group -/2-> 1x1 -> coarse blocks -> y      [B, H/16, W/16, M]
    g_s  y_hat -> coarse blocks -> 1x1 -x2-> group, group, group -> 1x1 -x8-> picture
    h_a  y -> 3x3/2 -> 3x3/2 -> 1x1 -> z                                               [B, H/64, W/64, K]

A group is a predictor and the blocks that share its choice of paths. Every block starts as the identity, so the
untrained transforms are linear; ``linear_start`` in the lab sets them to a block KLT.
"""

from __future__ import annotations

from torch import Tensor, nn

from manypath.edge.config import EdgeConfig
from manypath.errors import ConfigError
from manypath.geometry import LATENT_PIXELS, TOKEN_PIXELS, padded
from manypath.image import from_tokens, to_tokens
from manypath.multipath.blocks import Group, Kit
from manypath.multipath.layers import Branch, PathMLP, conv_nhwc, leaky, zeroed
from manypath.multipath.routing import LOW, Predictor, Routing, Scope, Trace


class DepthwiseMixer(Branch):
    """1x1, depthwise 3x3, 1x1 (the mixer of DCVC-RT's blocks). Starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, channels)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.project = zeroed(nn.Linear(channels, channels))

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return conv_nhwc(self.spatial, leaky(self.expand(x)))


class BottleneckMixer(Branch):
    """1x1 to half the width, dense 3x3, 1x1 back (ELIC's residual bottleneck). Starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 2)
        self.spatial = nn.Conv2d(channels // 2, channels // 2, 3, padding=1)
        self.project = zeroed(nn.Linear(channels // 2, channels))

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return leaky(conv_nhwc(self.spatial, leaky(self.reduce(x))))


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


def edge_kit(mixer: str) -> Kit:
    """Return the kit of an edge model with the mixer of that name."""
    return Kit(lambda channels: make_mixer(mixer, channels), PathMLP, Predictor, Scope.WINDOW, skip=False)


def _coarse(config: EdgeConfig) -> Group:
    return Group(config.latent_channels, config.coarse_depth, edge_kit(config.mixer), {})


class Analysis(nn.Module):
    """g_a: picture [B, H, W, 3] in [0, 1], sides multiples of 64 -> y [B, H/16, W/16, M]."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(3 * TOKEN_PIXELS**2, config.channels)
        self.groups = nn.ModuleList(
            Group(config.channels, depth, edge_kit(config.mixer), {LOW: "bottleneck"})
            for depth in config.analysis_depths
        )
        self.merge = nn.Linear(4 * config.channels, config.latent_channels)
        self.coarse = _coarse(config)

    def forward(self, x: Tensor, code: Tensor, routing: Routing, trace: Trace | None = None) -> Tensor:
        """Return y, before the gain."""
        tokens = self.embed(to_tokens((x - 0.5).to(self.embed.weight.dtype), TOKEN_PIXELS))  # [B, H/8, W/8, C]
        for group in self.groups:
            tokens = group(tokens, code, routing, trace)
        y: Tensor = self.coarse(self.merge(to_tokens(tokens, 2)), code, None, None)  # [B, H/16, W/16, M]
        return y


class Synthesis(nn.Module):
    """g_s: y_hat after the inverse gain [B, h, w, M] -> picture [B, 16h, 16w, 3], not clamped."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        sides = dict(config.sides)
        self.coarse = _coarse(config)
        self.split = nn.Linear(config.latent_channels, 4 * config.channels)
        self.groups = nn.ModuleList(
            Group(config.channels, depth, edge_kit(config.mixer), sides, config.main_adapter)
            for depth in config.synthesis_depths
        )
        self.paint = nn.Linear(config.channels, 3 * TOKEN_PIXELS**2)

    def shared(self, y: Tensor, code: Tensor) -> Tensor:
        """What all paths have in common: y -> tokens [B, 2h, 2w, C]."""
        return from_tokens(self.split(self.coarse(y.to(self.split.weight.dtype), code, None, None)), 2)

    def forward(self, tokens: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """One path's picture from the shared tokens."""
        for group in self.groups:
            tokens = group(tokens, code, routing, trace)
        return from_tokens(self.paint(tokens), TOKEN_PIXELS) + 0.5


class HyperAnalysis(nn.Module):
    """h_a: y before the gain [B, h, w, M] -> z [B, h/4, w/4, K]."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        width = config.features
        self.reduce = nn.Linear(config.latent_channels, width)
        self.down1 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.project = nn.Linear(width, config.hyper_channels)

    def forward(self, y: Tensor) -> Tensor:
        """Return z, before the hyper gain."""
        x = leaky(self.reduce(y))
        x = leaky(conv_nhwc(self.down1, x))
        x = leaky(conv_nhwc(self.down2, x))
        z: Tensor = self.project(x)
        return z


def _reach(coarse_depth: int, depths: tuple[int, ...]) -> int:
    """Return how far, in pixels, one side's output depends on its input, in whole routing windows.

    Seen from the latent: a 3x3 mixer reaches one position per block, and routing makes a whole window depend on
    what any of its tokens depends on.
    """
    reach = 0
    for depth in depths:
        reach = padded(reach + TOKEN_PIXELS * depth)
    return padded(reach + LATENT_PIXELS * coarse_depth)


def analysis_reach(config: EdgeConfig) -> int:
    """Return the margin, in pixels, that makes a strip's latents independent of where the picture was cut."""
    coarse_first = padded(LATENT_PIXELS * config.coarse_depth)
    return coarse_first + _reach(0, config.analysis_depths)


def synthesis_reach(config: EdgeConfig) -> int:
    """Return the margin, in pixels, that makes a strip's picture independent of where the picture was cut."""
    return _reach(config.coarse_depth, config.synthesis_depths)
