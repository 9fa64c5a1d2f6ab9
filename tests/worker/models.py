"""Small ONNX models, written node by node, and the folder that a worker expects around each."""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def write_model(
    folder: Path,
    graph: onnx.GraphProto,
    *,
    labels: list[str] | None = None,
    metadata: dict[str, str] | None = None,
    **changes: object,
) -> Path:
    """Writes a model's folder; `metadata` are the graph's, `changes` replace what the manifest says."""
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    (folder / "model.onnx").write_bytes(data)
    if labels is not None:
        (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    datatypes = {TensorProto.UINT8: "UINT8", TensorProto.FLOAT: "FP32"}

    def specs(values: Any) -> list[dict[str, object]]:
        return [
            {
                "name": value.name,
                "datatype": datatypes[value.type.tensor_type.elem_type],
                "shape": [axis.dim_value or -1 for axis in value.type.tensor_type.shape.dim],
            }
            for value in values
        ]

    manifest = {
        "name": folder.name,
        "task": "classification",
        "inputs": specs(graph.input),
        "outputs": specs(graph.output),
        "sha256": hashlib.sha256(data).hexdigest(),
        **changes,
    }
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def colours_graph() -> onnx.GraphProto:
    """The mean of each channel over 255, as scores: an image of one colour has a predictable answer."""
    return helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "white"], ["scores"]),
        ],
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        initializer=[
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("white", TensorProto.FLOAT, [], [255.0]),
        ],
    )


def prepared_graph() -> onnx.GraphProto:
    """The mean of each channel of prepared floats of one size."""
    return helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axes"], ["scores"], keepdims=0)],
        "prepared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        initializer=[helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )


def light_graph() -> onnx.GraphProto:
    """A segmenter of two classes: 1 where the mean of a pixel's channels is above 127, else 0."""
    return helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Greater", ["mean", "middle"], ["light"]),
            helper.make_node("Cast", ["light"], ["mask"], to=TensorProto.UINT8),
        ],
        "light",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, ["N", "H", "W"])],
        initializer=[
            helper.make_tensor("axes", TensorProto.INT64, [1], [3]),
            helper.make_tensor("middle", TensorProto.FLOAT, [], [127.0]),
        ],
    )


def channel_scores_graph() -> onnx.GraphProto:
    """A segmenter of three classes that gives their scores, for pictures of one size: the strongest channel wins."""
    return helper.make_graph(
        [helper.make_node("Identity", ["x"], ["logits"])],
        "channels",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, 8, 6])],
    )


def extremes_graph() -> onnx.GraphProto:
    """Neither classifier nor segmenter: the darkest and the lightest sample of each channel, as 8-bit numbers."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    return helper.make_graph(
        [
            helper.make_node("ReduceMin", ["image", "axes"], ["darkest"], keepdims=0),
            helper.make_node("ReduceMax", ["image", "axes"], ["lightest"], keepdims=0),
        ],
        "extremes",
        [image],
        [helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", 3]) for name in ("darkest", "lightest")],
        initializer=[helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )


def slow_graph() -> onnx.GraphProto:
    """A tenth of a second of matrix products for a single number."""
    products = [helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(8)]
    return helper.make_graph(
        [
            helper.make_node("Expand", ["x", "size"], ["m0"]),
            *products,
            helper.make_node("ReduceMax", ["m8", "axes"], ["maximum"], keepdims=1),
            helper.make_node("Reshape", ["maximum", "shape"], ["scores"]),
        ],
        "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1])],
        initializer=[
            helper.make_tensor("size", TensorProto.INT64, [2], [800, 800]),
            helper.make_tensor("axes", TensorProto.INT64, [2], [0, 1]),
            helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
        ],
    )


def boxes_graph(names: tuple[str, ...] = ("boxes", "scores", "classes", "count")) -> onnx.GraphProto:
    """A detector that always finds four things: the whole picture, as sure as it is light, and three fixed squares.

    Of its five rows the last is none, which only `count` says.
    """
    boxes, scores, classes, count = names
    fixed = [[2.0, 4.0, 12.0, 14.0], [1.0, 1.0, 5.0, 5.0], [-3.0, 0.0, 9.0, 9999.0], [7.0, 7.0, 8.0, 8.0]]
    floats, ints = TensorProto.FLOAT, TensorProto.INT64
    return helper.make_graph(
        [
            helper.make_node("Shape", ["image"], ["extent"], start=1, end=3),
            helper.make_node("Gather", ["extent", "turn"], ["sides"]),
            helper.make_node("Cast", ["sides"], ["far"], to=floats),
            helper.make_node("Concat", ["zeros", "far"], ["corners"], axis=0),
            helper.make_node("Unsqueeze", ["corners", "zero"], ["first"]),
            helper.make_node("Concat", ["first", "fixed"], ["all"], axis=0),
            helper.make_node("Unsqueeze", ["all", "zero"], [boxes]),
            helper.make_node("Cast", ["image"], ["x"], to=floats),
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "white"], ["light"]),
            helper.make_node("Unsqueeze", ["light", "one"], ["column"]),
            helper.make_node("Concat", ["column", "rest"], [scores], axis=1),
            helper.make_node("Identity", ["kinds"], [classes]),
            helper.make_node("Identity", ["four"], [count]),
        ],
        "boxes",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "H", "W", 3])],
        [
            helper.make_tensor_value_info(boxes, floats, [1, 5, 4]),
            helper.make_tensor_value_info(scores, floats, [1, 5]),
            helper.make_tensor_value_info(classes, floats, [1, 5]),
            helper.make_tensor_value_info(count, floats, [1, 1]),
        ],
        initializer=[
            helper.make_tensor("turn", ints, [2], [1, 0]),
            helper.make_tensor("zero", ints, [1], [0]),
            helper.make_tensor("one", ints, [1], [1]),
            helper.make_tensor("axes", ints, [3], [1, 2, 3]),
            helper.make_tensor("zeros", floats, [2], [0.0, 0.0]),
            helper.make_tensor("fixed", floats, [4, 4], [value for row in fixed for value in row]),
            helper.make_tensor("white", floats, [], [255.0]),
            helper.make_tensor("rest", floats, [1, 4], [0.9, 0.25, 0.6, 1.0]),
            helper.make_tensor("kinds", floats, [1, 5], [0.0, 1.0, 1.0, 2.0, 0.0]),
            helper.make_tensor("four", floats, [1, 1], [4.0]),
        ],
    )


def rows_graph() -> onnx.GraphProto:
    """A detector for pictures of 8x6 pixels with one output, a row of six for each box, filled up with zeros."""
    rows = [[1.0, 2.0, 3.0, 6.0, 0.8, 3.0], [0.0, 0.0, 6.0, 8.0, 0.5, 0.0], [0.0] * 6]
    return helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Mul", ["most", "zero"], ["nothing"]),
            helper.make_node("Add", ["found", "nothing"], ["output0"]),
        ],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 6])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 3, 6])],
        initializer=[
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("found", TensorProto.FLOAT, [1, 3, 6], [value for row in rows for value in row]),
        ],
    )


def endless_graph() -> onnx.GraphProto:
    """A loop whose condition never becomes false."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [1, 1]),
        ],
    )
    return helper.make_graph(
        [helper.make_node("Loop", ["", "forever", "x"], ["scores"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1])],
        initializer=[helper.make_tensor("forever", TensorProto.BOOL, [], [True])],
    )
