"""The published context model: four slices in nine passes, computed only where each pass serves.

A slice is coded in passes over a 2x2 pattern of positions. Its entropy parameters stand on three legs: the hyper
features, the slices before it (dense convolutions, once per slice), and from the second pass on the slice's own
positions before it (a masked convolution, at the pass's positions only). The networks' first layers read all three at
once; since they are linear, each leg's share is computed where it is cheapest, and the sum is what the published
concatenation gives.

Its layers are floats as trained, or integers made of them (``fixed``). Floats are not equal on all machines: there the
symbols' checksum in the stream tells when the two ends disagree.

Source: MPA section 3.2, TinyLIC (arXiv 2204.11448).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.entropy.rounding import clamp_through
from manypath.entropy.schedule import Visitor, schedule
from manypath.entropy.tables import SCALE_MIN, SCALES, Tables, gaussian_row, stack
from manypath.multipath.layers import Layers, conv_nhwc
from manypath.tinylic.config import TinyLICConfig
from manypath.tinylic.fixed_point import UNIT, FixedConv, FixedGelu, FixedLinear
from manypath.transfers import cached_by_stream

SCALE_MAX = 256.0
LIKELIHOOD_FLOOR = 1e-9
Activation = Callable[[Tensor], Tensor]


class Pattern(NamedTuple):
    """How a slice's positions are shared out to its passes.

    Attributes:
        passes: for each pass the (row parity, column parity) pairs that it codes.
        kernels: side of the masked convolution of each pass but the first.
        masks: which (row, column) offsets each of these sees, as (0, 0) in the middle.
    """

    passes: tuple[tuple[tuple[int, int], ...], ...]
    kernels: tuple[int, ...]
    masks: tuple[tuple[tuple[int, int], ...], ...]


def _offsets(kernel: int, seen: str) -> tuple[tuple[int, int], ...]:
    reach = range(-(kernel // 2), kernel // 2 + 1)
    every = [(row, column) for row in reach for column in reach]
    if seen == "corners":
        return tuple(o for o in every if abs(o[0]) == abs(o[1]) == kernel // 2)
    if seen == "checkerboard":
        return tuple(o for o in every if (o[0] + o[1]) % 2)
    return tuple(o for o in every if o[0] % 2 or o[1] % 2)  # all but what has the centre's parities


_EVEN, _ODD = ((0, 0), (1, 1)), ((0, 1), (1, 0))
PATTERNS = {
    "quarters": Pattern(
        (((0, 0),), ((1, 1),), ((0, 1),), ((1, 0),)),
        (3, 5, 5),
        (_offsets(3, "corners"), _offsets(5, "checkerboard"), _offsets(5, "others")),
    ),
    "odd-even": Pattern((_ODD, _EVEN), (5,), (_offsets(5, "checkerboard"),)),
    "even-odd": Pattern((_EVEN, _ODD), (5,), (_offsets(5, "checkerboard"),)),
    "all": Pattern(((*_EVEN, *_ODD),), (), ()),
}


@cached_by_stream(64)
def positions(height: int, width: int, pattern: str, stage: int, device: torch.device) -> Tensor:
    """Return the flattened positions int64 [P] of one pass on a height x width grid, in reading order."""
    grid = torch.arange(height * width, device=device)
    row, column = grid // width % 2, grid % width % 2
    chosen = torch.zeros_like(grid, dtype=torch.bool)
    for r, c in PATTERNS[pattern].passes[stage]:
        chosen |= (row == r) & (column == c)
    return grid[chosen]


@cached_by_stream(64)
def _neighbours(height: int, width: int, pattern: str, stage: int, device: torch.device) -> Tensor:
    """Return for each position of a pass the places of what it sees, int64 [P, taps], in the grid with a border."""
    reach = PATTERNS[pattern].kernels[stage - 1] // 2
    where = positions(height, width, pattern, stage, device)
    wide = width + 2 * reach
    centre = (where // width + reach) * wide + where % width + reach
    taps = torch.tensor([r * wide + c for r, c in PATTERNS[pattern].masks[stage - 1]], device=device)
    return centre[:, None] + taps


def _linear(inputs: int, outputs: int, *, integer: bool, bias: bool = True) -> nn.Module:
    return FixedLinear(inputs, outputs) if integer else nn.Linear(inputs, outputs, bias=bias)


def _conv(inputs: int, outputs: int, kernel: int, *, integer: bool, bias: bool = True) -> nn.Module:
    if integer:
        return FixedConv(inputs, outputs, kernel)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


def _convolve(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution of either kind to [B, h, w, C]."""
    if isinstance(layer, FixedConv):
        made: Tensor = layer(x)
        return made
    return conv_nhwc(layer, x)


class SliceNetwork(nn.Module):
    """One slice's networks but for what all slices read from the features, which ``ContextModel`` holds.

    Attributes:
        near: the masked convolutions of the second and later passes.
        seen: first layer of the channel network, its share of earlier slices.
        channel1: second layer of the channel network; ``channel2`` the third.
        from_channel: first layer of the entropy parameters, its share of the channel network.
        from_near: the same of the masked convolutions.
        hidden: second layer of the entropy parameters.
        output: third layer: scales, then means.
    """

    def __init__(self, start: int, width: int, pattern: str, *, integer: bool = False) -> None:
        super().__init__()
        first, second = entropy_widths(width, pattern)
        self.pattern = pattern
        self.width = width
        kernels, masks = PATTERNS[pattern].kernels, PATTERNS[pattern].masks
        self.near = nn.ModuleList(
            FixedLinear(len(mask) * width, 2 * width)
            if integer
            else nn.Conv2d(width, 2 * width, side, padding=side // 2)
            for side, mask in zip(kernels, masks, strict=True)
        )
        conv, linear = functools.partial(_conv, integer=integer), functools.partial(_linear, integer=integer)
        self.seen = conv(start, width, 5, bias=False) if start else None
        self.channel1 = conv(width, width, 5)
        self.channel2 = conv(width, 2 * width, 3)
        self.from_channel = linear(2 * width, first, bias=False)
        self.from_near = linear(2 * width, first, bias=False) if kernels else None
        self.hidden = linear(first, second)
        self.output = linear(second, 2 * width)

    def channel(self, first: Tensor, seen: Tensor | None, gelu: Activation) -> Tensor:
        """Return the channel network's share of the first hidden layer, [B, h*w, first]."""
        if self.seen is not None and seen is not None:
            first = first + _convolve(self.seen, seen)
        x = gelu(_convolve(self.channel1, gelu(first)))
        out: Tensor = self.from_channel(_convolve(self.channel2, x)).flatten(1, 2)
        return out

    def nearby(self, own: Tensor, stage: int, grid: tuple[int, int]) -> Tensor:
        """Return the masked convolution's share of the first hidden layer at a pass's positions, [B, P, first].

        Args:
            own: the slice as decoded so far, zeros elsewhere, [B, h*w, width].
            stage: which pass, at least 1.
            grid: h and w.
        """
        b, (h, w) = own.shape[0], grid
        layer = self.near[stage - 1]
        reach = PATTERNS[self.pattern].kernels[stage - 1] // 2
        wide = F.pad(own.view(b, h, w, -1), (0, 0, reach, reach, reach, reach)).flatten(1, 2)
        seen = wide[:, _neighbours(h, w, self.pattern, stage, own.device)].flatten(2)  # [B, P, taps * width]
        if isinstance(layer, nn.Conv2d):
            near = F.linear(seen, kept_taps(layer, self.pattern, stage), layer.bias)
        else:
            near = layer(seen)
        assert self.from_near is not None
        out: Tensor = self.from_near(near)
        return out

    def finish(self, first: Tensor, gelu: Activation) -> tuple[Tensor, Tensor]:
        """Return scales and means from the first hidden layer's sums, [B, P, width] each."""
        raw = self.output(gelu(self.hidden(gelu(first))))
        return clamp_through(raw[..., : self.width], SCALE_MIN), raw[..., self.width :]


def kept_taps(conv: nn.Conv2d, pattern: str, stage: int) -> Tensor:
    """Return what a pass's mask leaves of a convolution, [out, taps * in], in the order of its neighbours."""
    reach = PATTERNS[pattern].kernels[stage - 1] // 2
    taps = [(row + reach, column + reach) for row, column in PATTERNS[pattern].masks[stage - 1]]
    return torch.stack([conv.weight[:, :, row, column] for row, column in taps], 1).flatten(1)


def entropy_widths(width: int, pattern: str) -> tuple[int, int]:
    """Return the widths of the entropy parameters' two hidden layers."""
    if PATTERNS[pattern].kernels:
        return 10 * width // 3, 8 * width // 3
    return 2 * width, 2 * width


class ContextModel(nn.Module):
    """The schedule's networks; ``walk`` is the only way through them."""

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        self.schedule = schedule(config.slices, [len(PATTERNS[name].passes) for name in config.patterns])
        self.patterns = config.patterns
        self.splits = list(config.slices)
        widths = [entropy_widths(width, name)[0] for width, name in zip(config.slices, config.patterns, strict=True)]
        self.first_widths = widths
        features, integer = 2 * config.latent_channels, config.integer
        self.features_conv = _conv(features, sum(config.slices), 5, integer=integer)
        self.features_hidden = _linear(features, sum(widths), integer=integer)
        starts = [sum(config.slices[:number]) for number in range(len(config.slices))]
        self.slices: Layers[SliceNetwork] = Layers(
            SliceNetwork(*own, integer=integer) for own in zip(starts, config.slices, config.patterns, strict=True)
        )
        self.gelu = FixedGelu() if integer else None

    def walk(self, features: Tensor, visit: Visitor) -> Tensor:
        """Visit each step in order and return y_hat, float32 [B, h, w, M].

        Args:
            features: from the hyper-synthesis, [B, h, w, 2M].
            visit: turns means and standard deviations into y_hat at the step's positions.
        """
        b, h, w, _ = features.shape
        gelu: Activation = F.gelu if self.gelu is None else self.gelu
        convolved = torch.split(_convolve(self.features_conv, features), self.splits, -1)
        hidden = torch.split(self.features_hidden(features).flatten(1, 2), self.first_widths, -1)
        decoded: list[Tensor] = []
        first = own = features.new_zeros(0)
        for step in self.schedule:
            network = self.slices[step.slice]
            if step.stage == 0:
                seen = torch.cat(decoded, -1).view(b, h, w, -1) if decoded else None
                first = hidden[step.slice] + network.channel(convolved[step.slice], seen, gelu)
                own = features.new_zeros(b, h * w, step.width)
            where = positions(h, w, network.pattern, step.stage, features.device)
            sums = first if step.stages == 1 else first[:, where]
            if step.stage:
                sums = sums + network.nearby(own, step.stage, (h, w))
            scales, means = network.finish(sums, gelu)
            own = own.index_copy(1, where, visit(step, where, means, scales))
            if step.stage == step.stages - 1:
                decoded.append(own)
        return torch.cat(decoded, -1).view(b, h, w, -1).float()

    def start_scales(self, scale: float) -> None:
        """Let an untrained context say that every latent has this standard deviation, more or less."""
        for network in self.slices:
            assert isinstance(network.output, nn.Linear)  # integers are made of a model that was trained
            network.output.bias[: network.width].fill_(scale)


@cached_by_stream(8)
def _boundaries(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the scale table without its last entry, [63]; for fixed point, which is float64, on its grid."""
    table = torch.tensor(scale_table()[:-1], dtype=torch.float64, device="cpu")
    if dtype == torch.float64:
        table = torch.round(table * UNIT) / UNIT
    return table.to(device, dtype)


def scale_table() -> list[float]:
    """Return the 64 standard deviations, geometric from 0.11 to 256."""
    return [SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (number / (SCALES - 1)) for number in range(SCALES)]


def scale_index(scales: Tensor) -> Tensor:
    """Return the place of the smallest table entry that is not below each scale, int64."""
    return torch.bucketize(scales, _boundaries(scales.dtype, scales.device))


def gaussian_tables() -> Tables:
    """Return the tables of the latent, one per entry of the scale table."""
    return stack([gaussian_row(scale) for scale in scale_table()])


def gaussian_bits(distance: Tensor, scales: Tensor) -> Tensor:
    """Return the bits of values that lie ``distance`` from their means, rounded or under uniform noise."""
    away = distance.abs()
    root = scales * math.sqrt(2.0)
    likelihood = 0.5 * (torch.erfc((away - 0.5) / root) - torch.erfc((away + 0.5) / root))
    return -torch.log2(likelihood.clamp_min(LIKELIHOOD_FLOOR))
