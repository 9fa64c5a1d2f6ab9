"""Requests that wait together share the networks' passes; work that nobody waits for ends."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from manypath.bitstream import pack, parse
from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import MODEL, SECONDS, as_array, as_file, as_raw, photo, refusal


def wait_until(condition) -> None:
    """Ask until it is so; the test's own time limit ends it."""
    while not condition():
        pass


@pytest.fixture(scope="module")
def codec():
    return Codec.load(MODEL)


def gathered(running, calls, requests):
    """Send requests while the server is busy, so that they are there together; return the answers."""
    with running.busy():
        waiting = [call.future(request, timeout=SECONDS) for call, request in zip(calls, requests, strict=True)]
        wait_until(lambda: running.value("manypath_queue_depth") == len(requests))
    return waiting


def test_pictures_of_one_size_and_quality_are_encoded_together(start, codec):
    running = start("encoder")
    pictures = [np.roll(photo(64, 96), 7 * shift, axis=1) for shift in range(5)]
    rates = [pb.Rate(quality=3.0)] * 4 + [pb.Rate(quality=5.0)]
    requests = [pb.EncodeRequest(picture=as_raw(one), rate=rate) for one, rate in zip(pictures, rates, strict=True)]
    with running.client() as client:
        answers = [call.result() for call in gathered(running, [client.Encode] * 5, requests)]
    assert (
        running.value("manypath_codec_batch_size_bucket", le="4.0")
        - running.value("manypath_codec_batch_size_bucket", le="2.0")
        == 1
    )  # four together; the one of another quality, and what kept the thread busy, alone
    for picture, rate, answer in zip(pictures, rates, answers, strict=True):
        assert answer.facts.quality == rate.quality
        decoded = codec.decode(answer.bitstream).astype(int)
        alone = codec.decode(codec.encode(picture, quality=rate.quality)).astype(int)
        assert np.abs(decoded - alone).max() <= 2  # sums in another order


def test_a_damaged_picture_among_others_fails_alone(start):
    running = start("encoder")
    good = as_file(photo(64, 96))
    damaged = pb.Picture(file=good.file[: len(good.file) // 2])
    with running.client() as client:
        requests = [pb.EncodeRequest(picture=one) for one in (good, damaged, good)]
        calls = gathered(running, [client.Encode] * 3, requests)
        assert calls[0].result().bitstream == calls[2].result().bitstream
        with pytest.raises(grpc.RpcError) as refused:
            calls[1].result()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "damaged" in refused.value.details()


def test_bitstreams_of_one_kind_are_decoded_together_and_a_bad_one_fails_alone(start, codec):
    running = start("decoder")
    streams = [codec.encode(np.roll(photo(64, 96), shift, axis=1)) for shift in range(3)]
    stream = parse(streams[0])
    forged = pack(stream._replace(symbols_checksum=stream.symbols_checksum ^ 1))  # sound until decoded
    requests = [pb.DecodeRequest(bitstream=one, picture_format=pb.PICTURE_FORMAT_RAW) for one in (*streams, forged)]
    with running.client() as client:
        calls = gathered(running, [client.Decode] * 4, requests)
        for stream, call in zip(streams, calls[:3], strict=True):
            shown = as_array(call.result().pictures[0].picture).astype(int)
            assert np.abs(shown - codec.decode(stream)).max() <= 1
        with pytest.raises(grpc.RpcError) as refused:
            calls[3].result()
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS


@pytest.mark.parametrize("escapes", [0, 2**21])
def test_a_damaged_stream_is_refused_before_it_waits_for_the_codec(start, codec, escapes):
    running = start("decoder")
    stream = parse(codec.encode(photo(64, 96)))
    (chunks,) = stream.strips
    damaged = bytearray(pack(stream._replace(strips=((*chunks[:-1], chunks[-1] + bytes(escapes)),))))
    damaged[-1] ^= 1
    with running.busy(), running.client() as client:
        error = refusal(client.Decode, pb.DecodeRequest(bitstream=bytes(damaged)))
    assert error.code() is grpc.StatusCode.DATA_LOSS


def test_a_caller_that_leaves_ends_its_work(start):
    """Modules of the network run until the caller leaves, and none or one after that."""
    running = start("encoder")
    ran: list[str] = []
    watch = register_module_forward_pre_hook(lambda module, _: ran.append(type(module).__name__))
    try:
        with running.client() as client:
            call = client.Encode.future(pb.EncodeRequest(picture=as_raw(photo(2000, 3000))), timeout=SECONDS)
            wait_until(lambda: ran or call.done())
            call.cancel()
            wait_until(lambda: running.value("manypath_requests_shed_total", reason="abandoned") == 1)
            then = len(ran)
            wait_until(lambda: running.value("manypath_compute_pixels") == 0)
            assert len(ran) <= then + 1
            small = client.Encode(pb.EncodeRequest(picture=as_raw(photo(10, 10))), timeout=SECONDS)
            assert small.facts.width == 10
    finally:
        watch.remove()
    assert running.value("manypath_codec_input_pixels_total") == 100


def test_a_small_picture_is_encoded_beside_a_large_one(start):
    running = start("encoder", express_pixels=10_000)
    with running.busy(pixels=20_000), running.client() as client:  # the thread for large ones stays busy
        answer = client.Encode(pb.EncodeRequest(picture=as_raw(photo(64, 64))), timeout=SECONDS)
    assert answer.facts.width == 64


def test_a_picture_above_the_default_of_2_to_24_pixels_is_refused_from_its_header(encoder):
    header = b"RIFF\x1e\x00\x00\x00WEBPVP8L\x11\x00\x00\x00\x2f"
    sides = (16383 - 1) | (4096 - 1) << 14
    claimed = header + sides.to_bytes(4, "little") + bytes(13)
    with encoder.client() as client:
        error = refusal(client.Encode, pb.EncodeRequest(picture=pb.Picture(file=claimed)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "16777216" in error.details() or "16,777,216" in error.details(), error.details()


def test_a_stop_whose_grace_is_over_tells_callers_by_name(start):
    running = start("encoder", grace_seconds=0.1)
    with running.client(retries=False) as client, running.busy(abandoned=True):
        waiting = client.Encode.future(pb.EncodeRequest(picture=as_raw(photo())), timeout=SECONDS)
        wait_until(lambda: running.value("manypath_queue_depth") == 1)
        running.loop.run(running.server.stop(running.servicer.compute.abandon))
        with pytest.raises(grpc.RpcError) as stopped:
            waiting.result()
    assert stopped.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "could not wait" in stopped.value.details()
