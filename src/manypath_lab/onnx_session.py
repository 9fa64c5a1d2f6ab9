"""ONNX graphs on the CPU as the worker runs them: onnxruntime, one thread unless told otherwise."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from manypath.errors import CheckpointError

if TYPE_CHECKING:
    import onnx


def open_session(graph: pathlib.Path | onnx.ModelProto, threads: int = 1) -> Any:
    """Return an onnxruntime session.

    Args:
        graph: a file, or a graph in memory.
        threads: of onnxruntime.

    Raises:
        CheckpointError: the file does not exist, or is no ONNX model that onnxruntime runs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    name, source = (str(graph), str(graph)) if isinstance(graph, pathlib.Path) else ("graph", graph.SerializeToString())
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime raises a dozen unrelated classes
        raise CheckpointError(f"{name} does not load: {err}") from err
