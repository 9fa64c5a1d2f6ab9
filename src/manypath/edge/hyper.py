"""h_s in integers: the hyper-latent's symbols to features that every context step reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from manypath.edge.config import EdgeConfig
from manypath.edge.integer import (
    FRACTION,
    SIGNED,
    UNSIGNED,
    IntegerDepthwise,
    IntegerGain,
    IntegerLinear,
    IntegerOffset,
    on_grid,
)
from manypath.entropy.rounding import round_through
from manypath.image import from_tokens
from manypath.kept import Kept
from manypath.octets import CENTRE, Packed, counted_from_centre, depthwise, octets, served


class HyperSynthesis(nn.Module):
    """h_s: z_hat, integers [B, h/4, w/4, K] -> features, integers 0..255 [B, h, w, F]."""

    BOUND = 127  # |z_hat| is at most this: int8

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__()
        width = config.features
        self.input_gain = IntegerGain(config.hyper_channels)
        self.embed = IntegerLinear(config.hyper_channels, 4 * width)
        self.near1 = IntegerDepthwise(width)
        self.split = IntegerLinear(width, 4 * width)
        self.near2 = IntegerDepthwise(width)
        self.project = IntegerLinear(width, width)
        self.offset = IntegerOffset(width)
        self._packed: Kept[list[tuple[Packed, Tensor]] | None] = Kept()

    def _sources(self) -> list[Tensor]:
        return [*(source for layer in self._layers() for source in (layer.weight, layer.bias)), self.offset.table]

    def _layers(self) -> tuple[IntegerLinear, IntegerDepthwise, IntegerLinear, IntegerDepthwise, IntegerLinear]:
        return self.embed, self.near1, self.split, self.near2, self.project

    def symbols(self, z: Tensor) -> Tensor:
        """Return z, after the hyper gain, as whole numbers."""
        return torch.clamp(round_through(z), -self.BOUND, self.BOUND)

    def forward(self, z_hat: Tensor, code: Tensor) -> Tensor:
        """Return the features for quality codes int64 [B], or [1] for all."""
        unit = 2.0**FRACTION
        x = on_grid(z_hat * (self.input_gain(code) * unit)[:, None, None], SIGNED)
        layers = self._packed.get(self._pack, *self._sources()) if served(code) else None
        if layers is not None:
            return self._of_octets(counted_from_centre(x), layers, self.offset(code[:1])[0] * unit)
        x = from_tokens(on_grid(self.embed(x), UNSIGNED), 2)  # [B, h/2, w/2, F]
        x = on_grid(self.near1(x), SIGNED)
        x = from_tokens(on_grid(self.split(x), UNSIGNED), 2)  # [B, h, w, F]
        x = on_grid(self.near2(x), SIGNED)
        return on_grid(self.project(x) + (self.offset(code) * unit)[:, None, None], UNSIGNED)

    def _of_octets(self, x: Tensor, layers: list[tuple[Packed, Tensor]], offset: Tensor) -> Tensor:
        """Return the features of input activations, uint8 [B, h/4, w/4, K] counted from ``CENTRE``."""
        embed, near1, split, near2, (project, bias) = layers
        x = from_tokens(octets(x, *embed), 2)
        x = depthwise(x, *near1, 0)
        x = from_tokens(octets(x, *split), 2)
        x = depthwise(x, *near2, 0)
        return octets(x, project, bias + offset).float()

    def _pack(self) -> list[tuple[Packed, Tensor]] | None:
        """Return the layers packed; None where they still learn, or where an offset leaves no room in float32."""
        table, width = self.offset.table, self.project.weight.shape[0]
        if not all(layer.frozen for layer in self._layers()) or not table.numel():
            return None
        if not self.project.holds(table * 2.0**FRACTION) or not all(
            near.holds(CENTRE) for near in (self.near1, self.near2)
        ):
            return None
        return [
            self.embed.packed(self.embed.weight.shape[1]),
            self.near1.packed(0),
            self.split.packed(width),
            self.near2.packed(0),
            self.project.packed(width),
        ]
