"""NanoDet-g as a torch module: a plain convolutional backbone, a pyramid of three strides, one head for each.

Source: NanoDet (Apache-2.0), configuration ``nanodet-g``; the layers are written here from its published structure.
Only 3x3 and 1x1 convolutions with folded batch normalisation. Gradients pass through to the picture.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
"""Pixels per cell of each map that boxes are found on."""
LARGEST_STRIDE = STRIDES[-1]
"""Sides of the network's input must be multiples of this many pixels."""
INPUT_SIDE = 416
"""Pixels of the longer side that the weights were trained for."""
CLASSES = 80
BINS = 11
"""Candidates for the distance from a cell's centre to a side of its box: 0, 1, .. 10 strides."""
WIDTH = 128
"""Channels of the pyramid."""
SLOPE = 0.1
"""Of the leaky rectifier below zero."""

# Of the training pictures, 8-bit values in the order blue, green, red.
MEAN = (103.53, 116.28, 123.675)
DEVIATION = (57.375, 57.12, 58.395)

_STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 2, 3))  # channels in, stride, blocks; twice as many channels out


class DetectorMaps(NamedTuple):
    """What the network says of pictures, one entry for each of ``STRIDES``.

    Attributes:
        logits: float [B, CLASSES, h, w]; the sigmoid of each is its class's score, independently of the others.
        bins: float [B, 4 * BINS, h, w], in the order left, top, right, bottom; a softmax over each ``BINS`` is the
            distribution of that side's distance in strides.
        neck: float [B, WIDTH, h, w], the pyramid's features below the heads.
    """

    logits: tuple[Tensor, ...]
    bins: tuple[Tensor, ...]
    neck: tuple[Tensor, ...]


class Block(nn.Module):
    """Two convolutions; the output is the second's beside the first's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3(channels, channels // 2)
        self.conv2 = _conv3(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many channels as come in."""
        u = _act(self.conv1(x))
        return torch.cat((_act(self.conv2(u)), u), 1)


class Stage(nn.Module):
    """A convolution, blocks, a convolution; the output is the last's beside the first's."""

    def __init__(self, channels: int, stride: int, blocks: int) -> None:
        super().__init__()
        self.in_conv = _conv3(channels, channels, stride)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.out_conv = _conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return twice as many channels as come in, at the stage's stride."""
        first = _act(self.in_conv(x))
        y = first
        for block in self.blocks:
            y = block(y)
        return torch.cat((_act(self.out_conv(y)), first), 1)


class Backbone(nn.Module):
    """Features at each of ``STRIDES``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv3(3, _STAGES[0][0], 2)
        for number, stage in enumerate(_STAGES, start=1):
            self.add_module(f"stage{number}", Stage(*stage))

    @property
    def stages(self) -> list[Stage]:
        """Return the stages in order."""
        return [cast("Stage", self.get_submodule(f"stage{number}")) for number in range(1, len(_STAGES) + 1)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return [B, 128, h, w], [B, 256, h, w], [B, 512, h, w] of normalised pictures."""
        x = F.max_pool2d(_act(self.stem(x)), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1:]


class Neck(nn.Module):
    """The pyramid: coarse maps added to finer ones, then fine maps added to coarser ones."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in (128, 256, 512))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return [B, WIDTH, h, w] at each of ``STRIDES``."""
        fine, middle, coarse = (lateral(x) for lateral, x in zip(self.lateral, maps, strict=True))
        middle = middle + _double(coarse)
        fine = fine + _double(middle)
        # Bilinear halving at half-pixel centres is the mean of 2x2.
        middle = middle + F.avg_pool2d(fine, 2)
        coarse = coarse + F.avg_pool2d(middle, 2)
        return fine, middle, coarse


class Head(nn.Module):
    """Class logits and distance bins of one map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = _conv3(WIDTH, WIDTH)
        self.out = nn.Conv2d(WIDTH, CLASSES + 4 * BINS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, CLASSES + 4 * BINS, h, w]."""
        out: Tensor = self.out(_act(self.conv(x)))
        return out


class DetectorNetwork(nn.Module):
    """Pictures, float [B, 3, H, W] RGB in [0, 1], both sides multiples of ``LARGEST_STRIDE``, to ``DetectorMaps``."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.neck = Neck()
        self.head = nn.ModuleList(Head() for _ in STRIDES)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> DetectorMaps:
        """Return logits, bins and features at each stride."""
        x = (255.0 * x.flip(1) - self.mean) / self.deviation  # the weights take blue first
        neck = self.neck(self.backbone(x))
        outs = [head(features) for head, features in zip(self.head, neck, strict=True)]
        parts = [out.split((CLASSES, 4 * BINS), 1) for out in outs]
        return DetectorMaps(tuple(part[0] for part in parts), tuple(part[1] for part in parts), neck)


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
