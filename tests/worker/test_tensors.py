"""Open Inference tensors: what is written is read back, and a lie is an error before it is an allocation."""

import numpy as np
import pytest

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.inference.tensors import Array, TensorError, datatype_of, read_tensor, write_raw

Input = pb.ModelInferRequest.InferInputTensor

ARRAYS = [
    np.array([[True, False, True]]),
    *(np.array([[0, 1], [100, 127]], dtype=f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(np.array([0.5, -2.25, np.inf], dtype=f"float{bits}") for bits in (16, 32, 64)),
    np.array([b"", b"label", b"\xff\x00"], dtype=object),
]
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def describe(array: Array) -> Input:
    return Input(name="x", datatype=datatype_of(array), shape=array.shape)


@pytest.mark.parametrize("array", ARRAYS, ids=datatype_of)
def test_raw_contents_come_back_as_they_were(array: Array) -> None:
    read = read_tensor(describe(array), write_raw(array))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("array", [a for a in ARRAYS if a.dtype != np.float16], ids=datatype_of)
def test_typed_contents_come_back_as_they_were(array: Array) -> None:
    tensor = describe(array)
    getattr(tensor.contents, CONTENTS[tensor.datatype]).extend(array.ravel().tolist())
    read = read_tensor(tensor, None)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_raw_contents_are_little_endian_whatever_the_array_is() -> None:
    big = np.array([1, 258], dtype=">i4")
    assert datatype_of(big) == "INT32"
    assert write_raw(big) == b"\x01\x00\x00\x00\x02\x01\x00\x00"


def test_a_numpy_type_without_a_name_is_refused() -> None:
    with pytest.raises(TensorError, match="complex128 has no name"):
        datatype_of(np.zeros(1, complex))


def in_shared_memory() -> Input:
    tensor = Input(name="x", datatype="UINT8", shape=[1])
    tensor.parameters["shared_memory_region"].string_param = "region"
    return tensor


@pytest.mark.parametrize(
    ("tensor", "raw", "message"),
    [
        (Input(name="x", datatype="FP8", shape=[1]), b"1", "has datatype 'FP8', accepted are BOOL"),
        (Input(name="x", datatype="UINT8", shape=[-1]), b"", "none of them|at least 1"),
        (Input(name="x", datatype="UINT8", shape=[0]), b"", "at least 1"),
        (Input(name="x", datatype="UINT8", shape=[1] * 9), b"1", "at most 8 axes"),
        (Input(name="x", datatype="UINT8", shape=[3]), b"12", "has 2 bytes of raw contents, .* needs 3"),
        (Input(name="x", datatype="FP32", shape=[1]), b"12345", "has 5 bytes of raw contents, .* needs 4"),
        (Input(name="x", datatype="UINT8", shape=[2**62, 2**62]), b"1", "needs 2126764793255865396646"),
        (Input(name="x", datatype="UINT8", shape=[2**62, 2**62]), None, "has 0 elements in uint_contents"),
        (
            Input(name="x", datatype="UINT8", shape=[1], contents=pb.InferTensorContents(uint_contents=[1])),
            b"1",
            "has typed and raw contents",
        ),
        (
            Input(name="x", datatype="UINT8", shape=[2], contents=pb.InferTensorContents(uint_contents=[1, 256])),
            None,
            "elements from 1 to 256, out of UINT8",
        ),
        (
            Input(name="x", datatype="INT8", shape=[1], contents=pb.InferTensorContents(int_contents=[-129])),
            None,
            "out of INT8",
        ),
        (
            Input(name="x", datatype="UINT8", shape=[1], contents=pb.InferTensorContents(int_contents=[1])),
            None,
            "has 0 elements in uint_contents",
        ),
        (in_shared_memory(), None, "lies in shared memory, which is not read here"),
        (Input(name="x", datatype="FP16", shape=[1]), None, "of FP16 has no raw contents, it needs them"),
        (Input(name="x", datatype="BYTES", shape=[1]), b"\x05\x00\x00", "ends inside a length, at byte 0"),
        (Input(name="x", datatype="BYTES", shape=[1]), b"\xff\xff\xff\xffab", "claims 4294967295 bytes"),
        (Input(name="x", datatype="BYTES", shape=[1]), b"\x00\x00\x00\x00" * 2, "has 2 elements of BYTES"),
        (Input(name="x", datatype="BYTES", shape=[2**40]), b"", "has 0 elements of BYTES"),
    ],
)
def test_a_lie_is_named(tensor: Input, raw: bytes | None, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        read_tensor(tensor, raw)
