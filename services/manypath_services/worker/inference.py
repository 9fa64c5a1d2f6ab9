"""Inference: Open Inference requests in, their responses out; no transport, runs in any thread."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.inference.tasks import CLASS_COLOURS, CLASS_NAMES
from manypath_services.inference.tensors import Array, TensorError, datatype_of, read_tensor, write_raw
from manypath_services.worker.limits import Limits
from manypath_services.worker.model import InputError, Model

_CLASSIFICATION = "classification"
_SHARED_MEMORY = "shared_memory_region"  # of Triton's clients
"""Parameter of a requested output, from Triton: the k best classes as text in place of all scores."""


class Order(NamedTuple):
    """One request, checked as far as that needs no tensor to be read."""

    model: Model
    request: pb.ModelInferRequest
    wanted: list[tuple[str, int]]  # names of outputs, each with its top k or 0
    elements: int

    @property
    def batch_key(self) -> Hashable | None:
        """What requests must have in common to be run together; None runs alone."""
        inputs = self.request.inputs
        if not self.model.batches or any(tensor.shape[0] != 1 for tensor in inputs):
            return None
        shapes = tuple((tensor.name, tuple(tensor.shape)) for tensor in inputs)
        return (self.model.manifest.name, shapes, tuple(name for name, _ in self.wanted))


def check(model: Model, request: pb.ModelInferRequest, limits: Limits) -> Order:
    """Refuse what the model cannot take, before a tensor is read.

    Raises:
        InputError: the tensors or the wanted outputs do not fit the model, or are larger than accepted.
    """
    elements = _check_inputs(model, request, limits)
    return Order(model, request, _wanted_outputs(model, request), elements)


def infer_together(orders: Sequence[Order], limits: Limits) -> list[pb.ModelInferResponse | Exception]:
    """Run requests of one ``batch_key``.

    Returns:
        For each its response, tensors as raw contents, or the error that it alone has. The parameter
        `execution_providers` says what computed it; a segmenter's outputs carry the classes' names and colours.
    """
    model = orders[0].model
    answers: dict[int, pb.ModelInferResponse | Exception] = {}
    read: dict[int, dict[str, Array]] = {}
    for number, order in enumerate(orders):
        try:
            read[number] = _read_inputs(order)
        except TensorError as err:
            answers[number] = err
    if read:
        names = [name for name, _ in orders[0].wanted]
        together = {
            name: np.concatenate([inputs[name] for inputs in read.values()]) if len(read) > 1 else array
            for name, array in next(iter(read.values())).items()
        }
        results = model.run(together, names, seconds=limits.seconds)
        if len(read) > 1 and any(len(result) != len(read) for result in results):
            raise InputError(f"model {model.manifest.name!r} does not answer row by row")  # each is then run alone
        for row, number in enumerate(read):
            own = [result[row : row + 1] for result in results] if len(read) > 1 else results
            answers[number] = _response(orders[number], own)
    return [answers[number] for number in range(len(orders))]


def _response(order: Order, results: Sequence[Array]) -> pb.ModelInferResponse:
    model = order.model
    response = pb.ModelInferResponse(
        model_name=model.manifest.name, model_version=model.manifest.version, id=order.request.id
    )
    response.parameters["execution_providers"].string_param = ",".join(model.providers)
    for (name, top_k), result in zip(order.wanted, results, strict=True):
        array = _best_classes(result, model.labels, top_k) if top_k else result
        output = response.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        if model.manifest.task in ("segmentation", "detection"):  # indexes mean nothing without names
            output.parameters[CLASS_NAMES].string_param = json.dumps(model.labels, ensure_ascii=False)
        if model.manifest.task == "segmentation":
            output.parameters[CLASS_COLOURS].string_param = json.dumps(model.colours)
        response.raw_output_contents.append(write_raw(array))
    return response


def _check_inputs(model: Model, request: pb.ModelInferRequest, limits: Limits) -> int:
    """Check names and shapes, and return the elements of all inputs."""
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
    elements = 0
    for tensor in request.inputs:
        spec = specs[tensor.name]
        shown = list(tensor.shape[:9])
        if not spec.accepts(tensor.datatype, tensor.shape):
            raise InputError(
                f"input {tensor.name!r} is {tensor.datatype[:16]} {shown}, "
                f"model {model.manifest.name!r} takes {spec}; -1 is any length"
            )
        if spec.shape and spec.shape[0] == -1 and tensor.shape[0] > limits.rows:
            raise InputError(
                f"input {tensor.name!r} is a batch of {tensor.shape[0]}, accepted are at most {limits.rows}"
            )
        if len(tensor.shape) > 2 and max(tensor.shape[1:]) > limits.side:
            raise InputError(f"input {tensor.name!r} is {shown}, accepted are axes of at most {limits.side}")
        elements += math.prod(tensor.shape)
    if elements > limits.elements:
        raise InputError(f"the inputs have {elements} elements, accepted are at most {limits.elements}")
    return elements


def _read_inputs(order: Order) -> dict[str, Array]:
    raw = order.request.raw_input_contents
    return {
        tensor.name: read_tensor(tensor, raw[position] if raw else None)
        for position, tensor in enumerate(order.request.inputs)
    }


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
        if _SHARED_MEMORY in output.parameters:
            raise InputError(f"output {output.name!r} cannot go to shared memory; answers carry their contents")
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
