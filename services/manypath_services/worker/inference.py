"""One inference: an Open Inference request in, its response out; no transport, runs in any thread."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.inference.tasks import CLASS_COLOURS, CLASS_NAMES
from manypath_services.inference.tensors import Array, datatype_of, read_tensor, write_raw
from manypath_services.worker.model import InputError, Model

_CLASSIFICATION = "classification"
"""Parameter of a requested output, from Triton: the k best classes as text in place of all scores."""


def infer(model: Model, request: pb.ModelInferRequest, *, max_batch: int) -> pb.ModelInferResponse:
    """Runs one request.

    Args:
        model: the one that the request names.
        request: checked here, completely, before anything is computed.
        max_batch: largest first axis of an input; a network's memory grows with it, not with the bytes
            that came.

    Returns:
        The response, its tensors as raw contents. Its parameter `execution_providers` says what computed it; a
        segmenter's outputs carry the classes' names and colours.

    Raises:
        TensorError: a tensor contradicts itself.
        InputError: the tensors or the wanted outputs do not fit the model.
    """
    inputs = _read_inputs(model, request, max_batch)
    wanted = _wanted_outputs(model, request)
    results = model.run(inputs, [name for name, _ in wanted])

    response = pb.ModelInferResponse(
        model_name=model.manifest.name, model_version=model.manifest.version, id=request.id
    )
    response.parameters["execution_providers"].string_param = ",".join(model.providers)
    for (name, top_k), result in zip(wanted, results, strict=True):
        array = _best_classes(result, model.labels, top_k) if top_k else result
        output = response.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        if model.manifest.task in ("segmentation", "detection"):  # indexes mean nothing without names
            output.parameters[CLASS_NAMES].string_param = json.dumps(model.labels, ensure_ascii=False)
        if model.manifest.task == "segmentation":
            output.parameters[CLASS_COLOURS].string_param = json.dumps(model.colours)
        response.raw_output_contents.append(write_raw(array))
    return response


def _read_inputs(model: Model, request: pb.ModelInferRequest, max_batch: int) -> dict[str, Array]:
    specs = {spec.name: spec for spec in model.manifest.inputs}
    names = [tensor.name for tensor in request.inputs[: len(specs) + 1]]
    if sorted(names) != sorted(specs):
        found = [name[:80] for name in names[:8]]
        raise InputError(f"inputs are {found}, model {model.manifest.name!r} takes {sorted(specs)}")
    raw = request.raw_input_contents
    if raw and len(raw) != len(names):
        raise InputError(
            f"there are {len(raw)} raw_input_contents for {len(names)} inputs, accepted are none or as many"
        )
    arrays: dict[str, Array] = {}
    for position, tensor in enumerate(request.inputs):
        spec = specs[tensor.name]
        if not spec.accepts(tensor.datatype, tensor.shape):
            raise InputError(
                f"input {tensor.name!r} is {tensor.datatype[:16]} {list(tensor.shape[:9])}, "
                f"model {model.manifest.name!r} takes {spec}; -1 is any length"
            )
        if spec.shape and spec.shape[0] == -1 and tensor.shape[0] > max_batch:
            raise InputError(f"input {tensor.name!r} is a batch of {tensor.shape[0]}, accepted are at most {max_batch}")
        arrays[tensor.name] = read_tensor(tensor, raw[position] if raw else None)
    return arrays


def _wanted_outputs(model: Model, request: pb.ModelInferRequest) -> list[tuple[str, int]]:
    """Names of the wanted outputs, each with its top k or 0."""
    specs = {spec.name: spec for spec in model.manifest.outputs}
    if len(request.outputs) > len(specs):
        raise InputError(f"{len(request.outputs)} outputs are asked for, there are {sorted(specs)}")
    if not request.outputs:
        return [(name, 0) for name in specs]
    wanted: list[tuple[str, int]] = []
    for output in request.outputs:
        if output.name not in specs or output.name in (name for name, _ in wanted):
            raise InputError(f"output {output.name[:80]!r} is unknown or asked for twice, there are {sorted(specs)}")
        top_k = 0
        if _CLASSIFICATION in output.parameters:
            spec = specs[output.name]
            top_k = output.parameters[_CLASSIFICATION].int64_param
            if top_k < 1:
                raise InputError(f"{_CLASSIFICATION} must be an int64_param of at least 1, got {top_k}")
            if len(spec.shape) != 2 or not spec.datatype.startswith("FP"):
                raise InputError(f"{_CLASSIFICATION} needs scores of shape [N, classes], {output.name!r} is {spec}")
        wanted.append((output.name, top_k))
    return wanted


def _best_classes(scores: Array, labels: Sequence[str], top_k: int) -> Array:
    """The best classes of each row as bytes "score:index:label", best first.

    Args:
        scores: float [N, classes].
        labels: names by class index; if there are none the text is "score:index".
        top_k: how many, at most all.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]  # [N, k]
    best = np.empty(order.shape, dtype=object)
    for (row, rank), class_index in np.ndenumerate(order):
        index = int(class_index)
        text = f"{scores[row, index]:.7g}:{index}"
        best[row, rank] = (f"{text}:{labels[index]}" if index < len(labels) else text).encode()
    return best
