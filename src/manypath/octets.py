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
    """Whether products of the largest bytes are right in this process."""
    cpu = torch.device("cpu")  # whatever the process has set as its default
    signs = torch.tensor([[1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1], [1, 1, -1, -1]], device=cpu).repeat(8, 16)
    weight, filters = 127 * signs, 127 * signs[:, :9].reshape(32, 1, 3, 3)
    unit = torch.ones(32, dtype=torch.float32, device=cpu)
    nothing = torch.zeros_like(unit)
    layer, near = pack(weight, unit), pack_depthwise(filters, unit)
    for rows in (1, 200):
        x = torch.full((rows, 64), 255, dtype=torch.uint8, device=cpu)
        sums = x.long() @ weight.T
        if not torch.equal(floats(x, layer, nothing).long(), sums):
            return False
        if not torch.equal(octets(x, layer, nothing).long(), sums.clamp(0, 255)):
            return False
    picture = torch.full((1, 32, 8, 8), 255.0, dtype=torch.float64, device=cpu)
    around = F.conv2d(picture, filters.double(), padding=1, groups=32)
    found = depthwise(picture.permute(0, 2, 3, 1).to(torch.uint8).contiguous(), near, nothing, 0)
    return torch.equal(found.long() - CENTRE, around.permute(0, 2, 3, 1).long().clamp(-127, 127))


def pack(weight: Tensor, unit: Tensor) -> Packed:
    """Pack a linear layer.

    Args:
        weight: whole numbers -127..127, [out, in].
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
    """Return exact sums, float32 [..., out], of uint8 [..., in] and a bias float32 [out]."""
    return _linear(x, layer, bias, torch.float32)


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
