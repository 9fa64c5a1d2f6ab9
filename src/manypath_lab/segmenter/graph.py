"""Writes the segmenter as an ONNX graph, operator by operator: 8-bit pictures in, 8-bit masks out."""

from __future__ import annotations

import json
from typing import cast

import onnx
from onnx import TensorProto, helper
from torch import nn

from manypath_lab.graph_writer import GraphWriter
from manypath_lab.segmenter.data import CLASSES, PALETTE, VOID
from manypath_lab.segmenter.network import STRIDE, TAPS, Bottleneck, ConvUnit, SegmenterNetwork

IMAGE, MASK = "image", "mask"


class SegmenterGraph(GraphWriter):
    """Follows ``SegmenterNetwork.forward``, with pre-processing before it and the choice of a class behind it."""

    def convert(self, network: SegmenterNetwork) -> onnx.ModelProto:
        """Return the model.

        Input `image`: uint8 [N, H, W, 3], RGB, any size. Output `mask`: uint8 [N, H, W], class indexes. The
        metadata carry `classes`, `palette` and `void`, as JSON.

        Args:
            network: folded.
        """
        extent = self.node("Shape", IMAGE, start=1, end=3)  # [H, W]
        logits = self._pyramid(network, self._features(network, self._prepare(extent)))
        logits = self._enlarge(logits, 4.0)
        logits = self.node("Slice", logits, self.ints(0, 0), extent, self.ints(2, 3))  # [N, classes, H, W]
        best = self.node("ArgMax", logits, axis=1, keepdims=0)
        self.node("Cast", best, to=TensorProto.UINT8, output=MASK)
        return self.finish(
            [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info(MASK, TensorProto.UINT8, ["N", "H", "W"])],
            name="street-segmenter",
            metadata={"classes": json.dumps(CLASSES), "palette": json.dumps(PALETTE), "void": str(VOID)},
        )

    def _prepare(self, extent: str) -> str:
        """Return float32 [N, 3, H, W] in [-1, 1], its sides filled up to multiples of the stride."""
        x = self.node("Transpose", self.node("Cast", IMAGE, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        x = self.node("Sub", self.node("Div", x, self.floats(127.5)), self.floats(1.0))
        missing = self.node("Mod", self.node("Neg", extent), self.ints(STRIDE))
        padding = self.node("Concat", self.ints(0, 0, 0, 0, 0, 0), missing, axis=0)
        return self.node("Pad", x, padding, mode="edge")

    def _features(self, network: SegmenterNetwork, x: str) -> list[str]:
        x = self._unit(network.features.stem, x)
        maps: list[str] = []
        for number, stage in enumerate(network.features.stages):
            for module in cast("nn.Sequential", stage):
                block = cast("Bottleneck", module)
                y = x if block.expand is None else self._unit(block.expand, x)
                y = self._unit(block.project, self._unit(block.filter, y))
                x = self.node("Add", y, x) if block.shortcut else y
            if number in TAPS:
                maps.append(x)
        return maps

    def _pyramid(self, network: SegmenterNetwork, maps: list[str]) -> str:
        gate = self.node("Sigmoid", self._plain(network.gate, self.node("GlobalAveragePool", maps[-1])))
        y = ""
        for level in reversed(range(len(TAPS))):
            lateral = self._unit(network.laterals[level], maps[level])
            y = self.node("Add", lateral, self._enlarge(y, 2.0)) if y else self.node("Mul", lateral, gate)
            y = self._unit(network.mixers[level], self._unit(network.filters[level], y))
        return self._plain(network.classify, y)

    def _enlarge(self, x: str, factor: float) -> str:
        sizes = self.vector(1.0, 1.0, factor, factor)
        return self.node("Resize", x, "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")

    def _unit(self, module: nn.Module, x: str) -> str:
        unit = cast("ConvUnit", module)
        if unit.norm is not None:
            raise ValueError("fold the network before it is written")
        x = self._plain(unit.conv, x, unit.padding if any(unit.padding) else None)
        return self.relu6(x) if unit.act else x

    def _plain(self, conv: nn.Conv2d, x: str, padding: tuple[int, int, int, int] | None = None) -> str:
        if conv.bias is None:
            raise ValueError("fold the network before it is written")
        around = int(conv.padding[0])
        weight, bias = self.half_weight(conv.weight.detach().numpy()), self.half_weight(conv.bias.detach().numpy())
        return self.convolution(x, conv, weight, bias, padding or (around, around, around, around))
