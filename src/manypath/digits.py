"""Products of bytes with float weights in a processor's integer units: each weight as two digits of eight bits.

Bytes are multiplied four times as fast as float32 where there is VNNI, so two products of bytes are about twice as fast
as one of floats. A weight is counted in steps of 1/32512 of the largest of its output; weights that were stored as
float16 lose next to nothing.

Either digit's sums are exact as integers. As float32 those of more than 514 inputs may be rounded, as what is added to
them is: this is for an encoder's transforms, which need not be the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from manypath.octets import Packed, floats, floats_plus, pack

_BASE = 256
_MOST = 127  # of a digit


class Digits(NamedTuple):
    """A layer of two digits a weight.

    Attributes:
        high: the digit that counts 256 times as much.
        low: the other.
        bias: float32 [out].
    """

    high: Packed
    low: Packed
    bias: Tensor


def digits(weight: Tensor, bias: Tensor) -> Digits:
    """Return a layer of digits; ask ``octets.exact`` before.

    Args:
        weight: float32 [out, in].
        bias: float32 [out].
    """
    unit = (weight.abs().amax(1) / (_MOST * _BASE)).clamp_min(torch.finfo(torch.float32).tiny)
    steps = (weight / unit[:, None]).round()
    high = ((steps + _BASE // 2) / _BASE).floor()
    low = steps - high * _BASE  # -128..127
    return Digits(pack(high, unit * _BASE), pack(low, unit), bias)


def product(x: Tensor, layer: Digits) -> Tensor:
    """Return float32 [..., out] of uint8 [..., in]."""
    flat, (high, low, bias) = x.flatten(0, -2), layer
    summed = floats_plus(flat, high, floats(flat, low, bias))
    return summed.view(*x.shape[:-1], summed.shape[-1])
