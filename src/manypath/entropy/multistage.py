"""The published context model: four slices in nine passes, in float32, computed only where each pass serves.

A slice is coded in passes over a 2x2 pattern of positions. Its entropy parameters stand on three legs: the hyper
features, the slices before it (dense convolutions, once per slice), and from the second pass on the slice's own
positions before it (a masked convolution, at the pass's positions only). The networks' first layers read all three at
once; since they are linear, each leg's share is computed where it is cheapest, and the sum is what the published
concatenation gives.

Floats are not equal on all machines: the symbols' checksum in the stream tells when the two ends disagree.

Source: MPA section 3.2, TinyLIC (arXiv 2204.11448).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.config import TinyLICConfig
from manypath.entropy.bounds import clamp_through
from manypath.entropy.context import Step, Visitor
from manypath.entropy.tables import SCALE_MIN, SCALES, Tables, gaussian_row, stack
from manypath.mixers import conv_nhwc

SCALE_MAX = 256.0
LIKELIHOOD_FLOOR = 1e-9


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


def schedule(config: TinyLICConfig) -> tuple[Step, ...]:
    """Return the steps of a model, in coding order."""
    steps: list[Step] = []
    start = 0
    for number, (width, name) in enumerate(zip(config.slices, config.patterns, strict=True)):
        passes = len(PATTERNS[name].passes)
        steps += [Step(len(steps) + stage, number, stage, passes, start, width) for stage in range(passes)]
        start += width
    return tuple(steps)


@functools.lru_cache(maxsize=64)
def positions(height: int, width: int, pattern: str, stage: int, device: torch.device) -> Tensor:
    """Return the flattened positions int64 [P] of one pass on a height x width grid, in reading order."""
    with torch.inference_mode(mode=False):  # what is cached must serve training as well
        grid = torch.arange(height * width, device=device)
        row, column = grid // width % 2, grid % width % 2
        chosen = torch.zeros_like(grid, dtype=torch.bool)
        for r, c in PATTERNS[pattern].passes[stage]:
            chosen |= (row == r) & (column == c)
        return grid[chosen]


@functools.lru_cache(maxsize=64)
def _neighbours(height: int, width: int, pattern: str, stage: int, device: torch.device) -> Tensor:
    """Return for each position of a pass the places of what it sees, int64 [P, taps], in the grid with a border."""
    with torch.inference_mode(mode=False):
        reach = PATTERNS[pattern].kernels[stage - 1] // 2
        where = positions(height, width, pattern, stage, device)
        wide = width + 2 * reach
        centre = (where // width + reach) * wide + where % width + reach
        taps = torch.tensor([r * wide + c for r, c in PATTERNS[pattern].masks[stage - 1]], device=device)
        return centre[:, None] + taps


class SliceNetwork(nn.Module):
    """One slice's networks but for what all slices read from the features, which ``MultistageContext`` holds.

    Attributes:
        near: the masked convolutions of the second and later passes.
        seen: first layer of the channel network, its share of earlier slices.
        channel1: second layer of the channel network; ``channel2`` the third.
        from_channel: first layer of the entropy parameters, its share of the channel network.
        from_near: the same of the masked convolutions.
        hidden: second layer of the entropy parameters.
        output: third layer: scales, then means.
    """

    def __init__(self, start: int, width: int, pattern: str) -> None:
        super().__init__()
        first, second = entropy_widths(width, pattern)
        self.pattern = pattern
        self.width = width
        kernels = PATTERNS[pattern].kernels
        self.near = nn.ModuleList(nn.Conv2d(width, 2 * width, side, padding=side // 2) for side in kernels)
        self.seen = nn.Conv2d(start, width, 5, padding=2, bias=False) if start else None
        self.channel1 = nn.Conv2d(width, width, 5, padding=2)
        self.channel2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.from_channel = nn.Linear(2 * width, first, bias=False)
        self.from_near = nn.Linear(2 * width, first, bias=False) if kernels else None
        self.hidden = nn.Linear(first, second)
        self.output = nn.Linear(second, 2 * width)

    def channel(self, first: Tensor, seen: Tensor | None) -> Tensor:
        """Return the channel network's share of the first hidden layer, [B, h*w, first]."""
        if self.seen is not None and seen is not None:
            first = first + conv_nhwc(self.seen, seen)
        x = F.gelu(conv_nhwc(self.channel1, F.gelu(first)))
        out: Tensor = self.from_channel(conv_nhwc(self.channel2, x)).flatten(1, 2)
        return out

    def nearby(self, own: Tensor, stage: int, grid: tuple[int, int]) -> Tensor:
        """Return the masked convolution's share of the first hidden layer at a pass's positions, [B, P, first].

        Args:
            own: the slice as decoded so far, zeros elsewhere, [B, h*w, width].
            stage: which pass, at least 1.
            grid: h and w.
        """
        b, (h, w) = own.shape[0], grid
        conv = self.near[stage - 1]
        assert isinstance(conv, nn.Conv2d)  # for the type checker
        assert conv.bias is not None
        reach = conv.kernel_size[0] // 2
        wide = F.pad(own.view(b, h, w, -1), (0, 0, reach, reach, reach, reach)).flatten(1, 2)
        seen = wide[:, _neighbours(h, w, self.pattern, stage, own.device)].flatten(2)  # [B, P, taps * width]
        taps = [(row + reach, column + reach) for row, column in PATTERNS[self.pattern].masks[stage - 1]]
        kept = torch.stack([conv.weight[:, :, row, column] for row, column in taps], 1).flatten(1)
        assert self.from_near is not None
        out: Tensor = self.from_near(F.linear(seen, kept, conv.bias))
        return out

    def finish(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return scales and means from the first hidden layer's sums, [B, P, width] each."""
        raw = self.output(F.gelu(self.hidden(F.gelu(first))))
        return clamp_through(raw[..., : self.width], SCALE_MIN), raw[..., self.width :]


def entropy_widths(width: int, pattern: str) -> tuple[int, int]:
    """Return the widths of the entropy parameters' two hidden layers."""
    if PATTERNS[pattern].kernels:
        return 10 * width // 3, 8 * width // 3
    return 2 * width, 2 * width


class MultistageContext(nn.Module):
    """The schedule's networks; ``walk`` is the only way through them."""

    SKIPS = False  # every symbol is coded, as in the published streams

    def __init__(self, config: TinyLICConfig) -> None:
        super().__init__()
        self.schedule = schedule(config)
        self.patterns = config.patterns
        self.splits = list(config.slices)
        widths = [entropy_widths(width, name)[0] for width, name in zip(config.slices, config.patterns, strict=True)]
        self.first_widths = widths
        self.features_conv = nn.Conv2d(2 * config.latent_channels, sum(config.slices), 5, padding=2)
        self.features_hidden = nn.Linear(2 * config.latent_channels, sum(widths))
        starts = [sum(config.slices[:number]) for number in range(len(config.slices))]
        self.slices = nn.ModuleList(
            SliceNetwork(*own) for own in zip(starts, config.slices, config.patterns, strict=True)
        )

    def walk(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Visit each step in order and return y_hat, float32 [B, h, w, M].

        Args:
            features: from the hyper-synthesis, [B, h, w, 2M].
            code: quality codes; not used, the context lives in the gained domain.
            visit: turns means and scale indexes into y_hat at the step's positions.
        """
        return self.walk_scales(
            features, lambda step, where, means, scales: visit(step, where, means, scale_index(scales))
        )

    def walk_scales(self, features: Tensor, visit: Visitor) -> Tensor:
        """Walk as ``walk`` does, with standard deviations in place of their indexes."""
        b, h, w, _ = features.shape
        convolved = torch.split(conv_nhwc(self.features_conv, features), self.splits, -1)
        hidden = torch.split(self.features_hidden(features).flatten(1, 2), self.first_widths, -1)
        decoded: list[Tensor] = []
        first = own = features.new_zeros(0)
        for step in self.schedule:
            network = self.slices[step.slice]
            assert isinstance(network, SliceNetwork)  # for the type checker
            if step.stage == 0:
                seen = torch.cat(decoded, -1).view(b, h, w, -1) if decoded else None
                first = hidden[step.slice] + network.channel(convolved[step.slice], seen)
                own = features.new_zeros(b, h * w, step.width)
            where = positions(h, w, network.pattern, step.stage, features.device)
            sums = first if step.stages == 1 else first[:, where]
            if step.stage:
                sums = sums + network.nearby(own, step.stage, (h, w))
            scales, means = network.finish(sums)
            own = own.index_copy(1, where, visit(step, where, means, scales))
            if step.stage == step.stages - 1:
                decoded.append(own)
        return torch.cat(decoded, -1).view(b, h, w, -1)


@functools.lru_cache(maxsize=8)
def _boundaries(device: torch.device) -> Tensor:
    """Return the scale table without its last entry, float32 [63]."""
    with torch.inference_mode(mode=False):
        return torch.tensor(scale_table()[:-1], dtype=torch.float32, device=device)


def scale_table() -> list[float]:
    """Return the 64 standard deviations, geometric from 0.11 to 256."""
    return [SCALE_MIN * (SCALE_MAX / SCALE_MIN) ** (number / (SCALES - 1)) for number in range(SCALES)]


def scale_index(scales: Tensor) -> Tensor:
    """Return the place of the smallest table entry that is not below each scale, int64."""
    return torch.bucketize(scales, _boundaries(scales.device))


def gaussian_tables() -> Tables:
    """Return the tables of the latent, one per entry of the scale table."""
    return stack([gaussian_row(scale) for scale in scale_table()])


def gaussian_bits(distance: Tensor, scales: Tensor) -> Tensor:
    """Return the bits of values that lie ``distance`` from their means, rounded or under uniform noise."""
    away = distance.abs()
    root = scales * math.sqrt(2.0)
    likelihood = 0.5 * (torch.erfc((away - 0.5) / root) - torch.erfc((away + 0.5) / root))
    return -torch.log2(likelihood.clamp_min(LIKELIHOOD_FLOOR))
