"""A server's life: health, reflection, ids, deadlines, limits, and an end that loses nothing."""

from __future__ import annotations

import logging

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from manypath_api.v1 import codec_pb2 as pb
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE
from manypath_services.common.logs import JsonFormatter
from tests.services.serving import SECONDS, as_raw, photo, refusal

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_of(running, service=""):
    with grpc.insecure_channel(running.target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS).status


@pytest.mark.parametrize(("kind", "service"), [("encoder", ENCODER_SERVICE), ("decoder", DECODER_SERVICE)])
def test_health_is_not_serving_until_the_model_is_loaded_and_checked(start, kind, service):
    running = start(kind, ready=False)
    assert health_of(running) == health_of(running, service) == NOT_SERVING
    running.become_ready()
    assert health_of(running) == health_of(running, service) == SERVING
    assert running.value("manypath_model_load_seconds") > 0
    assert running.value("manypath_codec_selfcheck_mismatch") == 0


def test_health_of_a_service_that_is_not_here_is_not_found(encoder):
    with pytest.raises(grpc.RpcError) as refused:
        health_of(encoder, DECODER_SERVICE)
    assert refused.value.code().name == "NOT_FOUND"


def test_calls_before_the_model_is_loaded_are_unavailable(start):
    running = start("encoder", ready=False)
    with grpc.insecure_channel(running.target) as channel:  # without health checks, which would wait
        call = channel.unary_unary(
            f"/{ENCODER_SERVICE}/GetCapabilities",
            request_serializer=pb.GetCapabilitiesRequest.SerializeToString,
            response_deserializer=pb.GetCapabilitiesResponse.FromString,
        )
        error = refusal(call, pb.GetCapabilitiesRequest())
    assert error.code().name == "UNAVAILABLE"
    assert "loading" in error.details()


def test_a_client_that_checks_health_waits_for_the_model(start):
    running = start("encoder", ready=False)
    with running.client() as client:
        pending = client.GetCapabilities.future(pb.GetCapabilitiesRequest(), timeout=SECONDS)
        running.become_ready()
        assert pending.result().model == "tiny-random"


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_reflection_describes_the_whole_service(request, kind):
    running = request.getfixturevalue(kind)
    with grpc.insecure_channel(running.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        described = DescriptorPool(database).FindServiceByName(running.service)
    expected = pb.DESCRIPTOR.services_by_name[running.service.rpartition(".")[2]]
    assert {running.service, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= names
    assert [method.name for method in described.methods] == [method.name for method in expected.methods]


def call_with_id(running, request_id):
    metadata = (("x-request-id", request_id),) if request_id else ()
    with running.client() as client:
        _, call = client.GetCapabilities.with_call(pb.GetCapabilitiesRequest(), timeout=SECONDS, metadata=metadata)
        return dict(call.trailing_metadata())["x-request-id"]


def test_a_request_id_comes_back_and_one_is_made_where_none_came(encoder):
    assert call_with_id(encoder, "camera-7/42") == "camera-7/42"
    assert len(call_with_id(encoder, "")) == 32
    assert len(call_with_id(encoder, "x" * 129)) == 32


def test_every_call_is_one_line_of_log_with_its_id_and_status(encoder, caplog):
    caplog.set_level(logging.INFO)
    with encoder.client() as client:
        refusal(client.Encode, pb.EncodeRequest(), metadata=(("x-request-id", "find-me"),))
    records = [record for record in caplog.records if getattr(record, "grpc_method", "") == "Encode"]
    assert [record.grpc_code for record in records] == ["INVALID_ARGUMENT"]
    assert "no picture" in records[0].details
    assert records[0].seconds > 0


def test_an_unexpected_error_tells_the_caller_an_id_and_the_log_everything(start, caplog):
    running = start("encoder", express_pixels=0)
    running.servicer.codec = None.__class__  # a way to break a server that does not break by itself
    with running.client() as client:
        error = refusal(client.Encode, pb.EncodeRequest(picture=as_raw(photo())), metadata=(("x-request-id", "i9"),))
    assert error.code().name == "INTERNAL"
    assert error.details() == "internal error, request i9"
    assert dict(error.trailing_metadata())["x-request-id"] == "i9"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "type object 'NoneType' has no attribute" in JsonFormatter("test").format(record)


def test_a_full_queue_sheds_with_a_time_to_come_again(start):
    running = start("encoder", queue_limit=1, pushback_seconds=0.05)
    request = pb.EncodeRequest(picture=as_raw(photo()))
    with running.client() as client, running.client(retries=False) as impatient:
        with running.busy():
            waiting = client.Encode.future(request, timeout=SECONDS)
            # were the other one first in the queue, this one would be shed until its retries are used up
            while running.value("manypath_queue_depth") < 1 and not waiting.done():
                pass
            error = refused_when_full(impatient, request)
            assert error.code().name == "RESOURCE_EXHAUSTED"
            assert 50 <= int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) <= 61
        assert waiting.result().facts.bytes > 0
    assert running.value("manypath_requests_shed_total", reason="queue_full") >= 1


def refused_when_full(client, request):
    """The first refusal; until then a call's deadline takes it out of the queue again."""
    for _ in range(100):
        error = refusal(client.Encode, request, timeout=0.2)
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return error
    raise AssertionError("the queue never filled")


def test_a_deadline_that_passes_in_the_queue_costs_no_compute(start):
    running = start("encoder")
    with running.client() as client, running.busy():
        error = refusal(client.Encode, pb.EncodeRequest(picture=as_raw(photo())), timeout=0.3)
        assert error.code().name == "DEADLINE_EXCEEDED"
    with running.client() as client:  # it queues behind the dead one
        client.Encode(pb.EncodeRequest(picture=as_raw(photo(10, 10))), timeout=SECONDS)
    assert running.value("manypath_codec_input_pixels_total") == 100
    reasons = ("expired", "cancelled")
    assert sum(running.value("manypath_requests_shed_total", reason=reason) for reason in reasons) == 1


def test_health_answers_while_the_server_computes(start):
    running = start("encoder")
    with running.busy():
        assert health_of(running) == SERVING


def test_a_message_above_the_limit_is_refused_with_both_sizes(start):
    running = start("encoder", max_message_bytes=2**16)
    with running.client(retries=False) as client:
        error = refusal(client.Encode, pb.EncodeRequest(picture=as_raw(photo(200, 200))))
    assert error.code().name == "RESOURCE_EXHAUSTED"
    assert "65536" in error.details()


def test_ten_megabytes_pass_where_grpc_alone_would_stop_at_four(encoder):
    with encoder.client() as client:
        raw = pb.RawPicture(width=1, height=1, data=bytes(10_000_000))
        error = refusal(client.Encode, pb.EncodeRequest(picture=pb.Picture(raw=raw)))
    assert "got 10000000" in error.details()  # so they arrived


def test_a_second_server_on_the_same_port_is_refused(start, encoder):
    with pytest.raises(OSError, match=str(encoder.server.port)):
        start("encoder", port=encoder.server.port)


def test_stopping_finishes_what_was_accepted_and_turns_health_first(start):
    running = start("encoder")
    request = pb.EncodeRequest(picture=as_raw(photo()))
    with running.client() as client, grpc.insecure_channel(running.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        assert next(watch).status == SERVING
        with running.busy():
            accepted = [client.Encode.future(request, timeout=SECONDS) for _ in range(5)]
            while running.value("manypath_queue_depth") < 5:
                pass
            stopping = running.loop.start(running.server.stop())
            assert next(watch).status == NOT_SERVING
        assert {call.result().facts.bytes for call in accepted} == {accepted[0].result().facts.bytes}
        stopping.result(SECONDS)
    labels = {"grpc_service": ENCODER_SERVICE, "grpc_method": "Encode", "grpc_type": "unary"}
    assert running.value("grpc_server_started_total", **labels) == 5  # none was asked twice
    assert running.value("grpc_server_handled_total", grpc_code="OK", **labels) == 5
