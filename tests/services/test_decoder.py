"""Bitstreams in, pictures out; which path served is always told."""

from __future__ import annotations

import re

import numpy as np
import pytest

from manypath.bitstream import pack, parse
from manypath.codec import Codec
from manypath.paths import DecodePath
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import MODEL, SECONDS, as_array, photo, refusal


@pytest.fixture(scope="module")
def codec():
    return Codec.load(MODEL)


@pytest.fixture(scope="module")
def bitstream(codec):
    return codec.encode(photo(), quality=4)


@pytest.fixture
def client(decoder):
    with decoder.client() as client:
        yield client


@pytest.mark.parametrize("picture_format", [pb.PICTURE_FORMAT_UNSPECIFIED, pb.PICTURE_FORMAT_RAW])
def test_a_picture_comes_back_as_the_codec_decodes_it(client, codec, bitstream, picture_format):
    request = pb.DecodeRequest(bitstream=bitstream, picture_format=picture_format)
    response = client.Decode(request, timeout=SECONDS)
    (decoded,) = response.pictures
    np.testing.assert_array_equal(as_array(decoded.picture), codec.decode(bitstream))
    assert decoded.picture.WhichOneof("content") == ("raw" if picture_format else "file")
    assert decoded.route == pb.Route(
        asked=pb.PATH_PERCEPTUAL, used=pb.PATH_PERCEPTUAL, asked_name="perceptual", used_name="perceptual"
    )
    assert response.facts.bytes == len(bitstream)
    assert response.facts.model_digest == codec.model_digest
    stages = [timing.stage for timing in response.timings]
    assert stages == ["queue", "entropy_parameters", "coding", "synthesis", "picture_encode"]


def test_an_untrained_path_falls_back_to_the_main_path_and_says_so(client, codec, bitstream):
    asked = [pb.PATH_MSE, pb.PATH_PERCEPTUAL, pb.PATH_CLASSIFICATION]
    request = pb.DecodeRequest(bitstream=bitstream, pictures=[pb.PathRequest(path=path) for path in asked])
    response = client.Decode(request, timeout=SECONDS)
    assert [picture.route.asked for picture in response.pictures] == asked
    used = [pb.PATH_MSE, pb.PATH_PERCEPTUAL, pb.PATH_PERCEPTUAL]
    assert [picture.route.used for picture in response.pictures] == used
    assert [picture.route.fallback for picture in response.pictures] == [False, False, True]
    assert {picture.route.task_share for picture in response.pictures} == {0.0}
    for picture in response.pictures:
        np.testing.assert_array_equal(as_array(picture.picture), codec.decode(bitstream, path=DecodePath.MSE))


def test_inspect_reads_the_header(client, bitstream):
    response = client.Inspect(pb.InspectRequest(bitstream=bitstream), timeout=SECONDS)
    assert (response.facts.width, response.facts.height) == (130, 96)
    assert response.facts.quality == 4
    assert response.facts.version == 1
    assert response.slices_present == response.slices > 0
    assert response.decodable


def test_inspect_tells_a_foreign_stream_from_a_decodable_one(client, bitstream):
    error = refusal(client.Decode, pb.DecodeRequest(bitstream=of_another_model(bitstream)))
    assert error.code().name == "FAILED_PRECONDITION"
    response = client.Inspect(pb.InspectRequest(bitstream=of_another_model(bitstream)), timeout=SECONDS)
    assert not response.decodable


def of_another_model(bitstream: bytes) -> bytes:
    stream = parse(bitstream)
    return pack(stream._replace(model_digest=bytes(byte ^ 255 for byte in stream.model_digest)))


def with_other_symbols(bitstream: bytes) -> bytes:
    stream = parse(bitstream)
    return pack(stream._replace(symbols_checksum=stream.symbols_checksum ^ 1))


def changed(bitstream: bytes, position: int) -> bytes:
    return bitstream[:position] + bytes([bitstream[position] ^ 1]) + bitstream[position + 1 :]


LIES = {
    "empty": (lambda _: b"", "INVALID_ARGUMENT", "truncated"),
    "cut": (lambda data: data[:-1], "INVALID_ARGUMENT", "truncated"),
    "of another format": (lambda data: b"JUNK" + data[4:], "INVALID_ARGUMENT", "format"),
    "with a tail": (lambda data: data + b"\0", "INVALID_ARGUMENT", "format"),
    "damaged": (lambda data: changed(data, len(data) - 1), "DATA_LOSS", "corrupt"),
    "desynchronised": (with_other_symbols, "DATA_LOSS", "desync"),
    "of another model": (of_another_model, "FAILED_PRECONDITION", "model_mismatch"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("method", ["Decode", "Analyze"])
def test_bytes_that_lie_have_their_status_and_are_counted(decoder, client, bitstream, method, lie):
    damage, code, reason = LIES[lie]
    before = decoder.value("manypath_codec_bitstream_rejected_total", reason=reason)
    wanted = [pb.PathRequest(path=pb.PATH_PERCEPTUAL)]
    request = {"Decode": pb.DecodeRequest, "Analyze": pb.AnalyzeRequest}[method]
    error = refusal(getattr(client, method), request(bitstream=damage(bitstream), pictures=wanted))
    assert error.code().name == code, error.details()
    assert decoder.value("manypath_codec_bitstream_rejected_total", reason=reason) == before + 1


@pytest.mark.parametrize(
    "picture",
    [pb.PathRequest(path=9), pb.PathRequest(path=pb.PATH_MSE, task_share=1.5), pb.PathRequest(task_share=-1)],
)
def test_a_path_that_cannot_be_is_an_invalid_argument(client, bitstream, picture):
    error = refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream, pictures=[picture]))
    assert error.code().name == "INVALID_ARGUMENT"


def test_a_picture_format_that_there_is_not_is_refused_as_a_path_is(client, bitstream):
    error = refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream, picture_format=77))
    assert error.code().name == "INVALID_ARGUMENT"
    assert "PICTURE_FORMAT_RAW" in error.details()
    assert "77" in error.details()


def test_a_request_for_too_many_pictures_is_refused(client, bitstream):
    pictures = [pb.PathRequest(path=pb.PATH_MSE)] * 9
    error = refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream, pictures=pictures))
    assert error.code().name == "INVALID_ARGUMENT"
    assert "at most 8" in error.details()


def test_analyze_without_any_wish_is_refused(client, bitstream):
    error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream))
    assert error.code().name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (pb.TaskRequest(task=pb.TASK_CLASSIFICATION), "FAILED_PRECONDITION: .*MANYPATH_DECODER_WORKERS"),
        (pb.TaskRequest(task=pb.TASK_SEGMENTATION), "FAILED_PRECONDITION: .*MANYPATH_DECODER_WORKERS"),
        (pb.TaskRequest(task_name="segmentation"), "FAILED_PRECONDITION: .*MANYPATH_DECODER_WORKERS"),
        (pb.TaskRequest(task_name="juggling"), "INVALID_ARGUMENT: .*one of none here; got 'juggling'"),
        (pb.TaskRequest(), "INVALID_ARGUMENT: .*one of none here"),
        (pb.TaskRequest(task=77), "INVALID_ARGUMENT: .*got task 77"),
    ],
)
def test_a_task_without_a_worker_is_refused_before_anything_is_decoded(decoder, client, bitstream, task, said):
    before = decoder.value("manypath_codec_input_bytes_total")
    error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[task]))
    assert re.match(said, f"{error.code().name}: {error.details()}")
    assert decoder.value("manypath_codec_input_bytes_total") == before


def test_a_picture_above_the_settings_limit_is_refused_by_its_header(start, bitstream):
    running = start("decoder", max_pixels=1000)
    with running.client() as client:
        error = refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream))
    assert error.code().name == "INVALID_ARGUMENT"
    assert "130x96 = 12480" in error.details()
    assert running.value("manypath_codec_bitstream_rejected_total", reason="limit") == 1
    assert running.value("manypath_queue_wait_seconds_count") == 0


def test_an_answer_that_fits_no_message_is_refused_before_it_is_decoded(start, codec):
    running = start("decoder", max_message_bytes=2**17)
    bitstream = codec.encode(photo(256, 256))
    with running.client() as client:
        request = pb.DecodeRequest(bitstream=bitstream, picture_format=pb.PICTURE_FORMAT_RAW)
        error = refusal(client.Decode, request)
    assert error.code().name == "OUT_OF_RANGE"
    assert "196608 bytes" in error.details()
    assert running.value("manypath_queue_wait_seconds_count") == 0


def test_a_bit_map_accounts_for_the_bitstream_square_by_square(decoder, bitstream):
    with decoder.client() as client:
        answer = client.Inspect(pb.InspectRequest(bitstream=bitstream, bit_map=True), timeout=SECONDS)
        without = client.Inspect(pb.InspectRequest(bitstream=bitstream), timeout=SECONDS)
    facts, bits = answer.facts, answer.bit_map
    assert (bits.width, bits.height) == (-(-facts.width // 16), -(-facts.height // 16))
    assert len(bits.bits) == bits.width * bits.height
    assert min(bits.bits) >= 0
    assert 0 < sum(bits.bits) <= 8 * facts.bytes
    assert not without.HasField("bit_map")
