"""Layers in NHWC that blocks are built from, and how a CPU takes them piece by piece."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manypath.config import SIDE_WIDTHS
from manypath.errors import ConfigError
from manypath.kept import Kept
from manypath.products import Linear, packed

Kind = TypeVar("Kind", bound=nn.Module)
SLOPE = 0.1  # of every leaky ReLU in the transforms
PIECE = 8192  # tokens that a CPU takes through several operations at a time: 4 MB of bfloat16 at 256 channels


class Layers(nn.ModuleList, Generic[Kind]):
    """A list of layers of one kind, which the type checker knows."""

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Kind]: ...
        def __getitem__(self, index: int) -> Kind: ...  # type: ignore[override]


class NamedLayers(nn.ModuleDict, Generic[Kind]):
    """Layers of one kind by name, which the type checker knows."""

    if TYPE_CHECKING:

        def __getitem__(self, name: str) -> Kind: ...
        def items(self) -> ItemsView[str, Kind]: ...  # noqa: D102


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU; in place when no gradient is wanted, since ``x`` is always a fresh result here."""
    return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled())


def pieces(tokens: Tensor) -> tuple[Tensor, ...]:
    """Cut tokens [N, C] into pieces that stay in a CPU core's own cache; elsewhere one piece is all."""
    whole = len(tokens) <= PIECE or tokens.device.type != "cpu"
    return (tokens,) if whole else torch.split(tokens, PIECE)


def piecewise(x: Tensor) -> bool:
    """Whether layers may be taken apart and store into given tensors: no gradient is wanted, and no other type."""
    return not torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)


def conv_nhwc(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution to [B, h, w, C].

    The permuted view is what PyTorch calls channels_last, so nothing is copied on either side.
    """
    out: Tensor = conv(x.permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1)


def zeroed(layer: Linear) -> Linear:
    """Return a layer with its weights and biases set to zero: a branch that ends in it starts as nothing."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Branch(nn.Module):
    """What a block adds to its tokens [B, h, w, C]. A block takes its last layer apart, to fold a gain into it.

    Attributes:
        project: the last layer.
    """

    project: Linear

    def __init__(self) -> None:
        super().__init__()
        self._kept: Kept[tuple[Tensor, Tensor]] = Kept()

    def scaled(self, gain: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last layer's weight, packed, and bias times a gain, float32 [1, C], in the layer's type."""
        last = self.project

        def make() -> tuple[Tensor, Tensor]:
            own, dtype = gain[0], last.weight.dtype
            return packed((last.weight * own[:, None]).to(dtype)), (last.bias * own).to(dtype)

        return self._kept.get(make, last.weight, last.bias, gain)

    def hidden(self, x: Tensor) -> Tensor:
        """Return everything before the last layer."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return what is added."""
        out: Tensor = self.project(self.hidden(x))
        return out


class PathMLP(Branch):
    """Two linear layers, C -> hidden -> C. Starts as zero.

    Attributes:
        LEAKY: whether the hidden layer is a product and a leaky ReLU, so that several may be joined to one.
        noise: adds planes of noise to the hidden layer, where the path sees any.
    """

    LEAKY: ClassVar[bool] = True

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(channels, hidden)
        self.project = zeroed(Linear(hidden, channels))
        self.noise: nn.Linear | None = None

    def see_noise(self, planes: int) -> None:
        """Take so many planes of noise from now on: half of the hidden units see them at once, the others learn to.

        With weights of zero for all, a pattern that each token repeats is found first and the noise stays unused.
        """
        self.noise = Linear(planes, self.expand.out_features, bias=False)
        with torch.no_grad():
            self.noise.weight[::2] = 0.0

    def hidden(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return everything before the last layer.

        Args:
            x: tokens [..., C].
            noise: [..., planes], for a path that sees any; without, there is none.
        """
        if self.noise is None or noise is None:
            return self.expand.rectified(x, SLOPE)
        return leaky(self.expand(x) + self.noise(noise.to(x.dtype)))


def side_width(shape: str, channels: int) -> int:
    """Return the hidden width of a side MLP: ``inverted`` is as wide as the main path's, the others narrower.

    Raises:
        ConfigError: no such shape.
    """
    if shape not in SIDE_WIDTHS:
        raise ConfigError(f"no side MLP has the shape {shape!r}")
    return int(channels * SIDE_WIDTHS[shape])
