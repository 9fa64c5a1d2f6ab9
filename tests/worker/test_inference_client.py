"""The inference client against our worker, and against servers that are away or talk nonsense."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest

from manypath_api.inference import open_inference_pb2 as pb
from manypath_api.inference import open_inference_pb2_grpc as pb_grpc
from manypath_services.inference.client import (
    ClassMap,
    InferenceClient,
    InferenceError,
    InferenceUnavailable,
    Kind,
    Label,
)
from manypath_services.inference.picture_input import Normalisation
from tests.worker.conftest import Serve

Image = npt.NDArray[np.uint8]


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def on_client(serve: Serve, model: str, call: Callable[[InferenceClient], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        async with (
            serve() as target,
            InferenceClient(target, model, timeout_seconds=20, **settings) as client,
        ):
            return await call(client)

    return asyncio.run(run())


def test_a_picture_travels_as_it_is_to_a_model_that_takes_any(serve: Serve) -> None:
    labels = on_client(serve, "colours", lambda client: client.classify(plain((0, 102, 51)), 2))
    assert labels == [Label(1, "green", 0.4), Label(2, "blue: of the sky", 0.2)]


def test_a_picture_is_cropped_resized_and_normalised_for_a_model_of_floats(serve: Serve) -> None:
    image = plain((0, 0, 0), 80, 60)
    image[20:60, 15:45] = (255, 127, 0)
    image[:5] = image[-5:] = 255  # outside the crop
    labels = on_client(serve, "prepared", lambda client: client.classify(image))
    assert [label.index for label in labels] == [0, 1, 2]
    assert [label.name for label in labels] == ["", "", ""]
    # the bright part covers 40 * 30 of the 70 * 52 pixels that are kept
    share = 40 * 30 / (70 * 52)
    expected = [2 * share - 1, 2 * share * 127 / 255 - 1, -1]
    assert [label.score for label in labels] == pytest.approx(expected, abs=0.02)


def test_normalisation_and_names_are_the_callers_choice(serve: Serve) -> None:
    labels = on_client(
        serve,
        "prepared",
        lambda client: client.classify(plain((10, 30, 90)), 1),
        names=["red", "green", "blue"],
        normalisation=Normalisation(mean=(10, 20, 30), deviation=(1, 10, 100)),
    )
    assert labels == [Label(1, "green", 1.0)]


def test_a_picture_above_the_retry_buffers_default_is_sent(serve: Serve) -> None:
    labels = on_client(serve, "colours", lambda client: client.classify(plain((255, 0, 0), 1080, 1920), 1))
    assert labels == [Label(0, "red", pytest.approx(1, abs=0.02))]  # a float32 sum of 2 million


def test_many_calls_at_once_share_a_client(serve: Serve) -> None:
    async def ask(client: InferenceClient) -> list[list[Label]]:
        return await asyncio.gather(*(client.classify(plain((level, 0, 0)), 1) for level in range(6)))

    scores = [labels[0].score for labels in on_client(serve, "colours", ask)]
    assert scores == pytest.approx([level / 255 for level in range(6)], abs=1e-6)


def test_readiness_is_the_models(serve: Serve) -> None:
    assert on_client(serve, "colours", lambda client: client.ready())
    assert not on_client(serve, "sounds", lambda client: client.ready())


@pytest.mark.parametrize(
    ("image", "top_k", "message"),
    [
        (np.zeros((4, 4), np.uint8), 1, r"image is uint8 \[4, 4\], accepted is uint8 \[H, W, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), 1, "accepted is uint8"),
        (np.zeros((0, 4, 3), np.uint8), 1, r"image is uint8 \[0, 4, 3\]"),
        (np.zeros((4, 4, 3), np.float32), 1, "image is float32"),
        (np.zeros((4, 4, 3), np.uint8), 0, "top_k must be at least 1, got 0"),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_sent(serve: Serve, image: Any, top_k: int, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        on_client(serve, "colours", lambda client: client.classify(image, top_k))


def test_a_picture_that_fits_no_message_is_shrunk_for_a_classifier_and_refused_for_an_unknown_model(
    serve: Serve,
) -> None:
    large = plain((0, 102, 51), 5000, 5000)
    labels = on_client(serve, "colours", lambda client: client.classify(large, 1))
    assert labels == [Label(1, "green", pytest.approx(0.4, abs=0.01))]
    with pytest.raises(InferenceError, match="needs 75000000 bytes, a message holds 67108864"):
        on_client(serve, "colours", lambda client: client.infer(large))


def test_a_model_that_is_not_there_is_an_error_with_the_servers_reason(serve: Serve) -> None:
    with pytest.raises(InferenceError, match=r"'sounds' at .* refused: NOT_FOUND: there is no model") as error:
        on_client(serve, "sounds", lambda client: client.classify(plain((0, 0, 0))))
    assert not isinstance(error.value, InferenceUnavailable)


def test_a_server_that_is_away_is_unavailable_and_is_found_again_when_it_is_back(serve: Serve) -> None:
    async def run() -> list[Label]:
        async with serve() as target:
            pass
        port = int(target.rpartition(":")[2])
        async with InferenceClient(target, "colours", timeout_seconds=20) as client:
            assert not await client.ready()
            with pytest.raises(InferenceUnavailable, match=target):
                await client.classify(plain((255, 0, 0)), 1)
            async with serve(port=port), asyncio.timeout(20):
                while not await client.ready():
                    """Each attempt retries with a backoff of its own."""
                return await client.classify(plain((255, 0, 0)), 1)

    assert asyncio.run(run()) == [Label(0, "red", 1.0)]


class Liar(pb_grpc.GRPCInferenceServiceServicer):
    """Answers what it was told to."""

    def __init__(self, metadata: pb.ModelMetadataResponse, answer: pb.ModelInferResponse | None) -> None:
        self.metadata = metadata
        self.answer = answer

    async def ModelMetadata(self, request: Any, context: Any) -> pb.ModelMetadataResponse:
        return self.metadata

    async def ModelInfer(self, request: Any, context: Any) -> pb.ModelInferResponse:
        if self.answer is None:
            await asyncio.Event().wait()  # for ever
        assert self.answer is not None
        return self.answer


@asynccontextmanager
async def lying(liar: Liar) -> AsyncIterator[str]:
    server = grpc.aio.server()
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(liar, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


def ask_liar(metadata: pb.ModelMetadataResponse, answer: pb.ModelInferResponse | None) -> list[Label]:
    async def run() -> list[Label]:
        async with (
            lying(Liar(metadata, answer)) as target,
            InferenceClient(target, "liar", timeout_seconds=20) as client,
        ):
            timeout_seconds = 0.2 if answer is None else None
            return await client.classify(plain((0, 0, 0)), timeout_seconds=timeout_seconds)

    return asyncio.run(run())


Tensor = pb.ModelMetadataResponse.TensorMetadata
PICTURE = Tensor(name="image", datatype="UINT8", shape=[-1, -1, -1, 3])
SCORES = Tensor(name="scores", datatype="FP32", shape=[-1, 4])
GOOD = pb.ModelMetadataResponse(name="liar", inputs=[PICTURE], outputs=[SCORES])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (pb.ModelMetadataResponse(), r"has inputs \[\], a network for pictures has one"),
        (pb.ModelMetadataResponse(inputs=[PICTURE, PICTURE], outputs=[SCORES]), "has inputs"),
        (
            pb.ModelMetadataResponse(inputs=[Tensor(name="text", datatype="BYTES", shape=[1])], outputs=[SCORES]),
            r"does not take pictures: input 'text' is BYTES \[1\]",
        ),
        (
            pb.ModelMetadataResponse(
                inputs=[Tensor(name="x", datatype="FP32", shape=[8, 3, 224, 224])], outputs=[SCORES]
            ),
            "does not take pictures",
        ),
        (
            pb.ModelMetadataResponse(
                inputs=[Tensor(name="x", datatype="FP32", shape=[1, 224, 224, 1])], outputs=[SCORES]
            ),
            "does not take pictures",
        ),
        (
            pb.ModelMetadataResponse(inputs=[PICTURE], outputs=[Tensor(name="boxes", datatype="INT64", shape=[-1])]),
            "has outputs {'boxes': 'INT64'}, a classifier has one of FP32",
        ),
    ],
)
def test_a_model_that_is_no_classifier_of_pictures_is_refused(metadata: pb.ModelMetadataResponse, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        ask_liar(metadata, pb.ModelInferResponse())


def answer(datatype: str, shape: list[int], raw: list[bytes], name: str = "scores") -> pb.ModelInferResponse:
    output = pb.ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)
    return pb.ModelInferResponse(outputs=[output], raw_output_contents=raw)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (pb.ModelInferResponse(), r"answered \[\], not 'scores'"),
        (answer("FP32", [1, 4], [b"\0" * 16], name="other"), r"answered \['other'\], not 'scores'"),
        (answer("FP32", [1, 4], [b"\0" * 15]), "answered nonsense: tensor 'scores' has 15 bytes"),
        (answer("FP32", [1, 4], []), "answered nonsense: tensor 'scores' has 0 elements"),
        (answer("FP32", [1, 4], [b"\0" * 16] * 2), "answered 1 outputs with 2 raw contents"),
        (answer("FP32", [2, 2], [b"\0" * 16]), r"answered \[2, 2\] for one picture"),
        (answer("BYTES", [1, 1], [b"\x03\0\0\0abc"]), "answered b'abc', expected score:index:label"),
        (answer("BYTES", [1, 1], [b"\x03\0\0\x01abc"]), "answered nonsense: .* claims"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(response: pb.ModelInferResponse, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        ask_liar(GOOD, response)


MASK = Tensor(name="mask", datatype="UINT8", shape=[-1, -1, -1])
SEGMENTER = pb.ModelMetadataResponse(name="liar", inputs=[PICTURE], outputs=[MASK])


def segment_liar(response: pb.ModelInferResponse, metadata: pb.ModelMetadataResponse = SEGMENTER) -> ClassMap:
    async def run() -> ClassMap:
        async with (
            lying(Liar(metadata, response)) as target,
            InferenceClient(target, "liar", timeout_seconds=20) as client,
        ):
            return await client.segment(plain((0, 0, 0), 4, 6))

    return asyncio.run(run())


def mask(datatype: str, shape: list[int], raw: bytes, **parameters: str) -> pb.ModelInferResponse:
    response = answer(datatype, shape, [raw], name="mask")
    for name, text in parameters.items():
        response.outputs[0].parameters[name].string_param = text
    return response


@pytest.mark.parametrize(
    ("datatype", "shape"), [("UINT8", [1, 2, 3]), ("INT64", [2, 3]), ("INT32", [1, 1, 2, 3]), ("FP32", [1, 3, 2, 3])]
)
def test_a_mask_comes_in_many_forms_and_is_brought_to_the_pictures_size(datatype: str, shape: list[int]) -> None:
    small = np.array([[0, 1, 2], [2, 1, 0]])
    array = (small == np.arange(3)[:, None, None]) if datatype == "FP32" else small
    raw = array.astype({"UINT8": "u1", "INT64": "<i8", "INT32": "<i4", "FP32": "<f4"}[datatype]).tobytes()
    response = mask(
        datatype, shape, raw, class_names='["a", "b", "ü"]', class_colours='["#ff0000", "#00ff00", "#0000ff"]'
    )
    metadata = pb.ModelMetadataResponse(
        inputs=[PICTURE], outputs=[Tensor(name="mask", datatype=datatype, shape=[-1] * len(shape))]
    )
    found = segment_liar(response, metadata)
    np.testing.assert_array_equal(found.indexes, small.repeat(2, axis=0).repeat(2, axis=1))
    assert found.names == ("a", "b", "ü")
    assert found.colours.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (mask("UINT8", [2, 1, 3], bytes(6)), r"answered uint8 \[2, 1, 3\] for one picture, expected \[1, H, W\]"),
        (mask("FP32", [2, 3, 1, 1], bytes(24)), r"answered \[2, 3, 1, 1\] for one picture"),
        (mask("INT32", [1, 1, 1], b"\xff\xff\xff\xff"), "answered classes -1 to -1, accepted are 0 to 255"),
        (mask("INT32", [1, 1, 1], b"\0\1\0\0"), "answered classes 256 to 256"),
        (mask("UINT8", [1, 1, 1], b"\0", class_names="sky"), "class_names 'sky', expected a JSON list"),
        (mask("UINT8", [1, 1, 1], b"\0", class_names="[1]"), "expected at most 256 strings"),
        (mask("UINT8", [1, 1, 1], b"\0", class_colours='["red"]'), "expected colours as #rrggbb"),
        (mask("UINT8", [1, 1, 1], b"\0", class_colours='["#00ff"]'), "expected colours as #rrggbb"),
        (answer("UINT8", [1, 1, 1], [b"\0"]), r"answered \['scores'\], not 'mask'"),
    ],
)
def test_a_mask_that_makes_no_sense_is_an_error(response: pb.ModelInferResponse, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        segment_liar(response)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ([SCORES], Kind.CLASSIFIER),
        ([Tensor(name="x", datatype="FP16", shape=[1000])], Kind.CLASSIFIER),
        ([MASK], Kind.SEGMENTER),
        ([Tensor(name="x", datatype="FP32", shape=[-1, 11, -1, -1])], Kind.SEGMENTER),
        ([Tensor(name="boxes", datatype="FP32", shape=[-1, 100, 4])], Kind.OTHER),
        ([SCORES, MASK], Kind.OTHER),
        ([Tensor(name="text", datatype="BYTES", shape=[-1])], Kind.OTHER),
    ],
)
def test_a_models_outputs_tell_what_it_is(outputs: list[Any], kind: Kind) -> None:
    async def run() -> Kind:
        metadata = pb.ModelMetadataResponse(inputs=[PICTURE], outputs=outputs)
        async with (
            lying(Liar(metadata, None)) as target,
            InferenceClient(target, "liar", timeout_seconds=20) as client,
        ):
            return await client.kind()

    assert asyncio.run(run()) is kind


def test_a_server_that_does_not_answer_in_time_is_unavailable() -> None:
    with pytest.raises(InferenceUnavailable, match="DEADLINE_EXCEEDED"):
        ask_liar(GOOD, None)


def test_scores_without_a_batch_axis_are_ranked_too() -> None:
    raw = np.array([0.1, 0.5, -1, 0.4], "<f4").tobytes()
    labels = ask_liar(GOOD, answer("FP32", [4], [raw]))
    assert [label.index for label in labels] == [1, 3, 0, 2]
