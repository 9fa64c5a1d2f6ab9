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


@pytest.fixture
def hanging():
    """An address where connections are taken, and nothing is ever said."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def process(client, **options):
    return refusal(client.Process, pb.ProcessRequest(picture=as_raw(photo(32, 32)), tasks=[CLASSIFY]), **options)


def test_a_call_that_its_caller_gives_up_is_not_counted_as_well_ended(start, hanging):
    running = start("encoder", uplink=hanging)
    with running.client(retries=False) as client:
        call = client.Process.future(
            pb.ProcessRequest(picture=as_raw(photo(32, 32)), tasks=[CLASSIFY]), timeout=SECONDS
        )
        while running.value("manypath_downstream_inflight_calls", worker="decoder") < 1 and not call.done():
            pass
        while running.value("manypath_codec_input_pixels_total") == 0:  # it was encoded, and is forwarded
            pass
        call.cancel()
        while not (ended := downstream_calls(running)):
            pass
    assert set(ended) == {"CANCELLED"}


def downstream_calls(running):
    (family,) = [one for one in running.metrics.registry.collect() if one.name == "manypath_downstream_calls"]
    return {sample.labels["code"]: sample.value for sample in family.samples}


def test_an_outage_is_counted_as_one_and_ends_in_quick_named_refusals(start, nobody):
    running = start("encoder", uplink=nobody, uplink_timeout_seconds=1.1)
    with running.client(retries=False) as client:
        errors = [process(client) for _ in range(7)]
        assert client.Encode(pb.EncodeRequest(picture=as_raw(photo())), timeout=SECONDS).facts.width == 130
    counted = downstream_calls(running)
    assert "OK" not in counted
    assert sum(counted.values()) >= 5
    assert "answered none of the last" in errors[-1].details()
    assert errors[-1].code() is grpc.StatusCode.UNAVAILABLE
    assert "refused" in errors[0].details().lower()  # the connection, as its reason
    assert running.value("manypath_requests_shed_total", reason="downstream_away") >= 1


def test_a_decoder_that_hangs_holds_few_calls_and_never_an_encoding(start, hanging):
    running = start("encoder", uplink=hanging, uplink_limit=2)
    request = pb.ProcessRequest(picture=as_raw(photo(64, 64)), tasks=[CLASSIFY])
    with running.client(retries=False) as client:
        held = [client.Process.future(request, timeout=SECONDS) for _ in range(2)]
        while running.value("manypath_downstream_inflight_calls", worker="decoder") < 2:
            pass
        error = process(client)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "at most 2 may" in error.details()
        while running.value("manypath_codec_input_pixels_total") < 2 * 64 * 64:
            pass
        while running.value("manypath_held_bytes"):  # pictures are not held while the decoder is waited for
            pass
        assert client.Encode(pb.EncodeRequest(picture=as_raw(photo())), timeout=SECONDS).facts.width == 130
        for call in held:
            call.cancel()


def test_a_worker_that_is_away_is_not_called_the_decoder(start, nobody):
    decoder = start("decoder", workers={"classification": f"{nobody}/colours"}, worker_timeout_seconds=1)
    encoder = start("encoder", uplink=decoder.target)
    with encoder.client(retries=False) as client:
        error = process(client)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert f"the decoder at {decoder.target} answered UNAVAILABLE" in error.details()
    assert f"'colours' at inference server {nobody}" in error.details()
    assert "cannot be reached" not in error.details()
