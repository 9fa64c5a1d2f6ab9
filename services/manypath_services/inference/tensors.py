"""Tensors of the Open Inference Protocol as numpy arrays, and back: a lie is found before it allocates."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from grpc import StatusCode

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.common.errors import ServiceError

Array = npt.NDArray[Any]
Tensor = pb.ModelInferRequest.InferInputTensor | pb.ModelInferResponse.InferOutputTensor

# Datatype: numpy's type, little-endian as raw contents are on every machine, and the list of typed contents.
_DATATYPES: dict[str, tuple[str, str | None]] = {
    "BOOL": ("?", "bool_contents"),
    "INT8": ("<i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT8": ("<u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "FP16": ("<f2", None),
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
    "BYTES": ("O", "bytes_contents"),
}
# A typed list passes through Python objects, tens of bytes an element; what is larger has to come raw.
_MAX_TYPED_ELEMENTS = 2**22
_MAX_AXES = 8
_SHARED_MEMORY = "shared_memory_region"  # Triton's clients say so in a parameter


class TensorError(ServiceError):
    """A tensor's datatype, shape and contents contradict each other."""

    code = StatusCode.INVALID_ARGUMENT


def read_tensor(tensor: Tensor, raw: bytes | None) -> Array:
    """Reads one tensor of a request or a response.

    Args:
        tensor: its description, and its elements if `raw` is None.
        raw: its entry in the message's raw contents.

    Returns:
        Array of the tensor's datatype and shape, read-only if it came raw; BYTES gives objects of type bytes.

    Raises:
        TensorError: datatype unknown, shape impossible, or contents that do not fit them.
    """
    if _SHARED_MEMORY in tensor.parameters:
        raise TensorError(
            f"tensor {tensor.name[:80]!r} lies in shared memory, which is not read here; send its contents"
        )
    if tensor.datatype not in _DATATYPES:
        raise TensorError(
            f"tensor {tensor.name!r} has datatype {tensor.datatype[:16]!r}, accepted are {', '.join(_DATATYPES)}"
        )
    shape = tuple(tensor.shape[: _MAX_AXES + 1])
    if len(shape) > _MAX_AXES or any(axis < 1 for axis in shape):
        raise TensorError(
            f"tensor {tensor.name[:80]!r} has shape {list(shape)}, accepted are at most {_MAX_AXES} axes of at least 1"
        )
    if raw is None:
        return _read_typed(tensor, shape)
    if tensor.HasField("contents"):
        raise TensorError(f"tensor {tensor.name!r} has typed and raw contents, accepted is one of the two")
    if tensor.datatype == "BYTES":
        return _read_raw_bytes(tensor.name, shape, raw)
    dtype = np.dtype(_DATATYPES[tensor.datatype][0])
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise TensorError(
            f"tensor {tensor.name!r} has {len(raw)} bytes of raw contents, "
            f"its shape {list(shape)} of {tensor.datatype} needs {expected}"
        )
    return np.frombuffer(raw, dtype).reshape(shape)


def datatype_of(array: Array) -> str:
    """The protocol's name for an array's type; objects are BYTES.

    Raises:
        TensorError: there is none.
    """
    for name, (code, _) in _DATATYPES.items():
        if np.dtype(code) == array.dtype.newbyteorder("<"):
            return name
    raise TensorError(f"numpy type {array.dtype} has no name in the Open Inference Protocol")


def write_raw(array: Array) -> bytes:
    """An array's raw contents; object arrays (of bytes) as BYTES."""
    if array.dtype == object:
        return b"".join(struct.pack("<I", len(element)) + element for element in array.ravel())
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _read_typed(tensor: Tensor, shape: tuple[int, ...]) -> Array:
    code, field = _DATATYPES[tensor.datatype]
    if field is None:
        raise TensorError(f"tensor {tensor.name!r} of {tensor.datatype} has no raw contents, it needs them")
    elements = getattr(tensor.contents, field)
    expected = math.prod(shape)
    if len(elements) != expected:
        raise TensorError(
            f"tensor {tensor.name!r} has {len(elements)} elements in {field}, "
            f"its shape {list(shape)} of {tensor.datatype} needs {expected}"
        )
    if expected > _MAX_TYPED_ELEMENTS:
        raise TensorError(
            f"tensor {tensor.name!r} has {expected} typed elements, accepted are {_MAX_TYPED_ELEMENTS}; "
            "send it as raw contents"
        )
    try:
        # numpy 1 would wrap a 300 in a UINT8 silently, so the list is read wide and narrowed when it fits
        wide = np.array(elements, dtype=object if code == "O" else None)
        array = wide.astype(np.dtype(code), casting="unsafe")
    except (TypeError, OverflowError) as err:
        raise TensorError(f"tensor {tensor.name!r} has elements that are no {tensor.datatype}") from err
    if array.dtype.kind in "iu" and expected and not np.array_equal(array, wide):
        raise TensorError(
            f"tensor {tensor.name!r} has elements from {wide.min()} to {wide.max()}, out of {tensor.datatype}"
        )
    return array.reshape(shape)


def _read_raw_bytes(name: str, shape: tuple[int, ...], raw: bytes) -> Array:
    elements: list[bytes] = []
    offset = 0
    while offset < len(raw):
        if offset + 4 > len(raw):
            raise TensorError(f"tensor {name!r} of BYTES ends inside a length, at byte {offset}")
        (length,) = struct.unpack_from("<I", raw, offset)
        offset += 4
        if offset + length > len(raw):
            raise TensorError(f"tensor {name!r} of BYTES claims {length} bytes at byte {offset} of {len(raw)}")
        elements.append(raw[offset : offset + length])
        offset += length
        if len(elements) > _MAX_TYPED_ELEMENTS:
            raise TensorError(f"tensor {name!r} has more than {_MAX_TYPED_ELEMENTS} elements of BYTES")
    if len(elements) != math.prod(shape):
        raise TensorError(
            f"tensor {name!r} has {len(elements)} elements of BYTES, its shape {list(shape)} needs {math.prod(shape)}"
        )
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)
