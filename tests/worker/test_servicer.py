"""The worker over the wire: what the protocol promises, and a clear refusal for everything else."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.inference.tensors import Array, read_tensor
from tests.worker.conftest import Serve
from tests.worker.models import slow_graph, write_model

Stub = pb_grpc.GRPCInferenceServiceStub


def on_worker(serve: Serve, call: Callable[[Stub], Awaitable[Any]], **settings: Any) -> Any:
    """Runs one or more calls against a worker that lives as long as they do."""

    async def run() -> Any:
        async with serve(**settings) as target:
            options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
            async with grpc.aio.insecure_channel(target, options=options) as channel:
                return await call(Stub(channel))

    return asyncio.run(run())


def refusal(serve: Serve, request: pb.ModelInferRequest, **settings: Any) -> tuple[grpc.StatusCode, str]:
    """The status of a request that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        on_worker(serve, lambda stub: stub.ModelInfer(request), **settings)
    return error.value.code(), error.value.details() or ""


def picture(colour: tuple[int, int, int], height: int = 5, width: int = 7) -> Array:
    return np.full((1, height, width, 3), colour, np.uint8)


def colours_request(images: Array, **fields: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="colours", **fields)
    request.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    request.raw_input_contents.append(images.tobytes())
    return request


def outputs(response: pb.ModelInferResponse) -> dict[str, Array]:
    assert len(response.outputs) == len(response.raw_output_contents)
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return {tensor.name: read_tensor(tensor, raw) for tensor, raw in pairs}


def test_metadata_say_what_the_model_takes(serve: Serve) -> None:
    async def ask(stub: Stub) -> tuple[Any, ...]:
        return (
            await stub.ServerLive(pb.ServerLiveRequest()),
            await stub.ServerReady(pb.ServerReadyRequest()),
            await stub.ServerMetadata(pb.ServerMetadataRequest()),
            await stub.ModelReady(pb.ModelReadyRequest(name="colours")),
            await stub.ModelReady(pb.ModelReadyRequest(name="colours", version="2")),
            await stub.ModelReady(pb.ModelReadyRequest(name="sounds")),
            await stub.ModelMetadata(pb.ModelMetadataRequest(name="colours")),
        )

    live, ready, server, model_ready, other_version, other_model, model = on_worker(serve, ask)
    assert live.live
    assert ready.ready
    assert (server.name, list(server.extensions)) == ("manypath-worker", ["classification"])
    assert model_ready.ready
    assert not other_version.ready
    assert not other_model.ready
    assert (model.name, list(model.versions), model.platform) == ("colours", ["1"], "onnxruntime_onnx")
    assert [(i.name, i.datatype, list(i.shape)) for i in model.inputs] == [("image", "UINT8", [-1, -1, -1, 3])]
    assert [(o.name, o.datatype, list(o.shape)) for o in model.outputs] == [("scores", "FP32", [-1, 3])]


def test_a_batch_of_pictures_of_any_size_is_scored(serve: Serve) -> None:
    images = np.concatenate([picture((255, 0, 51)), picture((0, 102, 0))])
    response = on_worker(serve, lambda stub: stub.ModelInfer(colours_request(images, id="abc")))
    assert (response.model_name, response.model_version, response.id) == ("colours", "1", "abc")
    assert response.parameters["execution_providers"].string_param == "CPUExecutionProvider"
    np.testing.assert_allclose(outputs(response)["scores"], [[1, 0, 0.2], [0, 0.4, 0]], atol=1e-6)


def test_typed_contents_give_the_same_answer(serve: Serve) -> None:
    image = picture((255, 0, 51))
    typed = pb.ModelInferRequest(model_name="colours", model_version="1")
    contents = pb.InferTensorContents(uint_contents=image.ravel().tolist())
    typed.inputs.add(name="image", datatype="UINT8", shape=image.shape, contents=contents)
    response = on_worker(serve, lambda stub: stub.ModelInfer(typed))
    np.testing.assert_allclose(outputs(response)["scores"], [[1, 0, 0.2]], atol=1e-6)


def test_classification_gives_the_best_classes_with_their_names(serve: Serve) -> None:
    request = colours_request(np.concatenate([picture((255, 0, 51)), picture((0, 102, 51))]))
    request.outputs.add(name="scores").parameters["classification"].int64_param = 2
    scores = outputs(on_worker(serve, lambda stub: stub.ModelInfer(request)))["scores"]
    assert scores.tolist() == [
        [b"1:0:red", b"0.2:2:blue: of the sky"],
        [b"0.4:1:green", b"0.2:2:blue: of the sky"],
    ]


def test_classification_without_names_gives_indexes_and_at_most_all_of_them(serve: Serve) -> None:
    x = np.zeros((1, 3, 8, 6), np.float32)
    x[0, 1] = 0.5
    request = pb.ModelInferRequest(model_name="prepared", raw_input_contents=[x.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=x.shape)
    request.outputs.add(name="scores").parameters["classification"].int64_param = 9
    scores = outputs(on_worker(serve, lambda stub: stub.ModelInfer(request)))["scores"]
    assert scores.tolist() == [[b"0.5:1", b"0:0", b"0:2"]]


def test_requests_at_once_each_get_their_own_answer(serve: Serve) -> None:
    async def ask(stub: Stub) -> list[Any]:
        requests = [colours_request(picture((level, 0, 0), 64, 48), id=str(level)) for level in range(8)]
        return await asyncio.gather(*(stub.ModelInfer(request) for request in requests))

    responses = on_worker(serve, ask)
    assert [response.id for response in responses] == [str(level) for level in range(8)]
    reds = [outputs(response)["scores"][0, 0] for response in responses]
    np.testing.assert_allclose(reds, np.arange(8) / 255, atol=1e-6)


IMAGE = picture((1, 2, 3))


def changed(**fields: Any) -> pb.ModelInferRequest:
    """A good request with fields of its input replaced; `raw` replaces the raw contents."""
    request = colours_request(IMAGE)
    raw = fields.pop("raw", None)
    if raw is not None:
        del request.raw_input_contents[:]
        request.raw_input_contents.extend(raw)
    shape = fields.pop("shape", None)
    if shape is not None:
        del request.inputs[0].shape[:]
        request.inputs[0].shape.extend(shape)
    for name, value in fields.items():
        setattr(request.inputs[0], name, value)
    return request


def asking_for(name: str, **parameter: Any) -> pb.ModelInferRequest:
    request = colours_request(IMAGE)
    output = request.outputs.add(name=name)
    if parameter:
        output.parameters["classification"].CopyFrom(pb.InferParameter(**parameter))
    return request


def two_inputs() -> pb.ModelInferRequest:
    request = colours_request(IMAGE)
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(IMAGE.tobytes())
    return request


def prepared_of(shape: list[int], x: bytes) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="prepared", raw_input_contents=[x])
    request.inputs.add(name="x", datatype="FP32", shape=shape)
    return request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (changed(datatype="FP32"), "input 'image' is FP32 [1, 5, 7, 3], model 'colours' takes UINT8"),
        (changed(datatype="BYTES"), "model 'colours' takes UINT8 [-1, -1, -1, 3]"),
        (changed(datatype="D" * 100_000), "input 'image' is DDDDDDDDDDDDDDDD [1, 5, 7, 3]"),
        (changed(name="n" * 100_000), "inputs are ['nnn"),
        (asking_for("o" * 100_000), "is unknown"),
        (changed(datatype=""), "model 'colours' takes UINT8"),
        (changed(name="picture"), "inputs are ['picture'], model 'colours' takes ['image']"),
        (changed(shape=[5, 7, 3]), "input 'image' is UINT8 [5, 7, 3]"),
        (changed(shape=[1, 5, 7, 4]), "input 'image' is UINT8 [1, 5, 7, 4]"),
        (changed(shape=[1, 5, -7, 3]), "at least 1"),
        (changed(shape=[1, 0, 7, 3]), "at least 1"),
        (changed(shape=[1] * 5000), "input 'image' is UINT8 [1, 1, 1, 1, 1, 1, 1, 1, 1], model"),
        (changed(shape=[1, 2**40, 2**20, 3]), "accepted are axes of at most 16384"),
        (changed(shape=[1, 16384, 16384, 3]), f"the inputs have {3 * 2**28} elements, accepted are at most"),
        (changed(shape=[5, 1, 7, 3]), "is a batch of 5, accepted are at most 4"),
        (changed(shape=[2**31, 1, 1, 3]), "is a batch of 2147483648, accepted are at most 4"),
        (
            changed(raw=[IMAGE.tobytes()[:-1]]),
            "has 104 bytes of raw contents, its shape [1, 5, 7, 3] of UINT8",
        ),
        (changed(raw=[IMAGE.tobytes() + b"1"]), "has 106 bytes of raw contents"),
        (changed(raw=[b""]), "has 0 bytes of raw contents"),
        (changed(raw=[]), "has 0 elements in uint_contents"),
        (changed(raw=[IMAGE.tobytes()] * 2), "there are 2 raw_input_contents for 1 inputs"),
        (two_inputs(), "inputs are ['image', 'image']"),
        (pb.ModelInferRequest(model_name="colours"), "inputs are [], model 'colours' takes ['image']"),
        (asking_for("labels"), "output 'labels' is unknown or asked for twice, there are ['scores']"),
        (asking_for("scores", int64_param=0), "at least 1, got 0"),
        (asking_for("scores", int64_param=-3), "at least 1, got -3"),
        (asking_for("scores", string_param="5"), "at least 1, got 0"),
        (prepared_of([1, 3, 8, 7], b"\0" * 672), "takes FP32 [-1, 3, 8, 6]"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    serve: Serve, request_: pb.ModelInferRequest, message: str
) -> None:
    code, details = refusal(serve, request_)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert len(details) < 1000


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("sounds", "", "there is no model 'sounds', there are ['colours', 'prepared']"),
        ("colours", "2", "version '2'"),
    ],
)
def test_a_model_that_is_not_there_is_not_found(serve: Serve, name: str, version: str, message: str) -> None:
    request = colours_request(IMAGE)
    request.model_name, request.model_version = name, version
    code, details = refusal(serve, request)
    assert code is grpc.StatusCode.NOT_FOUND
    assert message in details
    with pytest.raises(grpc.aio.AioRpcError) as error:
        on_worker(serve, lambda stub: stub.ModelMetadata(pb.ModelMetadataRequest(name=name, version=version)))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_message_above_the_limit_is_refused_and_the_worker_goes_on(serve: Serve) -> None:
    async def ask(stub: Stub) -> Any:
        huge = colours_request(np.zeros((1, 4800, 4800, 3), np.uint8))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.ModelInfer(huge)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return await stub.ModelInfer(colours_request(IMAGE))

    assert outputs(on_worker(serve, ask))["scores"].shape == (1, 3)


def slow_request() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="slow", raw_input_contents=[np.zeros(1, "<f4").tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1])
    return request


def test_requests_whose_deadline_passes_while_they_wait_fail_and_the_others_are_answered(
    serve: Serve, tmp_path: Path
) -> None:
    write_model(tmp_path / "slow", slow_graph())

    async def ask(stub: Stub) -> list[Any]:
        calls = [
            stub.ModelInfer(slow_request(), timeout=timeout) for timeout in (60, 0.02, 0.02, 60)
        ]  # the first takes longer
        return await asyncio.gather(*calls, return_exceptions=True)

    first, second, third, fourth = on_worker(serve, ask, folder=tmp_path)
    assert outputs(first)["scores"].shape == outputs(fourth)["scores"].shape == (1, 1)
    assert second.code() is third.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_more_requests_than_may_wait_are_shed_and_the_others_are_answered(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "slow", slow_graph())

    async def ask(stub: Stub) -> list[Any]:
        return await asyncio.gather(*(stub.ModelInfer(slow_request()) for _ in range(12)), return_exceptions=True)

    answers = on_worker(serve, ask, folder=tmp_path, queue_limit=2)
    shed = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert 12 - len(shed) in (2, 3)  # two wait, and one is run if the thread has begun
    assert {answer.code() for answer in shed} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    pushbacks = [int(dict(answer.trailing_metadata())["grpc-retry-pushback-ms"]) for answer in shed]
    assert min(pushbacks) >= 200
    assert len(set(pushbacks)) > 1  # they do not come back together


def test_health_is_answered_while_a_model_runs(serve: Serve, tmp_path: Path) -> None:
    write_model(tmp_path / "slow", slow_graph())

    async def ask(stub: Stub) -> bool:
        running = asyncio.ensure_future(stub.ModelInfer(slow_request()))
        for _ in range(5):
            await stub.ServerLive(pb.ServerLiveRequest())
        still_running = not running.done()
        await running
        return still_running

    assert on_worker(serve, ask, folder=tmp_path)
