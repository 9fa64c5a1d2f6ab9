"""Products of tokens with a layer's weights where no gradient is wanted, with what follows them in the same pass.

PyTorch multiplies float32 by MKL, which on AMD's processors keeps to AVX2; oneDNN takes AVX-512 where it is, and is
twice as fast there. It also adds the bias and what the product is added to, and rectifies, before a result leaves the
registers. Its operators are those that ``torch.compile`` writes for a CPU.

What is exact stays exact: sums of integers below 2^24 are the same in any order (decision 0004).
"""

from __future__ import annotations

import functools
import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.kept import Kept
from manypath.precision import multiplies_bfloat16

# Overloads, since choosing one takes microseconds a call.
_plain, _added = torch.ops.mkldnn._linear_pointwise.default, torch.ops.mkldnn._linear_pointwise.binary
_reordered = torch.ops.mkldnn._reorder_linear_weight.default


@functools.cache
def _served() -> frozenset[torch.dtype]:
    """Return the types that oneDNN multiplies here; none where it was not measured, as on ARM."""
    if platform.machine() not in {"x86_64", "AMD64"} or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return frozenset()
    short = multiplies_bfloat16(torch.device("cpu"))
    return frozenset({torch.float32, torch.bfloat16} if short else {torch.float32})


def fused(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN takes a product: on a CPU, where no gradient is wanted and autocast changes no types."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in _served()
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def packed(weight: Tensor) -> Tensor:
    """Return a weight [out, in] in the order in which oneDNN reads it, or itself where oneDNN takes no such product.

    What comes back is for ``linear`` alone, where ``fused`` holds of its type: nothing else can read it.
    """
    return _reordered(weight, None) if fused(weight, weight) else weight


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, slope: float | None = None, plus: Tensor | None = None
) -> Tensor:
    """Return ``x @ weight.T + bias``, then rectified, or added to another.

    Args:
        x: float [..., in].
        weight: [out, in], or ``packed``.
        bias: [out].
        slope: of a leaky ReLU.
        plus: [..., out], of the type of ``x``; not together with ``slope``.
    """
    if fused(x, weight):
        made: Tensor
        if plus is not None:
            made = _added(x, plus, weight, bias, "add")
        elif slope is not None:
            made = _plain(x, weight, bias, "leaky_relu", [slope], "")
        else:
            made = _plain(x, weight, bias, "none", [], "")
        return made
    out = F.linear(x, weight, bias)
    if plus is not None:
        return plus + out
    if slope is None:
        return out
    return F.leaky_relu(out, slope, inplace=not torch.is_grad_enabled())


class Linear(nn.Linear):
    """A linear layer that oneDNN takes where no gradient is wanted; it keeps its weight as oneDNN reads it, too."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self._kept: Kept[Tensor] = Kept()

    def forward(self, x: Tensor) -> Tensor:
        """Return the product of tokens [..., in], [..., out]."""
        return linear(x, self._weight(x), self.bias)

    def rectified(self, x: Tensor, slope: float) -> Tensor:
        """Return the same after a leaky ReLU."""
        return linear(x, self._weight(x), self.bias, slope=slope)

    def _weight(self, x: Tensor) -> Tensor:
        """Return the weight for a product with ``x``."""
        weight = self.weight
        if weight.requires_grad or not fused(x, weight):
            return weight
        return self._kept.get(lambda: packed(weight), weight)
