"""The transforms g_a, g_s and h_a: tokens of 8x8 pixels through multi-path blocks, in NHWC throughout.

::

    g_a  picture -/8-> 1x1 -> group, group, group -/2-> 1x1 -> coarse blocks -> y      [B, H/16, W/16, M]
    g_s  y_hat -> coarse blocks -> 1x1 -x2-> group, group, group -> 1x1 -x8-> picture
    h_a  y -> 3x3/2 -> 3x3/2 -> 1x1 -> z                                               [B, H/64, W/64, K]

A group is a predictor and the blocks that share its choice of paths. Every block starts as the identity, so the
untrained transforms are linear; ``linear_init`` in the lab sets them to a block KLT.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath import octets
from manypath.digits import Digits, digits, product
from manypath.edge.config import EdgeConfig
from manypath.geometry import LATENT_PIXELS, TOKEN_PIXELS, padded
from manypath.image import as_bytes, from_squares, from_tokens, to_squares, to_tokens
from manypath.kept import Kept
from manypath.multipath.blocks import Group, Kit
from manypath.multipath.layers import SLOPE, Branch, Layers, PathMLP, conv_nhwc, leaky, zeroed
from manypath.multipath.routing import LOW, Predictor, Routing, Scope, Trace
from manypath.network import AnalysisTransform, SynthesisTransform
from manypath.products import Linear, linear, packed


class DepthwiseMixer(Branch):
    """1x1, depthwise 3x3, 1x1 (the mixer of DCVC-RT's blocks). Starts as zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = Linear(channels, channels)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.project = zeroed(Linear(channels, channels))

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer."""
        return conv_nhwc(self.spatial, self.expand.rectified(x, SLOPE))


KIT = Kit(DepthwiseMixer, PathMLP, Predictor, Scope.WINDOW, skip=False)


def _coarse(config: EdgeConfig) -> Group:
    return Group(config.coarse_channels, config.coarse_depth, KIT, {})


def _by_tokens(weight: Tensor) -> Tensor:
    """Order rows of a weight, one a sample of 16x16 pixels in reading order, as ``to_squares`` orders the samples."""
    samples = weight.view(2, TOKEN_PIXELS, 2, TOKEN_PIXELS, -1, weight.shape[1])
    return samples.transpose(1, 2).reshape(weight.shape)


class _Floats(NamedTuple):
    """A layer for samples in 0..255 as float32."""

    weight: Tensor
    bias: Tensor


_PixelLayer = _Floats | Digits


def _of_samples(layer: nn.Linear, weight: Tensor, *, in_digits: bool) -> _PixelLayer:
    """Return a layer of samples around zero for samples in 0..255, with its weight in the squares' order."""
    bias = -0.5 * weight.sum(1)
    if layer.bias is not None:
        bias = bias + layer.bias
    weight = (weight / 255.0).contiguous()
    return digits(weight, bias) if in_digits else _Floats(packed(weight), bias)


def _seen(samples: Tensor, layer: _PixelLayer) -> Tensor:
    return product(samples, layer) if isinstance(layer, Digits) else linear(samples, layer.weight, layer.bias)


class Analysis(AnalysisTransform):
    """g_a: picture [B, H, W, 3] in [0, 1], sides multiples of 64 -> y [B, H/16, W/16, M]."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        self.embed = Linear(3 * TOKEN_PIXELS**2, config.channels)
        self.groups: Layers[Group] = Layers(
            Group(config.channels, depth, KIT, {LOW: "bottleneck"}) for depth in config.analysis_depths
        )
        self.merge = Linear(4 * config.channels, config.coarse_channels)
        self.coarse = _coarse(config)
        self.detail: Linear | None = None  # a linear branch beside the blocks, always in float32
        if config.detail_channels:
            self.detail = Linear(3 * LATENT_PIXELS**2, config.detail_channels, bias=False)
        self._kept: Kept[list[_PixelLayer]] = Kept()

    def forward(self, x: Tensor, code: Tensor, routing: Routing, trace: Trace | None = None) -> Tensor:
        """Return y, before the gain."""
        x = x - 0.5
        tokens = self.embed(to_tokens(x.to(self.embed.weight.dtype), TOKEN_PIXELS))  # [B, H/8, W/8, C]
        y = self._coarse_latents(tokens, code, routing, trace)
        if self.detail is None:
            return y
        with torch.autocast(x.device.type, enabled=False):  # symbols of high qualities need more than 8 bits
            detail = self.detail(to_tokens(x.float(), LATENT_PIXELS))
        return torch.cat((y.float(), detail), -1)  # [B, H/16, W/16, M]

    def of_pixels(self, pixels: Tensor, code: Tensor, routing: Routing, trace: Trace | None = None) -> Tensor:
        """Return y of uint8 [B, H, W, 3]: bytes are rearranged once for both branches, and scaled by the weights.

        Where the blocks take other numbers than float32, bytes are multiplied as they are if the processor does that.
        """
        rounds = self.groups[0].predictors[LOW].reduce.weight.dtype != torch.float32  # any group has one, if no block
        in_digits = rounds and octets.served(code)
        layers = [self.embed] if self.detail is None else [self.embed, self.detail]
        sources = [source for layer in layers for source in layer.parameters()]
        with torch.autocast(pixels.device.type, enabled=False):  # what is kept is for one type
            embed, *detail = self._kept.get(lambda: self._for_pixels(in_digits=in_digits), *sources, key=in_digits)
            squares = to_squares(pixels)
            if not in_digits:
                squares = squares.to(self.embed.weight.dtype)
            b, h, w, _ = squares.shape
            tokens = _seen(squares.view(b, h, w, 4, -1), embed)
            seen = [_seen(squares, layer) for layer in detail]
        y = self._coarse_latents(from_tokens(tokens.flatten(3), 2), code, routing, trace)
        return torch.cat((y.float(), *seen), -1) if seen else y

    def _for_pixels(self, *, in_digits: bool) -> list[_PixelLayer]:
        made = [_of_samples(self.embed, self.embed.weight, in_digits=in_digits)]
        if self.detail is not None:
            weight = _by_tokens(self.detail.weight.T).T
            made.append(_of_samples(self.detail, weight, in_digits=in_digits))
        return made

    def _coarse_latents(self, tokens: Tensor, code: Tensor, routing: Routing, trace: Trace | None) -> Tensor:
        """Return what the blocks make of tokens [B, H/8, W/8, C]: [B, H/16, W/16, M or less]."""
        for group in self.groups:
            tokens = group(tokens, code, routing, trace, own=True)
        y: Tensor = self.coarse(self.merge(to_tokens(tokens, 2)), code, None, None, own=True)
        return y


class Shared(NamedTuple):
    """What all paths of a synthesis have in common.

    Attributes:
        tokens: [B, 2h, 2w, C].
        detail: of the detail branch, squares [B, h, w, 4 * 8*8*3], each token's samples together; float32.
    """

    tokens: Tensor
    detail: Tensor | None


class Synthesis(SynthesisTransform):
    """g_s: y_hat after the inverse gain [B, h, w, M] -> picture [B, 16h, 16w, 3], not clamped."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        sides = dict(config.sides)
        self.coarse = _coarse(config)
        self.split = Linear(config.coarse_channels, 4 * config.channels)
        self.groups: Layers[Group] = Layers(
            Group(config.channels, depth, KIT, sides) for depth in config.synthesis_depths
        )
        self.paint = Linear(config.channels, 3 * TOKEN_PIXELS**2)
        self.coarse_channels = config.coarse_channels
        self.detail: Linear | None = None
        if config.detail_channels:
            self.detail = Linear(config.detail_channels, 3 * LATENT_PIXELS**2, bias=False)
        self._kept_detail: Kept[Tensor] = Kept()
        self._kept_paint: Kept[tuple[Tensor, Tensor]] = Kept()

    def shared(self, y: Tensor, code: Tensor) -> Shared:
        """What all paths have in common, of y."""
        coarse = y[..., : self.coarse_channels].to(self.split.weight.dtype)
        tokens = from_tokens(self.split(self.coarse(coarse, code, None, None)), 2)
        if self.detail is None:
            return Shared(tokens, None)
        own = self.detail.weight
        with torch.autocast(y.device.type, enabled=False):
            weight = self._kept_detail.get(lambda: packed(_by_tokens(own)), own)
            return Shared(tokens, linear(y[..., self.coarse_channels :].float(), weight))

    def forward(self, shared: Shared, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """One path's picture from what all have in common."""
        painted = self.paint(self._transformed(shared.tokens, code, routing, trace))
        if shared.detail is not None:
            painted = painted + from_tokens(shared.detail, 2)  # float32, whatever the blocks compute in
        return from_tokens(painted, TOKEN_PIXELS) + 0.5

    def to_pixels(self, shared: Shared, code: Tensor, routing: Routing | None, trace: Trace | None = None) -> Tensor:
        """One path's picture as uint8 [B, 16h, 16w, 3]; both branches are added in squares, and rearranged as bytes."""
        tokens = to_tokens(self._transformed(shared.tokens, code, routing, trace), 2)
        own, bias = self.paint.weight, self.paint.bias
        with torch.autocast(tokens.device.type, enabled=False):  # what is kept is for one type
            weight, middle = self._kept_paint.get(lambda: (packed(own), bias + 0.5), own, bias)
            squares = linear(tokens.to(own.dtype).view(*tokens.shape[:3], 4, -1), weight, middle).float().flatten(3)
        if shared.detail is not None:
            squares.add_(shared.detail)
        return from_squares(as_bytes(squares.mul_(255.0)))

    def _transformed(self, shared: Tensor, code: Tensor, routing: Routing | None, trace: Trace | None) -> Tensor:
        tokens = shared
        for (
            group
        ) in self.groups:  # those of other paths, too, are left as they are; a group without blocks returns them
            tokens = group(tokens, code, routing, trace, own=tokens is not shared)
        return tokens


class HyperAnalysis(nn.Module):
    """h_a: y before the gain [B, h, w, M] -> z, float32 [B, h/4, w/4, K].

    Only the encoder computes it, so it may compute in any type.
    """

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        width = config.features
        self.reduce = Linear(config.latent_channels, width)
        self.down1 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.project = Linear(width, config.hyper_channels)

    def forward(self, y: Tensor) -> Tensor:
        """Return z, before the hyper gain."""
        x = self.reduce.rectified(y.to(self.reduce.weight.dtype), SLOPE)
        x = leaky(conv_nhwc(self.down1, x))
        x = leaky(conv_nhwc(self.down2, x))
        z: Tensor = self.project(x).float()
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
