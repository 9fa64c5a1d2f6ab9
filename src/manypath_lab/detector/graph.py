"""Writes the detector as an ONNX graph, operator by operator: 8-bit pictures in, boxes in their pixels out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import nn

from manypath_lab.detector.network import (
    BINS,
    CLASSES,
    DEVIATION,
    INPUT_SIDE,
    LARGEST_STRIDE,
    MEAN,
    SLOPE,
    STRIDES,
    Backbone,
    DetectorNetwork,
    Head,
    Neck,
    Stage,
)
from manypath_lab.graph_writer import GraphWriter

IMAGE = "image"
BOXES, SCORES, CLASS_INDEXES, COUNT = "boxes", "scores", "classes", "count"
MOST_BOXES = 100
"""Boxes of one picture, as COCO's evaluation has it."""
LEAST_SCORE = 0.05
"""Boxes below it are not given; whoever asks for more certainty drops the rest, which changes none of the others."""
OVERLAP_LIMIT = 0.5
"""A box that overlaps a better one of its class by more (intersection over union) is dropped."""


class DetectorGraph(GraphWriter):
    """Follows ``DetectorNetwork.forward``, with pre-processing before it and decoding and suppression behind it."""

    def convert(self, network: DetectorNetwork, names: Sequence[str]) -> onnx.ModelProto:
        """Return the model.

        Input `image`: uint8 [N, H, W, 3], RGB, any size. Outputs, one row per picture, best box first, filled up to
        ``MOST_BOXES`` so that any server may batch and split them:

        - `boxes`: float32 [N, 100, 4], left, top, right, bottom in pixels of `image`; filled with 0;
        - `scores`: float32 [N, 100], 0..1; filled with 0;
        - `classes`: int32 [N, 100]; filled with -1;
        - `count`: int32 [N, 1], how many are boxes.

        The metadata carry `classes`, a JSON list of names.

        Args:
            network: the detector.
            names: of its classes.
        """
        extent = self.node("Shape", IMAGE, start=1, end=3)  # [H, W]
        x, shown = self._prepare(extent)
        maps = [self._head(head, features) for head, features in self._heads(network, x)]
        rows = [self.node("Reshape", self.node("Transpose", m, perm=[0, 2, 3, 1]), self.ints(0, -1, 124)) for m in maps]
        cells = self.node("Concat", *rows, axis=1)  # [N, cells, 124]
        logits = self.node("Slice", cells, self.ints(0), self.ints(CLASSES), self.ints(2))
        bins = self.node("Slice", cells, self.ints(CLASSES), self.ints(CLASSES + 4 * BINS), self.ints(2))
        boxes = self._boxes(bins, self._anchors(maps), shown)  # [N, cells, 4]
        scores = self.node("Transpose", self.node("Sigmoid", logits), perm=[0, 2, 1])  # [N, classes, cells]
        self._choose(boxes, scores, self._enlargement(extent, shown))
        return self.finish(
            [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["N", "H", "W", 3])],
            [
                helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, ["N", MOST_BOXES, 4]),
                helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["N", MOST_BOXES]),
                helper.make_tensor_value_info(CLASS_INDEXES, TensorProto.INT32, ["N", MOST_BOXES]),
                helper.make_tensor_value_info(COUNT, TensorProto.INT32, ["N", 1]),
            ],
            name="nanodet-g",
            metadata={"classes": json.dumps(list(names))},
        )

    def _prepare(self, extent: str) -> tuple[str, str]:
        """Bring the longer side to ``INPUT_SIDE`` and fill up with black, right and below.

        Returns:
            Names of float32 [N, 3, H', W'], normalised, and of int64 [2], the part of it that is the picture.
        """
        longer = self.node("ReduceMax", extent, keepdims=1)
        # Rounded to the nearest in whole numbers, at least a pixel: (2 * side * 416 + longer) // (2 * longer).
        doubled = self.node("Add", self.node("Mul", extent, self.ints(2 * INPUT_SIDE)), longer)
        shown = self.node("Max", self.node("Div", doubled, self.node("Mul", longer, self.ints(2))), self.ints(1))
        x = self.resized(IMAGE, shown)
        missing = self.node("Mod", self.node("Neg", shown), self.ints(LARGEST_STRIDE))
        x = self.node("Pad", x, self.node("Concat", self.ints(0, 0, 0, 0, 0, 0), missing, axis=0))
        # The weights take blue first; here they are turned around instead of the picture.
        mean, deviation = (np.asarray(values[::-1], np.float32).reshape(3, 1, 1) for values in (MEAN, DEVIATION))
        return self.node("Div", self.node("Sub", x, self.constant(mean)), self.constant(deviation)), shown

    def _heads(self, network: DetectorNetwork, x: str) -> list[tuple[Head, str]]:
        features = self._neck(network.neck, self._backbone(network.backbone, x))
        return [(head, name) for head, name in zip(network.head, features, strict=True) if isinstance(head, Head)]

    def _backbone(self, backbone: Backbone, x: str) -> list[str]:
        x = self._act(self._conv(backbone.stem, x, turned=True))
        x = self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        maps = []
        for stage in backbone.stages:
            x = self._stage(stage, x)
            maps.append(x)
        return maps[1:]

    def _stage(self, stage: Stage, x: str) -> str:
        first = y = self._act(self._conv(stage.in_conv, x))
        for block in stage.blocks:
            u = self._act(self._conv(block.get_submodule("conv1"), y))
            y = self.node("Concat", self._act(self._conv(block.get_submodule("conv2"), u)), u, axis=1)
        return self.node("Concat", self._act(self._conv(stage.out_conv, y)), first, axis=1)

    def _neck(self, neck: Neck, maps: list[str]) -> list[str]:
        fine, middle, coarse = (self._conv(lateral, x) for lateral, x in zip(neck.lateral, maps, strict=True))
        middle = self.node("Add", middle, self._double(coarse))
        fine = self.node("Add", fine, self._double(middle))
        middle = self.node("Add", middle, self._halve(fine))
        return [fine, middle, self.node("Add", coarse, self._halve(middle))]

    def _head(self, head: Head, x: str) -> str:
        return self._conv(head.out, self._act(self._conv(head.conv, x)))

    def _anchors(self, maps: list[str]) -> tuple[str, str]:
        """Return names of the cells' centres, float32 [cells, 2] as x, y, and strides, float32 [cells, 1]."""
        centres, strides = [], []
        for stride, name in zip(STRIDES, maps, strict=True):
            sides = [self.node("Shape", name, start=axis, end=axis + 1) for axis in (2, 3)]
            along = [self._centres(side, stride) for side in sides]
            grid = self.node("Concat", *sides, axis=0)  # [h, w]
            y = self.node("Expand", self.node("Unsqueeze", along[0], self.ints(1)), grid)
            x = self.node("Expand", self.node("Unsqueeze", along[1], self.ints(0)), grid)
            both = self.node("Concat", *(self.node("Reshape", axis, self.ints(-1, 1)) for axis in (x, y)), axis=1)
            centres.append(both)
            first = self.node("Slice", both, self.ints(0), self.ints(1), self.ints(1))
            strides.append(self.node("Add", self.node("Mul", first, self.floats(0.0)), self.floats(stride)))
        return self.node("Concat", *centres, axis=0), self.node("Concat", *strides, axis=0)

    def _centres(self, side: str, stride: int) -> str:
        scalar = self.node("Squeeze", side)
        zero, one = (self.constant(np.array(value, np.int64)) for value in (0, 1))
        steps = self.node("Cast", self.node("Range", zero, scalar, one), to=TensorProto.FLOAT)
        return self.node("Mul", self.node("Add", steps, self.floats(0.5)), self.floats(stride))

    def _boxes(self, bins: str, anchors: tuple[str, str], shown: str) -> str:
        """Return boxes in pixels of the network's input, clipped to the picture's part, float32 [N, cells, 4]."""
        centres, strides = anchors
        shares = self.node("Softmax", self.node("Reshape", bins, self.ints(0, 0, 4, BINS)), axis=3)
        mean = self.node("MatMul", shares, self.vector(*range(BINS)))  # [N, cells, 4]
        distance = self.node("Mul", mean, strides)
        near, far = (
            self.node("Slice", distance, self.ints(start), self.ints(start + 2), self.ints(2)) for start in (0, 2)
        )
        corners = [self.node("Sub", centres, near), self.node("Add", centres, far)]
        limit = self._turn(self.node("Cast", shown, to=TensorProto.FLOAT))
        clipped = [self.node("Max", self.node("Min", corner, limit), self.floats(0.0)) for corner in corners]
        return self.node("Concat", *clipped, axis=2)

    def _enlargement(self, extent: str, shown: str) -> str:
        """Return what brings boxes back to the picture's own pixels, float32 [4]."""
        factors = self.node("Div", *(self.node("Cast", size, to=TensorProto.FLOAT) for size in (extent, shown)))
        factors = self._turn(factors)
        return self.node("Concat", factors, factors, axis=0)

    def _choose(self, boxes: str, scores: str, enlargement: str) -> None:
        """Add suppression within each class, then the choice of the best boxes of each picture."""
        most = self.ints(MOST_BOXES)
        kept = self.node(
            "NonMaxSuppression", boxes, scores, most, self.floats(OVERLAP_LIMIT), self.floats(LEAST_SCORE)
        )  # [K, 3]: picture, class, cell
        nothing = self.node("Mul", scores, self.floats(0.0))
        kept_scores = self.node("ScatterND", nothing, kept, self.node("GatherND", scores, kept))
        flat = self.node("Reshape", kept_scores, self.ints(0, -1))  # [N, classes * cells]
        best, place = self.top(flat, most)
        cells = self.node("Shape", scores, start=2, end=3)
        cell = self.node("Mod", place, cells)
        found = self.node("Greater", best, self.floats(0.0))  # [N, 100]
        index = self.node("Expand", self.node("Unsqueeze", cell, self.ints(2)), self.ints(1, 1, 4))
        chosen = self.node("Mul", self.node("GatherElements", boxes, index, axis=1), enlargement)
        mask = self.node("Unsqueeze", self.node("Cast", found, to=TensorProto.FLOAT), self.ints(2))
        self.node("Mul", chosen, mask, output=BOXES)
        self.node("Identity", best, output=SCORES)
        named = self.node("Where", found, self.node("Div", place, cells), self.ints(-1))
        self.node("Cast", named, to=TensorProto.INT32, output=CLASS_INDEXES)
        numbers = self.node("Cast", found, to=TensorProto.INT32)
        self.node("ReduceSum", numbers, self.ints(1), keepdims=1, output=COUNT)

    def _turn(self, pair: str) -> str:
        """Return a pair of height and width as width and height."""
        return self.node("Gather", pair, self.ints(1, 0), axis=0)

    def _conv(self, module: nn.Module, x: str, *, turned: bool = False) -> str:
        if not isinstance(module, nn.Conv2d) or module.bias is None:
            raise TypeError(f"the detector consists of convolutions with bias; got {type(module).__name__}")
        weight = module.weight.detach()
        around = int(module.padding[0])
        return self.convolution(
            *(x, module),
            self.half_weight((weight.flip(1) if turned else weight).numpy()),
            self.half_weight(module.bias.detach().numpy()),
            (around, around, around, around),
        )

    def _act(self, x: str) -> str:
        return self.node("LeakyRelu", x, alpha=SLOPE)

    def _double(self, x: str) -> str:
        scales = self.vector(1.0, 1.0, 2.0, 2.0)
        return self.node("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def _halve(self, x: str) -> str:
        return self.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
