"""Fixed point after training: layers of a float network as integers, equal on every device, thread count and batch.

Values are multiples of 2^-12 below 2^12, carried in float64. Weights are integers times a power of two per output, as
many bits as the sums allow: a partial sum is an integer below 2^53 in its own unit, so float64 adds it exactly and in
any order. No training is needed, since 24 bits of activations and about 16 of weights leave the network as it was.

What is not a sum is done element by element with what IEEE 754 rounds correctly everywhere (one division, one square
root), in 64-bit integers, or by looking it up in a table that is stored with the weights. A tensor is never divided by
a number: a GPU multiplies by its reciprocal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.errors import CheckpointError
from manypath.network import StoredLayer, within
from manypath.quality import QUALITY_CODES

FRACTION = 12  # bits of a value behind the point
UNIT = 2.0**FRACTION
LIMIT = 2.0**12  # of a value
EXACT = 2**53  # float64 holds every integer up to here
WEIGHTS = 2**27  # what the sizes of an output's integer weights may add up to: 2^24 times as much is 2^51
MOST_SHIFT = 24
GAIN_BITS = 16
TABLE = 1 << 16  # entries of a lookup table: 16 units of its argument
HALF = TABLE // 2
EXP_BITS = 24
NORM_EPSILON = 1e-5  # of PyTorch's layer norm


def on_grid(x: Tensor) -> Tensor:
    """Return float64 values rounded half to even to multiples of 2^-12 and clamped to +-2^12; ``x`` may change."""
    bound = LIMIT * UNIT
    return x.mul_(UNIT).round_().clamp_(-bound, bound).mul_(1 / UNIT)


def _parameter(*shape: int) -> nn.Parameter:
    """Return what counts as a parameter and is never trained."""
    return nn.Parameter(torch.zeros(shape, dtype=torch.float64), requires_grad=False)


class FixedAffine(StoredLayer):
    """Weights [outputs, inputs], whatever they multiply; what linear layers and convolutions share.

    Attributes:
        weight: dyadic, float64.
        shift: float64 [outputs]; weights are integers times 2^-shift.
        bias: multiples of 2^-(shift + 12), float64 [outputs].
    """

    STORED = ("weight", "shift", "bias")

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = _parameter(outputs, inputs)
        self.shift: Tensor
        self.register_buffer("shift", torch.zeros(outputs, dtype=torch.float64))
        self.bias = _parameter(outputs)

    def quantise(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take a float layer's weight, [outputs, ...], and bias.

        Raises:
            CheckpointError: weights so large that no integers can stand for them.
        """
        flat = weight.detach().double().flatten(1)
        total = flat.abs().sum(1).clamp_min(2.0**-60)
        # each weight may be rounded up by a half
        shift = torch.floor(torch.log2((WEIGHTS - flat.shape[1]) / total)).clamp_max(MOST_SHIFT)
        if bool((shift < 0).any()):
            raise CheckpointError("a layer's weights are too large for fixed point")
        unit = torch.exp2(shift)
        given = torch.zeros_like(shift) if bias is None else bias.detach().double()
        self.load_stored(
            weight=torch.round(flat * unit[:, None]).to(torch.int32),
            shift=shift.to(torch.int8),
            bias=torch.round(given * unit * UNIT).to(torch.int64),
        )

    def stored(self) -> dict[str, Tensor]:
        """Return what a released checkpoint stores: int32 weight, int8 shift, int64 bias."""
        unit = torch.exp2(self.shift)
        return {
            "weight": (self.weight * unit[:, None]).to(torch.int32),
            "shift": self.shift.to(torch.int8),
            "bias": (self.bias * unit * UNIT).to(torch.int64),
        }

    def load_stored(self, weight: Tensor, shift: Tensor, bias: Tensor) -> None:
        """Take stored integers.

        Raises:
            CheckpointError: another shape, or sums that float64 could not hold exactly.
        """
        if weight.shape != self.weight.shape or bias.shape != self.bias.shape or shift.shape != bias.shape:
            raise CheckpointError(f"fixed layer: expected weight {list(self.weight.shape)}, got {list(weight.shape)}")
        whole = not any(own.is_floating_point() for own in (weight, shift, bias))
        bounded = whole and within(weight, WEIGHTS) and within(bias, EXACT // 2 - 1)
        if not bounded or int(shift.min()) < 0 or int(shift.max()) > MOST_SHIFT:
            raise CheckpointError("fixed layer: expected integers below 2^27, shifts of 0 to 24 and biases below 2^52")
        worst = weight.to(torch.int64).abs().sum(1) * int(LIMIT * UNIT) + bias.abs()
        if int(worst.max()) >= EXACT:
            raise CheckpointError("fixed layer: sums could exceed 2^53, so float64 would not be exact")
        unit = torch.exp2(shift.double())
        self.shift.copy_(shift)
        self.weight.copy_(weight.double() / unit[:, None])
        self.bias.copy_(bias.double() / (unit * UNIT))


class FixedLinear(FixedAffine):
    """A linear layer, [..., in] -> [..., out]; values in, values out."""

    def forward(self, x: Tensor) -> Tensor:
        """Transform float64 values."""
        return on_grid(F.linear(x.clamp(-LIMIT, LIMIT), self.weight, self.bias))


class FixedConv(FixedAffine):
    """A convolution with a border of zeros, [B, h, w, in] -> [B, h, w, out], as one product per tap.

    No library's convolution is asked: one may go through a transform that rounds. Weights lie tap by tap,
    [out, k, k, in].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs * kernel**2, outputs)
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Transform float64 values."""
        b, h, w, c = x.shape
        reach = self.kernel // 2
        wide = F.pad(x.clamp(-LIMIT, LIMIT), (0, 0, reach, reach, reach, reach))
        taps = self.weight.view(-1, self.kernel, self.kernel, c)
        out = self.bias.repeat(b * h * w, 1)
        for row in range(self.kernel):
            for column in range(self.kernel):
                seen = wide[:, row : row + h, column : column + w].reshape(-1, c)
                out.addmm_(seen, taps[:, row, column].t())
        return on_grid(out).view(b, h, w, -1)


class FixedUp(FixedAffine):
    """A transposed convolution 3x3 of stride 2, [B, h, w, in] -> [B, 2h, 2w, out], as one product per tap.

    Weights lie tap by tap, [out, 3, 3, in].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs * 9, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Transform float64 values."""
        b, h, w, c = x.shape
        flat = x.clamp(-LIMIT, LIMIT).reshape(-1, c)
        taps = self.weight.view(-1, 3, 3, c)
        out = x.new_zeros(b, 2 * h + 1, 2 * w + 1, len(taps))
        for row in range(3):
            for column in range(3):
                made = (flat @ taps[:, row, column].t()).view(b, h, w, -1)
                out[:, row : row + 2 * h : 2, column : column + 2 * w : 2] += made
        return on_grid(out[:, 1:, 1:] + self.bias)


class FixedGain(StoredLayer):
    """A positive factor of 16 significant bits per quality code and channel, [225, channels], as a table."""

    STORED = ("table",)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", torch.ones(QUALITY_CODES, channels, dtype=torch.float64))

    def forward(self, code: Tensor) -> Tensor:
        """Return [B, 1, 1, channels] for quality codes int64 [B]."""
        return self.table[code][:, None, None]

    def quantise(self, gains: Tensor) -> None:
        """Take the gains of every code, [225, channels]."""
        fraction, exponent = torch.frexp(gains.detach().double())
        rounded = torch.ldexp(torch.round(fraction * 2**GAIN_BITS), exponent - GAIN_BITS)
        self.load_stored(rounded.clamp(2.0**-126, 2.0**64).float())

    def stored(self) -> dict[str, Tensor]:
        """Return the table, float32: 16 bits, so nothing is lost."""
        return {"table": self.table.float()}

    def load_stored(self, table: Tensor) -> None:
        """Take a stored table.

        Raises:
            CheckpointError: another shape, or factors that are not positive with 16 significant bits.
        """
        value = table.double()
        fraction = torch.frexp(value).mantissa * 2**GAIN_BITS
        sound = bool((torch.isfinite(value) & (value > 0) & (fraction == torch.round(fraction))).all())
        if value.shape != self.table.shape or not sound:
            raise CheckpointError(f"gain table: expected {list(self.table.shape)} positive factors of {GAIN_BITS} bits")
        self.table.copy_(value)


class FixedConstant(StoredLayer):
    """Values by themselves: float64 multiples of 2^-12."""

    STORED = ("value",)

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.value = _parameter(*shape)

    def quantise(self, value: Tensor) -> None:
        """Take floats."""
        self.load_stored((on_grid(value.detach().double().clone()) * UNIT).to(torch.int32))

    def stored(self) -> dict[str, Tensor]:
        """Return the values counted in steps, int32."""
        return {"value": (self.value * UNIT).to(torch.int32)}

    def load_stored(self, value: Tensor) -> None:
        """Take stored values.

        Raises:
            CheckpointError: another shape, or values beyond the limit.
        """
        if value.shape != self.value.shape or value.is_floating_point() or not within(value, int(LIMIT * UNIT)):
            raise CheckpointError(f"fixed values: expected {list(self.value.shape)} integers below 2^24")
        self.value.copy_(value.double() / UNIT)


class Lookup(StoredLayer):
    """A function of one value by its table, whole numbers in float64 [65536]: whoever looks it up gets the same."""

    STORED = ("table",)

    def __init__(self) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", torch.zeros(TABLE, dtype=torch.float64))

    def stored(self) -> dict[str, Tensor]:
        """Return the table, int32."""
        return {"table": self.table.to(torch.int32)}

    def load_stored(self, table: Tensor) -> None:
        """Take a stored table.

        Raises:
            CheckpointError: another shape, or entries that are no integers of 25 bits.
        """
        if table.shape != self.table.shape or table.is_floating_point() or not within(table, 2**EXP_BITS):
            raise CheckpointError(f"lookup table: expected {TABLE} integers of at most {EXP_BITS} bits")
        self.table.copy_(table)


class FixedGelu(Lookup):
    """GELU of values: between -8 and 8 by the table, 0 below, themselves above."""

    def quantise(self) -> None:
        """Make the table."""
        points = [(number - HALF) / UNIT for number in range(TABLE)]
        made = [x * 0.5 * math.erfc(-x / math.sqrt(2.0)) for x in points]
        self.load_stored(torch.tensor([round(y * UNIT) for y in made], dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Transform float64 values."""
        place = (x * UNIT + HALF).clamp_(0, TABLE - 1).to(torch.int64)
        return torch.where(x * UNIT >= HALF, x, self.table[place] * (1 / UNIT))


class FixedExp(Lookup):
    """The exponential of values that are at most 0, as integers of 24 bits: below -16 it is that of -16."""

    def quantise(self) -> None:
        """Make the table."""
        made = [round(math.exp(-number / UNIT) * 2**EXP_BITS) for number in range(TABLE)]
        self.load_stored(torch.tensor(made, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Return exp(x) * 2^24, whole numbers."""
        return self.table[(x * -UNIT).clamp_(0, TABLE - 1).to(torch.int64)]


def fixed_norm(x: Tensor) -> Tensor:
    """Return values [..., C] with their mean taken off, divided by their standard deviation."""
    channels = x.shape[-1]
    steps = (x * UNIT).to(torch.int64)
    mean = torch.div(2 * steps.sum(-1, keepdim=True) + channels, 2 * channels, rounding_mode="floor")
    centred = steps - mean  # 25 bits, so their squares' sum has 62 at most
    variance = (centred * centred).sum(-1, keepdim=True).double()
    count = torch.full_like(variance, channels * UNIT**2)
    return on_grid(centred.double() / torch.sqrt(variance / count + NORM_EPSILON) * (1 / UNIT))
