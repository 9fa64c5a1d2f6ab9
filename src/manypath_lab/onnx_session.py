"""ONNX graphs on the CPU as the worker runs them: onnxruntime, one thread unless told otherwise."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from manypath.errors import CheckpointError


def read_graph(file: pathlib.Path) -> bytes:
    """Return an ONNX file.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as err:
        raise CheckpointError(
            f"{file} cannot be read: {err.strerror}; `manypath lab segmenter export` writes one, `detector` too"
        ) from err


def open_session(graph: pathlib.Path | bytes, outputs: Sequence[str], threads: int = 1) -> Any:
    """Return an onnxruntime session of a network that takes ``image``.

    Args:
        graph: a file, or its bytes.
        outputs: names of what it gives, in their order.
        threads: of onnxruntime.

    Raises:
        CheckpointError: the file does not exist, is no ONNX model that onnxruntime runs, or has
                other inputs or outputs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name, source = ("the model", graph) if isinstance(graph, bytes) else (str(graph), read_graph(graph))
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime raises a dozen unrelated classes
        raise CheckpointError(f"{name} does not load: {err}") from err
    names = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
    if names != ["image", *outputs]:
        raise CheckpointError(f"{name} must take image and give {', '.join(outputs)}; it has {', '.join(names)}")
    return session
