"""The segmenter's network: EfficientNet-Lite0's features, and a small pyramid that brings them to one map.

Features at strides 4, 8, 16 and 32 are projected to one width. Coarse maps are gated by what the whole picture
holds, doubled in size and added to the next finer one, down to stride 4, where a linear layer names the classes.
The features carry no batch normalisation: it is folded into their convolutions before training begins.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 32
"""Pixels per position of the coarsest map; other sizes are padded by repeating the last row and column."""


class Stage(NamedTuple):
    """A run of inverted bottlenecks of one width.

    Attributes:
        kernel: side of the depthwise kernels.
        stride: of the first block.
        expand: inner width over the input's.
        width: output channels.
        blocks: how many.
    """

    kernel: int
    stride: int
    expand: int
    width: int
    blocks: int


# EfficientNet-Lite0 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
STEM_WIDTH = 32
STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
TAPS = (1, 2, 4, 6)
"""The stages whose outputs the pyramid takes: strides 4, 8, 16, 32."""


class ConvUnit(nn.Module):
    """Convolution, then batch normalisation if it is not folded yet, then ReLU6 if asked for.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: its side, odd.
        stride: 1 or 2; 2 takes even sizes, padded at the far side only, as EfficientNet does.
        depthwise: one filter per channel.
        norm: with a batch normalisation, to be folded after training.
        act: with ReLU6.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        norm: bool = False,
        act: bool = True,
    ) -> None:
        super().__init__()
        near = (kernel - stride) // 2
        far = kernel - stride - near
        self.padding = (near, far, near, far) if stride == 2 else (0, 0, 0, 0)
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            padding=0 if stride == 2 else kernel // 2,
            groups=inputs if depthwise else 1,
            bias=not norm,
        )
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        x = self.conv(F.pad(x, self.padding) if any(self.padding) else x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu6(x) if self.act else x

    def fold(self) -> None:
        """Move the batch normalisation into the convolution; the answers stay the same."""
        if self.norm is None:
            return
        weight, bias = folded(self.conv.weight, self.norm)
        self.conv.weight.data.copy_(weight)
        self.conv.bias = nn.Parameter(bias)
        self.norm = None


def folded(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution that does what one without bias and its normalisation do."""
    mean, variance = cast("Tensor", norm.running_mean).double(), cast("Tensor", norm.running_var).double()
    gain = norm.weight.detach().double() / (variance + norm.eps).sqrt()
    bias = norm.bias.detach().double() - mean * gain
    return (weight.detach().double() * gain[:, None, None, None]).float(), bias.float()


class Bottleneck(nn.Module):
    """Expand, filter depthwise, project; added to its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.expand = ConvUnit(inputs, inner) if expand > 1 else None
        self.filter = ConvUnit(inner, inner, kernel, stride, depthwise=True)
        self.project = ConvUnit(inner, outputs, act=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        y: Tensor = self.project(self.filter(self.expand(x) if self.expand is not None else x))
        return x + y if self.shortcut else y


class Features(nn.Module):
    """EfficientNet-Lite0 without its head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, STEM_WIDTH, 3, 2)
        stages: list[nn.Sequential] = []
        width = STEM_WIDTH
        for stage in STAGES:
            blocks: list[nn.Module] = []
            for block in range(stage.blocks):
                stride = stage.stride if block == 0 else 1
                blocks.append(Bottleneck(width, stage.width, stage.kernel, stride, stage.expand))
                width = stage.width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map float32 [B, 3, H, W] in [-1, 1] to the outputs of ``TAPS``, finest first."""
        x = self.stem(x)
        maps: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in TAPS:
                maps.append(x)
        return maps

    def adopt(self, network: nn.Module) -> None:
        """Take the weights of an `efficientnet_lite_pytorch` network, its batch normalisation folded."""
        source: Any = network  # the package has no types
        units = [(self.stem, source._conv_stem, source._bn0)]
        blocks = [cast("Bottleneck", block) for stage in self.stages for block in cast("nn.Sequential", stage)]
        for block, theirs in zip(blocks, source._blocks, strict=True):
            if block.expand is not None:
                units.append((block.expand, theirs._expand_conv, theirs._bn0))
            units.append((block.filter, theirs._depthwise_conv, theirs._bn1))
            units.append((block.project, theirs._project_conv, theirs._bn2))
        for unit, conv, norm in units:
            weight, bias = folded(conv.weight, norm)
            unit.conv.weight.data.copy_(weight)
            cast("Tensor", unit.conv.bias).data.copy_(bias)


class SegmenterNetwork(nn.Module):
    """Pictures to logits per pixel and class.

    Args:
        classes: how many.
        width: channels of the pyramid.
        norm: with batch normalisation in the pyramid, for training; ``fold`` takes it out.
    """

    def __init__(self, classes: int, width: int = 96, *, norm: bool = False) -> None:
        super().__init__()
        self.features = Features()
        self.laterals = nn.ModuleList(ConvUnit(STAGES[tap].width, width, norm=norm, act=False) for tap in TAPS)
        self.gate = nn.Conv2d(STAGES[TAPS[-1]].width, width, 1)
        self.filters = nn.ModuleList(ConvUnit(width, width, 5, depthwise=True, norm=norm) for _ in TAPS)
        self.mixers = nn.ModuleList(ConvUnit(width, width, norm=norm) for _ in TAPS)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures, float32 [B, 3, H, W] in [0, 1], to logits, float32 [B, classes, H, W]."""
        height, width = x.shape[-2:]
        down, right = -height % STRIDE, -width % STRIDE
        if down or right:
            x = F.pad(x, (0, right, 0, down), mode="replicate")
        logits = F.interpolate(self.quarter(x), scale_factor=4.0, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]

    def quarter(self, x: Tensor) -> Tensor:
        """Return logits at stride 4; the sides of ``x`` are multiples of ``STRIDE``."""
        maps = self.features((x * 2.0 - 1.0).contiguous(memory_format=torch.channels_last))
        gate = torch.sigmoid(self.gate(maps[-1].mean((2, 3), keepdim=True)))
        y: Tensor | None = None
        for level in reversed(range(len(TAPS))):
            lateral = self.laterals[level](maps[level])
            if y is None:
                y = lateral * gate
            else:
                y = lateral + F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
            y = self.mixers[level](self.filters[level](y))
        logits: Tensor = self.classify(y)
        return logits

    def fold(self) -> SegmenterNetwork:
        """Fold every batch normalisation; return the network, in evaluation mode."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fold()
        return self.eval()
