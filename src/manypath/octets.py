"""Products of bytes with 8-bit weights in a processor's integer units, where those are exact.

With VNNI a processor adds four products of bytes to an integer of 32 bits in one instruction, four times as many as of
float32. Without, oneDNN takes an older instruction that adds pairs in 16 bits and saturates. So bytes are multiplied
only where the processor has VNNI, oneDNN may use it, and products of the largest bytes came out right in this process.

Activations are uint8. What may be negative is counted from ``CENTRE``: oneDNN has no fast kernel for signed ones.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from manypath.precision import onednn_kept_to

CENTRE = 128  # stands for 0 where an activation may be negative
_WITHOUT = frozenset({"SSE41", "AVX", "AVX2", "AVX512_CORE"})  # what oneDNN may be kept to that has no VNNI


class Packed(NamedTuple):
    """A layer as oneDNN takes it.

    Attributes:
        weight: int8, in an order of oneDNN's own.
        unit: a power of two per output channel that brings sums into steps of the output, float32 [out].
        zeros: int32 [out].
    """

    weight: Tensor
    unit: Tensor
    zeros: Tensor


@functools.cache
def exact() -> bool:
    """Whether this process multiplies bytes exactly, and fast."""
    if onednn_kept_to() in _WITHOUT or not _has_vnni() or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        return largest_come_out_right()
    except (AttributeError, RuntimeError):  # a PyTorch that was built without these operators
        return False


def served(code: Tensor) -> bool:
    """Whether bytes may be multiplied: exactly, on a CPU, without gradients, and all of a batch at one quality code."""
    return (
        code.device.type == "cpu"
        and not torch.is_grad_enabled()
        and exact()
        and (code.numel() == 1 or bool((code == code[0]).all()))
    )


def _has_vnni() -> bool:
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check and check())


@torch.no_grad()
def largest_come_out_right() -> bool:
    """Whether products of the largest bytes are right in this process, by each kernel that is used."""
    cpu = torch.device("cpu")  # whatever the process has set as its default
    signs = torch.tensor([[1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1], [1, 1, -1, -1]], device=cpu).repeat(8, 16)
    unit = torch.ones(32, dtype=torch.float32, device=cpu)
    return _products_are_right((127 * signs).masked_fill(signs < 0, -128), unit) and all(
        _neighbours_are_right(127 * signs[:, :9].reshape(32, 1, 3, 3), unit * 2.0**-12, centre)
        for centre in (0, CENTRE)
    )


def _products_are_right(weight: Tensor, unit: Tensor) -> bool:
    layer, nothing = pack(weight, unit), torch.zeros_like(unit)
    for rows in (1, 200):
        x = torch.full((rows, weight.shape[1]), 255, dtype=torch.uint8, device=weight.device)
        sums = x.long() @ weight.T
        plus = torch.arange(sums.numel(), device=weight.device).view(sums.shape)
        if not torch.equal(floats(x, layer, nothing).long(), sums):
            return False
        if not torch.equal(floats_plus(x, layer, plus.float()).long(), sums + plus):
            return False
        if not torch.equal(octets(x, layer, nothing).long(), sums.clamp(0, 255)):
            return False
    return True


def _neighbours_are_right(filters: Tensor, unit: Tensor, centre: int) -> bool:
    """Look at both ends of a byte, on a grid most of which has borders; units bring most sums within bounds."""
    layer, nothing = pack_depthwise(filters, unit, centre), torch.zeros_like(unit)
    for value in (0, 255):
        x = torch.full((1, 5, 7, len(filters)), value, dtype=torch.uint8, device=filters.device)
        seen = x.permute(0, 3, 1, 2).double() - centre
        sums = F.conv2d(seen, filters.double(), padding=1, groups=len(filters)) * unit.double().view(-1, 1, 1)
        found = depthwise(x, layer, nothing, centre).long() - CENTRE
        if not torch.equal(found, sums.permute(0, 2, 3, 1).round().long().clamp(-127, 127)):
            return False
    return True


def pack(weight: Tensor, unit: Tensor) -> Packed:
    """Pack a linear layer.

    Args:
        weight: whole numbers -128..127, [out, in].
        unit: powers of two, float32 [out].
    """
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight.to(torch.int8), None)
    return Packed(packed, unit, torch.zeros_like(unit, dtype=torch.int32))


def pack_depthwise(weight: Tensor, unit: Tensor, centre: int = 0) -> Packed:
    """Pack a depthwise layer of one 3x3 filter a channel.

    Args:
        weight: whole numbers -127..127, [C, 1, 3, 3].
        unit: powers of two, float32 [C].
        centre: what stands for 0 in its input.
    """
    # oneDNN looks the order of weights up by shape, centre left out; the wrong one is put right again at every call
    one, shape = [1, 1], [1, len(unit), 64 + centre, 64]
    packed: Tensor = torch.ops.onednn.qconv_prepack(
        weight.to(torch.int8), unit, 1.0, centre, one, one, one, len(unit), shape
    )
    return Packed(packed, unit, torch.zeros_like(unit, dtype=torch.int32))


def floats(x: Tensor, layer: Packed, bias: Tensor) -> Tensor:
    """Return sums, float32 [..., out], of uint8 [..., in] and a bias float32 [out]: exact up to 2^24."""
    return _linear(x, layer, bias, torch.float32)


def floats_plus(x: Tensor, layer: Packed, plus: Tensor) -> Tensor:
    """Return sums, float32 [N, out], of uint8 [N, in] and float32 [N, out], which is changed."""
    add = torch.ops.onednn.qlinear_pointwise.binary
    made: Tensor = add(
        x, 1.0, 0, layer.weight, layer.unit, layer.zeros, plus, None,
        1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], "",
    )  # fmt: skip
    return made


def octets(x: Tensor, layer: Packed, bias: Tensor) -> Tensor:
    """Return sums rounded half to even and clamped to 0..255, uint8 [..., out]."""
    return _linear(x, layer, bias, torch.uint8)


def _linear(x: Tensor, layer: Packed, bias: Tensor, dtype: torch.dtype) -> Tensor:
    multiply = torch.ops.onednn.qlinear_pointwise.default
    made: Tensor = multiply(x, 1.0, 0, layer.weight, layer.unit, layer.zeros, bias, 1.0, 0, dtype, "none", [], "")
    return made


def depthwise(x: Tensor, layer: Packed, bias: Tensor, centre: int) -> Tensor:
    """Return sums rounded half to even and clamped to -127..127, counted from ``CENTRE``, uint8 [B, h, w, C].

    Args:
        x: uint8 [B, h, w, C]; what lies outside counts as 0.
        layer: packed for this ``centre``.
        bias: float32 [C].
        centre: what stands for 0 in ``x``.
    """
    convolve, one = torch.ops.onednn.qconv2d_pointwise.default, [1, 1]
    made: Tensor = convolve(
        x.permute(0, 3, 1, 2), 1.0, centre, layer.weight, layer.unit, layer.zeros, bias,
        one, one, one, x.shape[-1], 1.0, CENTRE, torch.uint8, "none", [], "",
    )  # fmt: skip
    return made.permute(0, 2, 3, 1).clamp_min_(CENTRE - 127)


def counted_from_centre(x: Tensor) -> Tensor:
    """Return whole numbers -127..127 as uint8."""
    return x.to(torch.int8).view(torch.uint8).add_(CENTRE)
