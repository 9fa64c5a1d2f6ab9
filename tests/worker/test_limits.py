"""Models that never end or read other files, requests that are larger than they look, and requests that go together."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.worker.external import refers_outside
from manypath_services.worker.model import ModelError, load_model
from tests.worker.conftest import Serve
from tests.worker.models import colours_graph, endless_graph, write_model
from tests.worker.test_servicer import on_worker, outputs


def endless_request() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="endless", raw_input_contents=[np.zeros(1, "<f4").tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1])
    return request


def picture_request(level: int, height: int = 4, width: int = 5) -> pb.ModelInferRequest:
    image = np.full((1, height, width, 3), level, np.uint8)
    request = pb.ModelInferRequest(model_name="colours", raw_input_contents=[image.tobytes()])
    request.inputs.add(name="image", datatype="UINT8", shape=image.shape)
    return request


def test_a_run_that_takes_too_long_is_ended_and_says_so(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "endless", endless_graph(), task="other")
    write_model(tmp_path / "colours", colours_graph())

    async def ask(stub: Any) -> tuple[grpc.aio.AioRpcError, Any]:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stub.ModelInfer(endless_request(), timeout=60)
        return ended.value, await stub.ModelInfer(picture_request(255), timeout=60)

    ended, after = on_worker(serve, ask, folder=tmp_path, inference_seconds=0.3)
    assert ended.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "took more than 0.3 s" in ended.details()
    assert outputs(after)["scores"].tolist() == [[1, 1, 1]]


def test_a_run_ends_when_its_caller_leaves(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "endless", endless_graph(), task="other")
    write_model(tmp_path / "colours", colours_graph())

    async def ask(stub: Any) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.ModelInfer(endless_request(), timeout=0.3)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return await stub.ModelInfer(picture_request(255), timeout=60)  # by the thread that the other one held

    assert outputs(on_worker(serve, ask, folder=tmp_path))["scores"].tolist() == [[1, 1, 1]]


def test_inputs_have_a_limit_of_elements(serve: Serve) -> None:
    async def ask(stub: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ModelInfer(picture_request(0, 10, 11), timeout=60)
        return refused.value

    refused = on_worker(serve, ask, max_elements=300)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "330 elements, accepted are at most 300" in refused.details()


def test_a_thin_picture_of_a_million_pixels_is_refused(serve: Serve) -> None:
    async def ask(stub: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ModelInfer(picture_request(0, 1, 1_000_000), timeout=60)
        return refused.value

    assert "axes of at most 16384" in on_worker(serve, ask).details()


def test_requests_that_wait_together_are_run_together_and_each_gets_its_own_answer(serve: Serve) -> None:
    async def ask(stub: Any) -> list[Any]:
        calls = [stub.ModelInfer(picture_request(level), timeout=60) for level in range(0, 255, 5)]
        others = [stub.ModelInfer(picture_request(level, 6, 6), timeout=60) for level in (51, 102)]
        return await asyncio.gather(*calls, *others)

    answers = on_worker(serve, ask, queue_limit=100)
    levels = [*range(0, 255, 5), 51, 102]
    for level, answer in zip(levels, answers, strict=True):
        assert outputs(answer)["scores"] == pytest.approx(np.full((1, 3), level / 255))


def external(folder: Path) -> Path:
    """A model whose weights lie in a file beside it."""
    write_model(folder, colours_graph())
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        tensor.raw_data = onnx.numpy_helper.to_array(tensor).tobytes()
        for field in ("int64_data", "float_data"):
            tensor.ClearField(field)
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, folder / "model.onnx")
    return folder


def test_a_model_that_reads_other_files_is_refused(tmp_path: Path) -> None:
    folder = external(tmp_path / "colours")
    assert (folder / "weights.bin").stat().st_size > 0
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    manifest = (folder / "model.json").read_text()
    old = manifest.split('"sha256": "')[1][:64]
    (folder / "model.json").write_text(manifest.replace(old, digest))
    with pytest.raises(ModelError, match="files beside"):
        load_model(folder)


def test_references_are_found_wherever_a_tensor_is() -> None:
    outside = onnx.TensorProto(dims=[1], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    inside = onnx.TensorProto(dims=[1], data_type=1, raw_data=bytes(4))
    branch = onnx.GraphProto(initializer=[outside])
    node = onnx.NodeProto(attribute=[onnx.AttributeProto(name="then_branch", g=branch)])
    sparse = onnx.SparseTensorProto(values=outside, indices=inside)
    constant = onnx.NodeProto(attribute=[onnx.AttributeProto(name="value", t=outside)])
    for model, found in (
        (onnx.ModelProto(graph=onnx.GraphProto(initializer=[inside])), False),
        (onnx.ModelProto(graph=onnx.GraphProto(initializer=[inside, outside])), True),
        (onnx.ModelProto(graph=onnx.GraphProto(node=[node])), True),
        (onnx.ModelProto(graph=onnx.GraphProto(node=[constant])), True),
        (onnx.ModelProto(graph=onnx.GraphProto(sparse_initializer=[sparse])), True),
        (onnx.ModelProto(functions=[onnx.FunctionProto(node=[constant])]), True),
    ):
        assert refers_outside(model.SerializeToString()) is found
    assert not refers_outside(b"no model at all")
