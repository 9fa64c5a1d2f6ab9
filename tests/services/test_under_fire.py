"""Attacks on real servers: what they send is refused by name, and everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
import gc

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common import memory
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, channel_options, open_channel
from tests.services.serving import SECONDS, as_raw, photo, refusal

SERVING = health_pb2.HealthCheckResponse.SERVING
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


def raw_call(channel, service, method):
    """A call of bytes, which may be no message."""
    return channel.unary_unary(f"/{service}/{method}", request_serializer=bytes, response_deserializer=bytes)


@pytest.mark.parametrize(
    ("service", "method", "part"),
    [
        (DECODER_SERVICE, "Decode", b"\x12\x00"),
        (DECODER_SERVICE, "Analyze", b"\x12\x00"),
        (DECODER_SERVICE, "Analyze", b"\x1a\x00"),
        (ENCODER_SERVICE, "Process", b"\x1a\x00"),
    ],
)
def test_megabytes_of_empty_parts_are_an_invalid_argument(encoder, decoder, service, method, part):
    running = decoder if service == DECODER_SERVICE else encoder
    options = channel_options(service)
    with grpc.insecure_channel(running.target, options=options) as channel:
        error = refusal(raw_call(channel, service, method), part * 2**22)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "parts" in error.details()


@pytest.mark.parametrize("tasks", [9, 5000])
def test_more_tasks_than_a_request_may_have_are_refused_before_they_are_read(decoder, tasks):
    request = pb.AnalyzeRequest(tasks=[pb.TaskRequest(task_name="no such")] * tasks)
    with decoder.client() as client:
        error = refusal(client.Analyze, request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most" in error.details() or "parts" in error.details()


def test_more_tasks_than_any_decoder_takes_are_not_forwarded(start):
    running = start("encoder", uplink="127.0.0.1:9")
    with running.client() as client:
        error = refusal(client.Process, pb.ProcessRequest(tasks=[pb.TaskRequest()] * 65))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "at most 64" in error.details()


@pytest.mark.parametrize("message", [b"\xff" * 20, b"\x0a\xff\x01x", b"\x0b\x0b\x0b", b"\x07\x01"])
def test_a_malformed_message_is_refused_inside_the_boundary(start, message, caplog):
    running = start("encoder")
    with grpc.insecure_channel(running.target) as channel:
        error = refusal(
            raw_call(channel, ENCODER_SERVICE, "Encode"), message, metadata=(("x-request-id", "malformed-1"),)
        )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "malformed" in error.details()
    assert dict(error.trailing_metadata())["x-request-id"] == "malformed-1"
    labels = {"grpc_service": ENCODER_SERVICE, "grpc_method": "Encode", "grpc_type": "unary"}
    assert running.value("grpc_server_handled_total", grpc_code="INVALID_ARGUMENT", **labels) == 1
    assert not [record for record in caplog.records if record.exc_info]


def test_hundreds_of_watching_clients_and_calls_without_a_message_keep_nobody_out(start):
    running = start("encoder")
    request = pb.EncodeRequest(picture=as_raw(photo(64, 64)))

    async def never_sent():
        await asyncio.Event().wait()
        yield b""

    async def attack() -> None:
        watching = [
            open_channel(running.target, [*channel_options(ENCODER_SERVICE), *OWN_CONNECTION]) for _ in range(300)
        ]
        loris = [open_channel(running.target, OWN_CONNECTION) for _ in range(2)]
        watches = [health_pb2_grpc.HealthStub(one).Watch(health_pb2.HealthCheckRequest()) for one in watching]
        try:
            first = await asyncio.gather(*(watch.read() for watch in watches))
            assert {one.status for one in first} == {SERVING}
            half_open = [
                channel.stream_unary(f"/{ENCODER_SERVICE}/Encode", request_serializer=bytes)(never_sent())
                for channel in loris
                for _ in range(200)
            ]
            calls = [pb_grpc.EncoderServiceStub(one).Encode(request, timeout=SECONDS) for one in watching[:20]]
            assert len({answer.facts.bytes for answer in await asyncio.gather(*calls)}) == 1
            health = health_pb2_grpc.HealthStub(watching[0])
            assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
            assert running.value("manypath_health_watches") >= 300
            assert running.value("manypath_connections") >= 302
            for call in half_open:
                call.cancel()
        finally:
            await asyncio.gather(*(channel.close() for channel in (*watching, *loris)))

    asyncio.run(asyncio.wait_for(attack(), SECONDS))


def test_a_call_without_a_message_ends_by_name(start):
    running = start("encoder", body_seconds=0.2)

    async def never_sent():
        await asyncio.Event().wait()
        yield b""

    async def ask() -> grpc.aio.AioRpcError:
        async with open_channel(running.target, ()) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.stream_unary(f"/{ENCODER_SERVICE}/Encode")(never_sent(), timeout=SECONDS)
            return refused.value

    error = asyncio.run(ask())
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive" in error.details()
    assert running.value("manypath_requests_shed_total", reason="body_slow") == 1


def test_bodies_beyond_the_budget_are_refused_with_a_time_to_come_again(start):
    running = start("encoder", held_bytes=2**17)
    request = pb.EncodeRequest(picture=as_raw(photo(200, 200)))  # 120,000 bytes
    with running.client(retries=False) as client:
        with running.busy():
            waiting = client.Encode.future(request, timeout=SECONDS)
            while running.value("manypath_held_bytes") == 0 and not waiting.done():
                pass
            error = refusal(client.Encode, request)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "bytes are being served" in error.details()
        assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        assert waiting.result().facts.width == 200
    assert running.value("manypath_held_bytes") == 0


def test_messages_of_calls_that_ended_are_let_go(start):
    """Refused ones as well: an error's cycles would keep its message until the next collection."""
    running = start("encoder", held_bytes=2**25)
    junk = pb.EncodeRequest(picture=pb.Picture(file=b"\xff\xd8\xff" + bytes(2**24)))
    gc.collect()
    gc.disable()
    try:
        with running.client(retries=False) as client:
            refusal(client.Encode, junk)
            before = memory.allocated_bytes()
            for _ in range(12):
                assert refusal(client.Encode, junk).code() is grpc.StatusCode.INVALID_ARGUMENT
            grown = memory.allocated_bytes() - before
    finally:
        gc.enable()
    assert grown < 6 * 2**24  # each call has its message twice for a while; twelve would be kept
