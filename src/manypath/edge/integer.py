"""Layers whose results are integers, equal on every device, thread count and instruction set.

Everything here is a dyadic rational carried in float32: weights are int8 times a power of two per output channel,
activations are int8 or uint8, counted in steps of 2^-5. Products and partial sums are then integers below 2^24 in their
own unit, so float32 adds them exactly and in any order; rescaling is a power of two and rounding is half to even.
Training runs the same arithmetic with a straight-through gradient, so what is shipped is what was trained.

A trained layer is *frozen* for release: its integers are stored and never derived from floats again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.entropy.rounding import round_through
from manypath.errors import CheckpointError
from manypath.kept import Kept
from manypath.levels import Gain, interpolate
from manypath.network import StoredLayer, within
from manypath.octets import CENTRE, Packed, pack, pack_depthwise
from manypath.products import linear
from manypath.quality import QUALITY_CODES

FRACTION = 5  # fractional bits of activations: steps of 1/32
SIGNED = (-127, 127)  # what a spatial or input activation may be, in 1/32
UNSIGNED = (0, 255)  # what a rectified activation may be, in 1/32
WIDE = (-(2**15) + 1, 2**15 - 1)  # outputs of a step, in 1/32
WEIGHT = 127  # the largest magnitude of a stored weight
BIAS = 2**31 - 1  # the largest magnitude of a stored bias
EXACT = 2**24  # float32 holds every integer up to here
MANTISSA_BITS = 8


def on_grid(x: Tensor, bounds: tuple[int, int]) -> Tensor:
    """Round to integers and clamp to ``bounds``; in place when no gradient is wanted: ``x`` must be a fresh result."""
    if not torch.is_grad_enabled():
        return x.round_().clamp_(*bounds)
    return torch.clamp(round_through(x), *bounds)


class IntegerAffine(StoredLayer):
    """A linear or depthwise layer with int8 weights; what the two share: quantising, freezing, loading.

    Attributes:
        weight: float [out, ...], trained; replaced by its integers when frozen.
        bias: float [out].
        unit: how many of a weight's integers are 1, a power of two, float32 [out]; empty until it is frozen.
    """

    STORED = ("weight", "shift", "bias")

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(weight.shape[0]))
        self.register_buffer("unit", torch.zeros(0), persistent=False)
        self.unit: Tensor
        self.frozen = False
        self._kept: Kept[tuple[Tensor, Tensor]] = Kept()

    def _shift(self) -> Tensor:
        """Per output channel, the power of two that brings the largest weight just under 127: float [out]."""
        largest = self.weight.detach().abs().flatten(1).amax(1).clamp_min(2.0**-10)
        return torch.floor(torch.log2(127.0 / largest)).clamp(0, 14)

    def quantised(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias as dyadic floats, the bias in activations' steps: activations in, activations out."""
        return self._kept.get(self._computed, self.weight, self.bias)

    def _computed(self) -> tuple[Tensor, Tensor]:
        weight, bias = self._dyadic()
        return weight, bias * 2.0**FRACTION

    def _dyadic(self) -> tuple[Tensor, Tensor]:
        if self.frozen:
            return self.weight, self.bias
        unit = torch.exp2(self._shift())
        column = unit.view(-1, *(1,) * (self.weight.dim() - 1))
        weight = torch.clamp(round_through(self.weight * column), -WEIGHT, WEIGHT) / column
        bias_unit = unit * 2.0**FRACTION
        return weight, round_through(self.bias * bias_unit) / bias_unit

    def stored(self) -> dict[str, Tensor]:
        """Return what a released checkpoint stores: int8 weight, int8 shift, int32 bias."""
        shift = self._shift()
        unit = torch.exp2(shift)
        column = unit.view(-1, *(1,) * (self.weight.dim() - 1))
        weight, bias = self._dyadic()
        return {
            "weight": (weight * column).to(torch.int8),
            "shift": shift.to(torch.int8),
            "bias": (bias * unit * 2.0**FRACTION).to(torch.int32),
        }

    def load_stored(self, weight: Tensor, shift: Tensor, bias: Tensor) -> None:
        """Freeze the layer to stored integers.

        Raises:
            CheckpointError: another shape, sums that float32 could not hold exactly, or integers that have no negative.
        """
        if weight.shape != self.weight.shape or bias.shape != self.bias.shape or shift.shape != bias.shape:
            raise CheckpointError(f"integer layer: expected weight {list(self.weight.shape)}, got {list(weight.shape)}")
        if any(own.is_floating_point() for own in (weight, shift, bias)):
            raise CheckpointError("integer layer: weight, shift and bias must be integers")
        whole, added = weight.to(torch.int64).flatten(1), bias.to(torch.int64)
        if not within(whole, WEIGHT) or not within(added, BIAS):
            raise CheckpointError(f"integer layer: weights go from {-WEIGHT} to {WEIGHT}, biases to 2^31 - 1; retrain")
        worst = whole.abs().sum(1) * UNSIGNED[1] + added.abs()
        if int(worst.max()) >= EXACT or int(shift.min()) < 0 or int(shift.max()) > 14:
            raise CheckpointError("integer layer: sums could exceed 2^24, so float32 would not be exact; retrain it")
        unit = torch.exp2(shift.float())
        column = unit.view(-1, *(1,) * (weight.dim() - 1))
        with torch.no_grad():
            self.weight.copy_(weight.float() / column)
            self.bias.copy_(bias.float() / (unit * 2.0**FRACTION))
        self.weight.requires_grad_(False)
        self.bias.requires_grad_(False)
        self.unit = unit.to(self.weight.device)
        self.frozen = True

    def holds(self, added: Tensor | float) -> bool:
        """Whether sums of a frozen layer stay exact in float32 with so many steps added to each, float [..., out]."""
        largest = self.largest()
        added = torch.as_tensor(added, device=largest.device).abs()
        return bool(((largest + added) * self.unit < EXACT).all())

    def largest(self) -> Tensor:
        """Return what no sum exceeds in magnitude: steps, float [out]."""
        weight, bias = self.quantised()
        return weight.abs().flatten(1).sum(1) * UNSIGNED[1] + bias.abs()


class IntegerLinear(IntegerAffine):
    """A 1x1 layer as a matrix product: [..., in] -> [..., out], not yet rounded."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(torch.empty(outputs, inputs).normal_(0, (2.0 / inputs) ** 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Return exact sums."""
        weight, bias = self.quantised()
        return linear(x, weight, bias)

    def packed(self, signed: int = 0, weight: Tensor | None = None) -> tuple[Packed, Tensor]:
        """Return a frozen layer for products of bytes, and its bias.

        Args:
            signed: so many of its last inputs are counted from ``CENTRE``.
            weight: in another order of the inputs.
        """
        own, bias = self.quantised()
        weight = own if weight is None else weight
        # exact: what is taken off is less than the largest sum
        bias = bias - CENTRE * weight[:, weight.shape[1] - signed :].sum(1)
        return pack(weight * self.unit[:, None], 1 / self.unit), bias


class IntegerDepthwise(IntegerAffine):
    """A depthwise 3x3 with ``multiplier`` filters per channel, zeros outside: [B, h, w, C] -> [B, h, w, mC].

    Filter ``f`` of channel ``c`` is stored at ``m * c + f`` and comes out at ``f * C + c``: the convolution then runs
    on copies of its input side by side with one filter each, which is seven times faster in oneDNN than a multiplier.
    """

    def __init__(self, channels: int, multiplier: int = 1) -> None:
        kernel = torch.empty(channels * multiplier, 1, 3, 3).normal_(0, 0.15)
        kernel[:, :, 1, 1] += 0.5
        super().__init__(kernel)
        self.channels = channels
        self.multiplier = multiplier
        self._arranged: Kept[tuple[Tensor, Tensor]] = Kept()

    def forward(self, x: Tensor) -> Tensor:
        """Return exact sums."""
        weight, bias = self._arranged.get(self._arrange, self.weight, self.bias)
        if self.multiplier > 1:
            x = torch.cat((x,) * self.multiplier, -1)
        out: Tensor = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=x.shape[-1])
        return out.permute(0, 2, 3, 1)

    def packed(self, centre: int) -> tuple[Packed, Tensor]:
        """Return a frozen layer for products of bytes, and its bias; ``centre`` stands for 0 in its input."""
        weight, bias = self._arranged.get(self._arrange, self.weight, self.bias)
        unit = self.as_it_comes_out(self.unit, 0)
        return pack_depthwise(weight * unit.view(-1, 1, 1, 1), 1 / unit, centre), bias

    def _arrange(self) -> tuple[Tensor, Tensor]:
        weight, bias = self.quantised()
        return self.as_it_comes_out(weight, 0), self.as_it_comes_out(bias, 0)

    def as_it_comes_out(self, stored: Tensor, axis: int) -> Tensor:
        """Bring an axis of m * C filters, in the order of storage, into the order of the output."""
        before, after = stored.shape[:axis], stored.shape[axis + 1 :]
        pairs = stored.reshape(*before, self.channels, self.multiplier, *after)
        return pairs.transpose(axis, axis + 1).reshape(stored.shape)


def mantissa(x: Tensor) -> Tensor:
    """Round positive numbers to 8 significant bits, so that a 16-bit integer times it is exact in float32."""
    fraction, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(fraction * 2**MANTISSA_BITS), exponent - MANTISSA_BITS)


class IntegerGain(StoredLayer):
    """A positive factor per quality code and channel with 8 significant bits.

    In training it comes from a ``Gain``; frozen it is a table, float32 [225, channels], never computed again.
    """

    STORED = ("table",)

    def __init__(self, channels: int, log2_start: float = 0.0) -> None:
        super().__init__()
        self.gain = Gain(channels, log2_start)
        self.register_buffer("table", torch.zeros(0), persistent=False)
        self.table: Tensor

    def forward(self, code: Tensor) -> Tensor:
        """Return [B, channels] for quality codes int64 [B]."""
        if self.table.numel():
            return self.table[code]
        value: Tensor = self.gain(code)
        return value + (mantissa(value) - value).detach()

    def stored(self) -> dict[str, Tensor]:
        """Return the table, bfloat16: it has 8 significant bits, so nothing is lost."""
        with torch.no_grad():
            return {"table": self(torch.arange(QUALITY_CODES, device=self.gain.log2.device)).to(torch.bfloat16)}

    def load_stored(self, table: Tensor) -> None:
        """Freeze to a stored table.

        Raises:
            CheckpointError: another shape, or factors that are not positive with 8 significant bits.
        """
        expected = (QUALITY_CODES, self.gain.log2.shape[1])
        table = table.float()
        if tuple(table.shape) != expected or not bool((table > 0).all()) or not torch.equal(mantissa(table), table):
            raise CheckpointError(f"gain table: expected {expected} positive factors of 8 bits")
        self.table = table.to(self.gain.log2.device)


class IntegerOffset(StoredLayer):
    """An offset per quality code and channel in multiples of 2^-bits, linear between levels."""

    STORED = ("table",)

    def __init__(self, channels: int, bits: int = FRACTION) -> None:
        super().__init__()
        self.gain = Gain(channels)  # its table alone, linear between levels, not as a logarithm
        self.bits = bits
        self.register_buffer("table", torch.zeros(0), persistent=False)
        self.table: Tensor

    def forward(self, code: Tensor) -> Tensor:
        """Return [B, channels] for quality codes int64 [B]."""
        if self.table.numel():
            return self.table[code]
        return round_through(interpolate(self.gain.log2, code) * 2.0**self.bits) / 2.0**self.bits

    def stored(self) -> dict[str, Tensor]:
        """Return the table counted in multiples of 2^-bits, int16."""
        with torch.no_grad():
            table = self(torch.arange(QUALITY_CODES, device=self.gain.log2.device))
        return {"table": (table * 2.0**self.bits).to(torch.int16)}

    def load_stored(self, table: Tensor) -> None:
        """Freeze to a stored table.

        Raises:
            CheckpointError: another shape, or no integers.
        """
        expected = (QUALITY_CODES, self.gain.log2.shape[1])
        if tuple(table.shape) != expected or table.is_floating_point():
            raise CheckpointError(f"offset table: expected {expected} integers, got {list(table.shape)} {table.dtype}")
        self.table = table.to(self.gain.log2.device).float() / 2.0**self.bits
