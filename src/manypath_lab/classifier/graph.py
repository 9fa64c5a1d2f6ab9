"""Writes an image classifier as an ONNX graph, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from manypath_lab.graph_writer import GraphWriter


class ClassifierGraph(GraphWriter):
    """Pre-processing and an EfficientNet, one after the other."""

    def preprocess(self, image: str, *, size: int, crop: tuple[int, int], mean: float, scale: float) -> str:
        """Central square crop, antialiased bilinear resize, normalisation.

        Args:
            image: name of the input, uint8 [N, H, W, 3].
            size: pixels along each side of the result.
            crop: numerator and denominator of the short side's share that is kept, rounded down to
                at least one pixel.
            mean: subtracted from the 8-bit values.
            scale: divides the difference.

        Returns:
            Name of float32 [N, 3, size, size].
        """
        one, two, axes = self.ints(1), self.ints(2), self.ints(1, 2)
        extent = self.node("Shape", image, start=1, end=3)  # [H, W]
        short = self.node("ReduceMin", extent, keepdims=1)
        kept = self.node("Div", self.node("Mul", short, self.ints(crop[0])), self.ints(crop[1]))
        side = self.node("Max", kept, one)
        # The published evaluation rounds the offset up: (H - side + 1) // 2.
        start = self.node("Div", self.node("Add", self.node("Sub", extent, side), one), two)
        end = self.node("Add", start, side)
        x = self.node("Slice", image, start, end, axes)  # [N, side, side, 3]
        x = self.resized(x, self.ints(size, size))
        return self.node("Div", self.node("Sub", x, self.floats(mean)), self.floats(scale))

    def efficientnet(self, network: nn.Module, x: str, output: str) -> None:
        """A network of `efficientnet_lite_pytorch`: ReLU6, no squeeze and excitation; and softmax behind it.

        Args:
            network: in evaluation mode.
            x: name of float32 [N, 3, H, W].
            output: name for the probabilities, float32 [N, classes].
        """
        net: Any = network  # the package has no types
        x = self.relu6(self._convolution(x, net._conv_stem, net._bn0))
        for block in net._blocks:
            shortcut = x
            if hasattr(block, "_expand_conv"):
                x = self.relu6(self._convolution(x, block._expand_conv, block._bn0))
            x = self.relu6(self._convolution(x, block._depthwise_conv, block._bn1))
            x = self._convolution(x, block._project_conv, block._bn2)
            args = block._block_args
            if args.id_skip and args.stride == 1 and args.input_filters == args.output_filters:
                x = self.node("Add", x, shortcut)
        x = self.relu6(self._convolution(x, net._conv_head, net._bn1))
        x = self.node("Flatten", self.node("GlobalAveragePool", x))  # [N, C]
        weight = self.weight(net._fc.weight.detach().numpy())
        bias = self.weight(net._fc.bias.detach().numpy())
        self.node("Softmax", self.node("Gemm", x, weight, bias, transB=1), axis=1, output=output)

    def _convolution(self, x: str, convolution: Any, norm: nn.BatchNorm2d) -> str:
        """A convolution with static padding; the batch normalisation behind it is folded in."""
        weight = convolution.weight.detach().double().numpy()  # [C out, C in / groups, k, k]
        variance, mean = norm.running_var, norm.running_mean
        if variance is None or mean is None:
            raise ValueError("batch normalisation without running statistics cannot be folded")
        gain = norm.weight.detach().double().numpy() / np.sqrt(variance.double().numpy() + norm.eps)
        bias = norm.bias.detach().double().numpy() - mean.double().numpy() * gain
        padding = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
        return self.convolution(
            x, convolution, self.weight(weight * gain[:, None, None, None]), self.weight(bias), padding
        )
