"""Retries of large requests happen: a server that fails first is asked again with the same megabyte."""

from __future__ import annotations

import asyncio
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.common.client import DECODER_SERVICE, channel_options, connect
from manypath_services.encoder.settings import EncoderSettings
from manypath_services.encoder.uplink import Uplink
from tests.services.serving import SECONDS, refusal

MEGABYTE = bytes(1_000_000)


class FailsFirst(pb_grpc.DecoderServiceServicer):
    """A decoder that refuses its first calls, and afterwards tells how large a bitstream was."""

    def __init__(self, code: grpc.StatusCode, failures: int) -> None:
        self._code = code
        self._failures = failures
        self.calls = 0

    def Analyze(self, request, context):
        self.calls += 1
        if self.calls <= self._failures:
            context.abort(self._code, "not yet")
        return pb.AnalyzeResponse(facts=pb.BitstreamFacts(bytes=len(request.bitstream)))


@contextmanager
def serving(servicer):
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 2**26)])
    pb_grpc.add_DecoderServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_megabyte_is_sent_again_after_a_failure(code):
    servicer = FailsFirst(code, failures=2)
    with serving(servicer) as target:

        async def call() -> pb.AnalyzeResponse:
            async with connect(target, DECODER_SERVICE) as channel:
                stub = pb_grpc.DecoderServiceStub(channel)
                return await stub.Analyze(pb.AnalyzeRequest(bitstream=MEGABYTE), timeout=SECONDS)

        assert asyncio.run(call()).facts.bytes == len(MEGABYTE)
    assert servicer.calls == 3


def test_the_encoders_uplink_sends_a_megabyte_again():
    servicer = FailsFirst(grpc.StatusCode.UNAVAILABLE, failures=1)
    with serving(servicer) as target:

        async def call() -> pb.AnalyzeResponse:
            uplink = Uplink(EncoderSettings.load(uplink=target), CodecMetrics("encoder", "test"))
            try:
                return await uplink.analyze(MEGABYTE, pb.ProcessRequest(), SECONDS)
            finally:
                await uplink.close()

        assert asyncio.run(call()).facts.bytes == len(MEGABYTE)
    assert servicer.calls == 2


def test_without_the_larger_buffer_grpc_gives_up_at_once():
    """Why the channels set it; if this fails, gRPC has changed and the option may go."""
    servicer = FailsFirst(grpc.StatusCode.UNAVAILABLE, failures=1)
    options = [item for item in channel_options(DECODER_SERVICE) if item[0] != "grpc.per_rpc_retry_buffer_size"]
    with serving(servicer) as target, grpc.insecure_channel(target, options=options) as channel:
        error = refusal(pb_grpc.DecoderServiceStub(channel).Analyze, pb.AnalyzeRequest(bitstream=MEGABYTE))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.calls == 1


def test_what_will_not_get_better_is_not_asked_again():
    servicer = FailsFirst(grpc.StatusCode.INVALID_ARGUMENT, failures=1)
    options = channel_options(DECODER_SERVICE)
    with serving(servicer) as target, grpc.insecure_channel(target, options=options) as channel:
        refusal(pb_grpc.DecoderServiceStub(channel).Analyze, pb.AnalyzeRequest(bitstream=MEGABYTE))
    assert servicer.calls == 1


def test_attempts_end_after_four():
    servicer = FailsFirst(grpc.StatusCode.UNAVAILABLE, failures=9)
    options = channel_options(DECODER_SERVICE)
    with serving(servicer) as target, grpc.insecure_channel(target, options=options) as channel:
        refusal(pb_grpc.DecoderServiceStub(channel).Analyze, pb.AnalyzeRequest(bitstream=b"x"))
    assert servicer.calls == 4
