"""Workers that lie about sizes, answer nonsense or too much: a named error, and the decoder goes on."""

from __future__ import annotations

from concurrent import futures
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from manypath.codec import Codec
from manypath_api.inference import open_inference_pb2 as inference_pb
from manypath_api.inference import open_inference_pb2_grpc as inference_grpc
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import MODEL, SECONDS, photo, refusal

CLASSIFY = pb.TaskRequest(task=pb.TASK_CLASSIFICATION, top_k=3)
SEGMENT = pb.TaskRequest(task=pb.TASK_SEGMENTATION)


def texts(lines) -> bytes:
    return b"".join(len(line).to_bytes(4, "little") + line for line in lines)


class Liar(inference_grpc.GRPCInferenceServiceServicer):
    """A worker that says what it is told to say."""

    def __init__(self, *, shape=(-1, -1, -1, 3), kind="UINT8", output=("FP32", (-1, 10)), answer=None, fails=None):
        self._shape, self._kind, self._output = shape, kind, output
        self._answer, self._fails = answer, fails

    def ModelMetadata(self, request, context):
        kind, shape = self._output
        describe = inference_pb.ModelMetadataResponse.TensorMetadata
        return inference_pb.ModelMetadataResponse(
            name=request.name,
            inputs=[describe(name="x", datatype=self._kind, shape=self._shape)],
            outputs=[describe(name="y", datatype=kind, shape=shape)],
        )

    def ModelInfer(self, request, context):
        if self._fails is not None:
            context.abort(*self._fails)
        kind, shape, raw = self._answer
        response = inference_pb.ModelInferResponse(model_name=request.model_name, raw_output_contents=[raw])
        response.outputs.add(name="y", datatype=kind, shape=shape)
        return response


@contextmanager
def lying(**lies):
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)])
    inference_grpc.add_GRPCInferenceServiceServicer_to_server(Liar(**lies), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def bitstream():
    return Codec.load(MODEL).encode(photo(64, 64))


MAP = ("UINT8", (-1, -1, -1))
NAN = np.array([[0.1, np.nan, 0.2]], "<f4").tobytes()
LIES = [
    ({"shape": (1, 60000, 60000, 3)}, CLASSIFY, "60000x60000 pixels"),
    ({"shape": (1, 3, 60000, 60000), "kind": "FP32"}, CLASSIFY, "60000x60000 pixels"),
    ({"answer": ("BYTES", (1, 4_000_000), texts([b"0.5:1:a"] * 4_000_000))}, CLASSIFY, "texts, accepted"),
    ({"answer": ("FP32", (1, 3), NAN)}, CLASSIFY, "no finite numbers"),
    ({"answer": ("BYTES", (1, 1), texts([b"inf:1:a"]))}, CLASSIFY, "finite score"),
    ({"answer": ("BYTES", (1, 1), texts([b"0.5:-1:a"]))}, CLASSIFY, "index of 0.."),
    ({"answer": ("BYTES", (1, 1), texts([b"0.5:100000000000000:a"]))}, CLASSIFY, "index of 0.."),
    ({"answer": ("FP32", (1, 2**22), bytes(2**24))}, CLASSIFY, "classes, accepted"),
    ({"answer": ("FP32", (1, 2**40), b"")}, CLASSIFY, "answered nonsense"),
    ({"answer": ("FP32", (1, -3), b"")}, CLASSIFY, "answered nonsense"),
    ({"answer": ("UINT8", (1, 70, 1_000_000), bytes(70_000_000))}, SEGMENT, "refused: RESOURCE_EXHAUSTED"),
    ({"output": ("FP32", (-1, 2, 4, 4)), "answer": ("FP32", (1, 2, 1, 1), NAN[:8])}, SEGMENT, "no finite numbers"),
    ({"fails": (grpc.StatusCode.INTERNAL, "x" * 100_000)}, CLASSIFY, "model 'liar' at"),
]


@pytest.mark.parametrize(("lies", "task", "said"), LIES)
def test_a_lie_is_an_error_that_names_the_worker_and_costs_nothing(start, bitstream, lies, task, said):
    if task is SEGMENT:
        lies = {"output": MAP, **lies}
    name = "segmentation" if task is SEGMENT else "classification"
    with lying(**lies) as target:
        running = start("decoder", workers={name: f"{target}/liar"}, express_pixels=0)
        with running.client(retries=False) as client:
            error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[task]))
            assert client.Decode(pb.DecodeRequest(bitstream=bitstream), timeout=SECONDS).facts.width == 64
    assert said in error.details(), error.details()
    assert "'liar'" in error.details()
    assert error.code() in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL}
    assert len(error.details()) <= 1000


def test_more_labels_than_were_asked_for_are_cut_before_they_are_read(start, bitstream):
    lines = [f"0.{900 - number}:{number}:name".encode() for number in range(500)]
    with lying(answer=("BYTES", (1, 500), texts(lines))) as target:
        running = start("decoder", workers={"classification": f"{target}/liar"}, express_pixels=0)
        with running.client() as client:
            answer = client.Analyze(pb.AnalyzeRequest(bitstream=bitstream, tasks=[CLASSIFY]), timeout=SECONDS)
    assert [label.index for label in answer.results[0].classification.labels] == [0, 1, 2]
