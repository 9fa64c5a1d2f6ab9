"""Messages of too many parts are refused before they are parsed; sound ones never are."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath_api.inference import open_inference_pb2 as inference_pb
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.errors import MessageError
from manypath_services.common.wire import MAX_PACKED_BYTES, MAX_PARTS, counted_parts, parser

EMPTY_PICTURE = b"\x12\x00"  # field 2 of DecodeRequest, a message of no bytes
TASKS = pb.AnalyzeRequest.DESCRIPTOR


def check_parts(message, kind):
    deque(counted_parts(message, kind), maxlen=0)


def read(kind, message):
    return asyncio.run(parser(kind.FromString)(message))


def test_sixteen_mebibytes_of_empty_parts_are_refused():
    with pytest.raises(MessageError, match="more than 10000 parts"):
        check_parts(EMPTY_PICTURE * 2**23, pb.DecodeRequest.DESCRIPTOR)


def test_while_parts_are_counted_others_get_their_turn():
    async def body():
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        with pytest.raises(MessageError, match="parts"):
            await parser(pb.DecodeRequest.FromString)(EMPTY_PICTURE * 2**23)
        beside.cancel()
        assert turns >= 10

    asyncio.run(body())


def test_parts_within_parts_count():
    request = inference_pb.ModelInferRequest()
    tensor = request.inputs.add(name="x")
    for number in range(MAX_PARTS // 2):  # a map's entry has a field for its key and one for its value
        tensor.parameters[str(number)].int64_param = 1
    with pytest.raises(MessageError, match="parts"):
        check_parts(request.SerializeToString(), inference_pb.ModelInferRequest.DESCRIPTOR)


def test_a_list_of_numbers_has_a_length_and_raw_bytes_have_not():
    tensor = inference_pb.InferTensorContents()
    tensor.int_contents.extend([1] * (MAX_PACKED_BYTES // 4 + 1))
    request = inference_pb.ModelInferRequest()
    request.inputs.add(name="x").contents.CopyFrom(tensor)
    with pytest.raises(MessageError, match="int_contents"):
        check_parts(request.SerializeToString(), inference_pb.ModelInferRequest.DESCRIPTOR)
    raw = inference_pb.ModelInferRequest(raw_input_contents=[bytes(MAX_PACKED_BYTES + 1)])
    check_parts(raw.SerializeToString(), inference_pb.ModelInferRequest.DESCRIPTOR)


requests = st.builds(
    pb.AnalyzeRequest,
    bitstream=st.binary(max_size=64),
    tasks=st.lists(
        st.builds(
            pb.TaskRequest,
            task_name=st.text(max_size=8),
            top_k=st.integers(0, 2**32 - 1),
            task_share=st.floats(0, 1),
        ),
        max_size=4,
    ),
)


@given(requests)
def test_every_message_that_is_one_passes_and_reads_as_it_was(request):
    assert read(pb.AnalyzeRequest, request.SerializeToString()) == request


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_named_error(data):
    with contextlib.suppress(MessageError):
        assert isinstance(read(pb.AnalyzeRequest, data), pb.AnalyzeRequest)


def test_mutants_of_a_message_are_messages_or_named_errors():
    random = np.random.default_rng(11)
    whole = np.frombuffer(
        inference_pb.ModelInferRequest(
            model_name="m",
            inputs=[inference_pb.ModelInferRequest.InferInputTensor(name="x", datatype="UINT8", shape=[1, 2, 3])],
            raw_input_contents=[bytes(6)],
        ).SerializeToString(),
        np.uint8,
    )
    refused = 0
    for _ in range(3000):
        mutant = whole.copy()
        mutant[random.integers(0, len(mutant), 3)] = random.integers(0, 256, 3)
        try:
            read(inference_pb.ModelInferRequest, mutant.tobytes())
        except MessageError:
            refused += 1
    assert 0 < refused < 3000
