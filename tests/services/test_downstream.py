"""What a caller sees where the next server is not there."""

from __future__ import annotations

import socket

import grpc
import pytest

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import MODEL, SECONDS, as_raw, photo, refusal

CLASSIFY = pb.TaskRequest(task=pb.TASK_CLASSIFICATION)


@pytest.fixture
def nobody():
    """An address where nobody listens: its port is taken, but not opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_worker_that_is_down_makes_analyze_unavailable_and_decode_goes_on(start, nobody):
    workers = {"classification": f"{nobody}/colours"}
    running = start("decoder", workers=workers, worker_timeout_seconds=1)
    bitstream = Codec.load(MODEL).encode(photo())
    with running.client(retries=False) as client:
        error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[CLASSIFY]))
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error.details()
        assert client.Decode(pb.DecodeRequest(bitstream=bitstream), timeout=SECONDS).facts.width == 130
    assert running.value("manypath_downstream_calls_total", worker="classification", code="UNAVAILABLE") == 1


def test_a_decoder_that_is_down_makes_process_fail_by_name_and_encode_goes_on(start, nobody):
    running = start("encoder", uplink=nobody, uplink_timeout_seconds=0.5)
    with running.client(retries=False) as client:
        error = refusal(client.Process, pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY]))
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert f"the decoder at {nobody}" in error.details()
        assert client.Encode(pb.EncodeRequest(picture=as_raw(photo())), timeout=SECONDS).facts.width == 130


def test_the_callers_deadline_ends_the_wait_for_the_next_server(start, nobody):
    running = start("encoder", uplink=nobody)  # it would wait for 30 s
    with running.client() as client:
        request = pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY])
        error = refusal(client.Process, request, timeout=1)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
