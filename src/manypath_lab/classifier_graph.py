"""Writes an image classifier as an ONNX graph, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class GraphWriter:
    """Collects nodes and weights, and hands out the names of the tensors in between.

    Args:
        opset: version of ONNX's operators; Resize with antialias needs 18.
        ir_version: version of the file format.
    """

    def __init__(self, *, opset: int, ir_version: int) -> None:
        self._opset = opset
        self._ir_version = ir_version
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

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
        one, two, axes = self._ints(1), self._ints(2), self._ints(1, 2)
        extent = self._node("Shape", image, start=1, end=3)  # [H, W]
        short = self._node("ReduceMin", extent, keepdims=1)
        kept = self._node("Div", self._node("Mul", short, self._ints(crop[0])), self._ints(crop[1]))
        side = self._node("Max", kept, one)
        # The published evaluation rounds the offset up: (H - side + 1) // 2.
        start = self._node("Div", self._node("Add", self._node("Sub", extent, side), one), two)
        end = self._node("Add", start, side)
        x = self._node("Slice", image, start, end, axes)  # [N, side, side, 3]
        # On 8 bits: the result is Pillow's but for a last bit here and there, and on a 1890x1890 crop
        # onnxruntime's 8-bit kernel took 16 ms where the float one took 136. Without exclude_outside pixels
        # beyond the border get weight, and the rim is off by up to 10 levels. Before the transpose:
        # onnxruntime 1.32 pulls an 8-bit transpose through a resize with axes, then fails on its own result.
        x = self._node(
            "Resize",
            *(x, "", "", self._ints(size, size)),
            axes=[1, 2],
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        )
        x = self._node("Cast", self._node("Transpose", x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        return self._node("Div", self._node("Sub", x, self._float(mean)), self._float(scale))

    def efficientnet(self, network: nn.Module, x: str, output: str) -> None:
        """A network of `efficientnet_lite_pytorch`: ReLU6, no squeeze and excitation; and softmax behind it.

        Args:
            network: in evaluation mode.
            x: name of float32 [N, 3, H, W].
            output: name for the probabilities, float32 [N, classes].
        """
        net: Any = network  # the package has no types
        x = self._relu6(self._convolution(x, net._conv_stem, net._bn0))
        for block in net._blocks:
            shortcut = x
            if hasattr(block, "_expand_conv"):
                x = self._relu6(self._convolution(x, block._expand_conv, block._bn0))
            x = self._relu6(self._convolution(x, block._depthwise_conv, block._bn1))
            x = self._convolution(x, block._project_conv, block._bn2)
            args = block._block_args
            if args.id_skip and args.stride == 1 and args.input_filters == args.output_filters:
                x = self._node("Add", x, shortcut)
        x = self._relu6(self._convolution(x, net._conv_head, net._bn1))
        x = self._node("Flatten", self._node("GlobalAveragePool", x))  # [N, C]
        weight = self._weight(net._fc.weight.detach().numpy())
        bias = self._weight(net._fc.bias.detach().numpy())
        self._node("Softmax", self._node("Gemm", x, weight, bias, transB=1), axis=1, output=output)

    def finish(self, image: str, output: str, *, classes: int, name: str) -> onnx.ModelProto:
        """The checked model, with `image` as uint8 [N, H, W, 3] and `output` as float32 [N, classes]."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(image, TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
            initializer=self._weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self._opset)],
            ir_version=self._ir_version,
            producer_name="manypath",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _convolution(self, x: str, convolution: Any, norm: nn.BatchNorm2d) -> str:
        """A convolution with static padding; the batch normalisation behind it is folded in."""
        weight = convolution.weight.detach().double().numpy()  # [C out, C in / groups, k, k]
        variance, mean = norm.running_var, norm.running_mean
        if variance is None or mean is None:
            raise ValueError("batch normalisation without running statistics cannot be folded")
        gain = norm.weight.detach().double().numpy() / np.sqrt(variance.double().numpy() + norm.eps)
        bias = norm.bias.detach().double().numpy() - mean.double().numpy() * gain
        left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
        return self._node(
            "Conv",
            x,
            self._weight(weight * gain[:, None, None, None]),
            self._weight(bias),
            kernel_shape=list(convolution.kernel_size),
            strides=list(convolution.stride),
            pads=[top, left, bottom, right],
            group=convolution.groups,
        )

    def _relu6(self, x: str) -> str:
        return self._node("Clip", x, self._float(0.0), self._float(6.0))

    def _node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _weight(self, values: npt.NDArray[Any]) -> str:
        return self._constant(values.astype(np.float32))

    def _ints(self, *values: int) -> str:
        return self._constant(np.array(values, dtype=np.int64))

    def _float(self, value: float) -> str:
        return self._constant(np.array(value, dtype=np.float32))

    def _constant(self, values: npt.NDArray[Any]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
