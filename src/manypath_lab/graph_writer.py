"""Writes ONNX graphs operator by operator: what every graph of ours needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

# Resize learned `antialias` and `axes` in opset 18; IR 10 is what runtimes of 2024 and later read.
OPSET, IR_VERSION = 18, 10


class GraphWriter:
    """Collects nodes and weights, and hands out the names of the tensors in between."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def finish(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        *,
        name: str,
        metadata: Mapping[str, str] | None = None,
    ) -> onnx.ModelProto:
        """Return the checked model.

        Args:
            inputs: name, type and shape of each.
            outputs: likewise.
            name: of the graph.
            metadata: for whoever runs it.
        """
        graph = helper.make_graph(self._nodes, name, list(inputs), list(outputs), initializer=self._weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="manypath",
        )
        if metadata:
            helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output; return the output's name."""
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def top(self, x: str, most: str) -> tuple[str, str]:
        """Add the choice of the largest elements along the last axis; return the names of values and indexes."""
        names = f"t{len(self._nodes)}", f"t{len(self._nodes)}_index"
        self._nodes.append(helper.make_node("TopK", [x, most], list(names), axis=-1))
        return names

    def resized(self, image: str, size: str) -> str:
        """Add an antialiased bilinear resize of a picture.

        On 8 bits: the result is Pillow's but for a last bit here and there, and on a 1890x1890 crop onnxruntime's
        8-bit kernel took 16 ms where the float one took 136. Without exclude_outside pixels beyond the border get
        weight, and the rim is off by up to 10 levels. Before the transpose: onnxruntime 1.32 pulls an 8-bit transpose
        through a resize with axes, then fails on its own result.

        Args:
            image: name of uint8 [N, H, W, 3].
            size: name of int64 [2], height and width.

        Returns:
            Name of float32 [N, 3, height, width], 0..255.
        """
        x = self.node(
            "Resize",
            *(image, "", "", size),
            axes=[1, 2],
            mode="linear",
            antialias=1,
            exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        )
        return self.node("Cast", self.node("Transpose", x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)

    def relu6(self, x: str) -> str:
        """Add min(max(x, 0), 6)."""
        return self.node("Clip", x, self.floats(0.0), self.floats(6.0))

    def convolution(self, x: str, convolution: nn.Conv2d, weight: str, bias: str, padding: Sequence[int]) -> str:
        """Add a convolution.

        Args:
            x: name of float32 [N, C, H, W].
            convolution: says kernel, stride and groups.
            weight: name of its weight.
            bias: name of its bias.
            padding: zeros at the left, right, top and bottom.
        """
        left, right, top, bottom = padding
        return self.node(
            "Conv",
            *(x, weight, bias),
            kernel_shape=list(convolution.kernel_size),
            strides=list(convolution.stride),
            pads=[top, left, bottom, right],
            group=convolution.groups,
        )

    def weight(self, values: npt.NDArray[Any]) -> str:
        """Add a float32 tensor."""
        return self.constant(values.astype(np.float32))

    def half_weight(self, values: npt.NDArray[Any]) -> str:
        """Add a tensor that is stored as float16 and used as float32; runtimes convert it once, on loading."""
        return self.node("Cast", self.constant(values.astype(np.float16)), to=TensorProto.FLOAT)

    def ints(self, *values: int) -> str:
        """Add an int64 vector."""
        return self.constant(np.array(values, dtype=np.int64))

    def floats(self, value: float) -> str:
        """Add a float32 scalar."""
        return self.constant(np.array(value, dtype=np.float32))

    def vector(self, *values: float) -> str:
        """Add a float32 vector."""
        return self.constant(np.array(values, dtype=np.float32))

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Add a tensor as it is."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
