"""The context schedule: slices times stages, written once and walked by estimate, encode and decode.

Latent channels are coded slice by slice; a slice with two stages is coded on the even positions of a checkerboard
first and on the odd ones second. Each step is a small integer network that reads the hyper features, the slices
before it and the stage before it, and says for each of its positions a mean (a multiple of 1/16) and an index into
the scale table. A visitor turns those into y_hat: by rounding (estimate), rounding and noting the symbols (encode),
or reading symbols (decode).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from manypath.edge.config import EdgeConfig
from manypath.edge.integer import (
    FRACTION,
    SIGNED,
    UNSIGNED,
    WIDE,
    IntegerDepthwise,
    IntegerGain,
    IntegerLinear,
    IntegerOffset,
    on_grid,
)
from manypath.entropy.rounding import clamp_through, round_through
from manypath.entropy.schedule import Step, Visitor, at, schedule
from manypath.entropy.tables import SCALE_MAX, SCALE_MIN, SCALES
from manypath.kept import Kept
from manypath.multipath.layers import Layers
from manypath.octets import CENTRE, Packed, counted_from_centre, depthwise, floats, octets, served
from manypath.products import linear
from manypath.transfers import cached_by_stream

MEAN_BITS = 4  # means and y_hat are multiples of 1/16
MEAN_BOUNDS = (-(2**18), 2**18)  # in 1/16
LATENT_BOUND = 2047.0  # |y_hat| that the context sees; 16 bits in 1/16, so the product with a gain is exact
INDEX_GAIN = 8.0  # scale indexes per unit of a step's output
LOG_SCALE_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)


def index_to_scale(index: Tensor) -> Tensor:
    """Return the standard deviation of a (float) scale index."""
    return SCALE_MIN * torch.exp(index * LOG_SCALE_STEP)


@cached_by_stream(64)
def positions(height: int, width: int, stages: int, stage: int, device: torch.device) -> Tensor:
    """Return the flattened positions int64 [P] of one stage on a height x width grid, in reading order."""
    grid = torch.arange(height * width, device=device)
    if stages == 1:
        return grid
    parity = (grid // width + grid % width) % 2
    return grid[parity == stage]


@cached_by_stream(64)
def _rows(height: int, width: int, filled: int, device: torch.device) -> Tensor:
    """Return where each position's latents lie, int64 [h * w], where one stage's follow another's.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        filled: 2 if the second stage's follow the first's, 1 if one row stands for all of them.
        device: of the answer.
    """
    first, second = (positions(height, width, 2, stage, device) for stage in range(2))
    rows = torch.full((height * width,), len(first), device=device)
    rows[first] = torch.arange(len(first), device=device)
    if filled == 2:
        rows[second] += torch.arange(len(second), device=device)
    return rows


class _PackedStep(NamedTuple):
    """A step's layers for products of bytes, each with its bias.

    Attributes:
        near: of the depthwise layer.
        hidden: of the hidden one.
        output: of the last one.
        bounded: whether no output can leave ``WIDE``.
    """

    near: tuple[Packed, Tensor] | None
    hidden: tuple[Packed, Tensor]
    output: tuple[Packed, Tensor]
    bounded: bool


class ContextStep(nn.Module):
    """One step's network: (features, seen latents) -> means and scale indexes."""

    def __init__(self, config: EdgeConfig, step: Step) -> None:
        super().__init__()
        seen = step.start + (step.width if step.stage else 0)
        self.width, self.features = step.width, config.features
        self._kept: Kept[tuple[Tensor, Tensor, Tensor]] = Kept()
        self._packed: Kept[_PackedStep | None] = Kept()
        self._offset: Kept[Tensor] = Kept()
        self.near = IntegerDepthwise(seen, 2) if seen else None
        self.hidden = IntegerLinear(config.features + 2 * seen, config.context_width)
        self.offset = IntegerOffset(config.context_width)
        self.output = IntegerLinear(config.context_width, 2 * step.width)
        with torch.no_grad():
            self.output.weight.mul_(0.1)

    def forward(self, tokens: Tensor, seen: Tensor | None, where: Tensor, code: Tensor) -> Tensor:
        """Return the raw outputs, integers [B, P, 2*width], in steps of 2^-5.

        Args:
            tokens: features at the step's positions, [B, P, F].
            seen: latents before this step on the whole grid, [B, h, w, seen].
            where: the step's positions, [P].
            code: quality codes, int64 [B], or [1] for all.
        """
        own, beside, bias = self._hidden()
        near = self.near
        hidden = linear(tokens, own, bias)
        if near is not None and seen is not None:
            around = at(on_grid(near(seen), SIGNED).flatten(1, 2), where)
            # the sums are exact, so it does not matter that they are made in two parts
            hidden = linear(around, beside, plus=hidden)
        hidden = on_grid(_plus(hidden, (self.offset(code) * 2.0**FRACTION)[:, None]), UNSIGNED)
        return on_grid(self.output(hidden), WIDE)

    def of_octets(
        self, layers: _PackedStep, tokens: Tensor, seen: Sequence[Tensor], where: Tensor, code: int
    ) -> Tensor:
        """Return what ``forward`` does, the same integers in a third of the time.

        Args:
            layers: of this step.
            tokens: features at the step's positions, uint8 [B, P, F].
            seen: latents before this step on the whole grid, uint8 [B, h, w, some] that are counted from ``CENTRE``.
            where: the step's positions, [P].
            code: one quality code for all.
        """
        if layers.near is not None:
            around = depthwise(torch.cat((*seen, *seen), -1), *layers.near, CENTRE)
            tokens = torch.cat((tokens, at(around.flatten(1, 2), where)), -1)
        hidden, plain = layers.hidden
        table = self.offset.table
        bias = self._offset.get(lambda: plain + table[code] * 2.0**FRACTION, plain, table, key=code)
        raw = floats(octets(tokens, hidden, bias), *layers.output)
        return raw.round_() if layers.bounded else on_grid(raw, WIDE)

    def packed(self) -> _PackedStep | None:
        """Return the layers packed; None where they still learn, or where an offset leaves no room in float32."""
        layers = [layer for layer in (self.near, self.hidden, self.output) if layer is not None]
        if not all(layer.frozen for layer in layers) or not self.offset.table.numel():
            return None
        sources = [source for layer in layers for source in (layer.weight, layer.bias)]
        return self._packed.get(self._pack, *sources, self.offset.table)

    def _pack(self) -> _PackedStep | None:
        near = self.near
        if not self.hidden.holds(self.offset.table * 2.0**FRACTION) or (near is not None and not near.holds(CENTRE)):
            return None
        own, beside, _ = self._hidden()
        hidden = self.hidden.packed(beside.shape[1], torch.cat((own, beside), 1))
        around = near.packed(CENTRE) if near is not None else None
        bounded = bool((self.output.largest() <= WIDE[1]).all())
        return _PackedStep(around, hidden, self.output.packed(), bounded)

    def _hidden(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the hidden layer's weights of the features, those of what is near, and its bias."""
        return self._kept.get(self._parts, self.hidden.weight, self.hidden.bias)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias = self.hidden.quantised()
        own, beside = weight[:, : self.features], weight[:, self.features :]
        if self.near is not None:
            beside = self.near.as_it_comes_out(beside, 1)
        return own.contiguous(), beside.contiguous(), bias


def _plus(x: Tensor, y: Tensor) -> Tensor:
    return x + y if torch.is_grad_enabled() else x.add_(y)


class ContextModel(nn.Module):
    """The schedule's networks and the tables that carry them across qualities."""

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        latent = config.latent_channels
        self.schedule = schedule(config.slices, config.stages)
        self.steps: Layers[ContextStep] = Layers(ContextStep(config, step) for step in self.schedule)
        self.seen_gain = IntegerGain(latent)  # y_hat -> what later steps see
        self.mean_gain = IntegerGain(latent)  # a step's output -> a mean
        self.index_offset = IntegerOffset(latent, bits=0)
        self._carried: Kept[tuple[Tensor, Tensor, Tensor]] = Kept()

    def walk(self, features: Tensor, code: Tensor, visit: Visitor) -> Tensor:
        """Visit each step in order and return y_hat, float32 [B, h, w, M], multiples of 1/16 where decoded.

        Args:
            features: from ``HyperSynthesis``, [B, h, w, F].
            code: quality codes, int64 [B], or [1] for all.
            visit: turns means and indexes into y_hat at the step's positions.
        """
        h, w = features.shape[1:3]
        packed = self._packed(code)
        every, zero, number = features.flatten(1, 2), 0, 0
        if packed is not None:
            every, zero, number = every.to(torch.int16).to(torch.uint8), CENTRE, int(code[0])
            tables = (gain.table for gain in (self.mean_gain, self.seen_gain, self.index_offset))
            mean_gain, seen_gain, offset = self._carried.get(lambda: self._carry(code[:1]), *tables, key=number)
        else:
            mean_gain, seen_gain, offset = self._carry(code)
        tokens: dict[tuple[int, int], Tensor] = {}
        decoded: list[Tensor] = []
        seen: list[Tensor] = []
        own: list[Tensor] = []  # y_hat of a slice's stages
        own_seen: list[Tensor] = []  # what later steps see of them
        for step, network in zip(self.schedule, self.steps, strict=True):
            span = slice(step.start, step.start + step.width)
            where = positions(h, w, step.stages, step.stage, features.device)
            kind = (step.stages, step.stage)
            if kind not in tokens:
                tokens[kind] = at(every, where)
            context = [*seen, _laid(own_seen, step, h, w, zero)] if own_seen else seen
            if packed is not None:
                raw = network.of_octets(packed[step.number], tokens[kind], context, where, number)
            else:
                raw = network(tokens[kind], torch.cat(context, -1) if context else None, where, code)
            means = _scaled(on_grid(raw[..., : step.width] * mean_gain[..., span], MEAN_BOUNDS), 2.0**-MEAN_BITS)
            indexes = _index(raw[..., step.width :], offset[..., span])
            own.append(visit(step, where, means, indexes))
            if step.number + 1 < len(self.schedule):
                shown = self._seen(own[-1], seen_gain[..., span])
                own_seen.append(shown if packed is None else counted_from_centre(shown))
            if step.stage == step.stages - 1:
                decoded.append(_laid(own, step, h, w, 0))
                if own_seen:
                    seen.append(_laid(own_seen, step, h, w, zero))
                own, own_seen = [], []
        return torch.cat(decoded, -1)

    def _carry(self, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what carries steps across qualities, [B, 1, M] each.

        Returns:
            From outputs, in steps of 2^-5, to means in steps of 2^-4; from values of y_hat to steps of 2^-5; and what
            is added to scale indexes.
        """
        mean_gain = self.mean_gain(code)[:, None] * 2.0 ** (MEAN_BITS - FRACTION)
        seen_gain = self.seen_gain(code)[:, None] * 2.0**FRACTION
        return mean_gain, seen_gain, self.index_offset(code)[:, None]

    def _packed(self, code: Tensor) -> list[_PackedStep] | None:
        """Return all steps' layers for products of bytes, if bytes are to be multiplied."""
        if not served(code):
            return None
        steps = [network.packed() for network in self.steps]
        return None if None in steps else [step for step in steps if step is not None]

    def _seen(self, y_hat: Tensor, gain: Tensor) -> Tensor:
        return on_grid(y_hat.clamp(-LATENT_BOUND, LATENT_BOUND) * gain, SIGNED)


def _laid(stages: Sequence[Tensor], step: Step, h: int, w: int, zero: int) -> Tensor:
    """Lay the stages of a slice, each [B, P, width], on its grid: [B, h, w, width].

    Args:
        stages: those up to ``step``, or before it.
        step: of the slice.
        h: rows of the grid.
        w: columns of the grid.
        zero: what stands where stages are missing.
    """
    x = stages[0]
    if step.stages > 1:
        second = stages[1] if len(stages) > 1 else x.new_full((x.shape[0], 1, x.shape[2]), zero)
        x = torch.cat((x, second), 1).index_select(1, _rows(h, w, len(stages), x.device))
    return x.view(x.shape[0], h, w, -1)


def _scaled(x: Tensor, factor: float) -> Tensor:
    return x * factor if torch.is_grad_enabled() else x.mul_(factor)


def _index(raw: Tensor, offset: Tensor) -> Tensor:
    """Return scale indexes of a step's outputs, which are in steps of 2^-5."""
    indexes = torch.add(offset, raw, alpha=INDEX_GAIN * 2.0**-FRACTION)
    if not torch.is_grad_enabled():
        return indexes.clamp_(0.0, SCALES - 1.0).round_()
    return round_through(clamp_through(indexes, 0.0, SCALES - 1.0))
