"""One picture through encoder, decoder and worker, each a process of its own."""

from __future__ import annotations

import io
import json
import time

import grpc
import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_api.v1 import codec_pb2_grpc as pb_grpc
from manypath_services.common.client import DECODER_SERVICE, ENCODER_SERVICE, channel_options
from tests.services.serving import MODEL, SECONDS, as_array, as_file, as_raw, photo, refusal


@pytest.fixture(scope="module")
def encoder(stack):
    options = channel_options(ENCODER_SERVICE)
    with grpc.insecure_channel(stack.encoder.target, options=options) as channel:
        yield pb_grpc.EncoderServiceStub(channel)


@pytest.fixture(scope="module")
def decoder(stack):
    options = channel_options(DECODER_SERVICE)
    with grpc.insecure_channel(stack.decoder.target, options=options) as channel:
        yield pb_grpc.DecoderServiceStub(channel)


CLASSIFY = pb.TaskRequest(task=pb.TASK_CLASSIFICATION, top_k=2)


def expected_labels(image: np.ndarray) -> list[tuple[str, float]]:
    """What the model behind the worker says of a picture: the mean of each channel."""
    means = image.reshape(-1, 3).mean(axis=0) / 255
    order = np.argsort(-means)
    return [(("red", "green", "blue")[index], means[index]) for index in order]


def test_a_picture_goes_out_and_labels_and_pictures_come_back(encoder):
    image = photo(96, 130)
    codec = Codec.load(MODEL)
    bitstream = codec.encode(image, quality=6)
    reconstruction = codec.decode(bitstream)
    request = pb.ProcessRequest(
        picture=as_file(image),
        rate=pb.Rate(quality=6),
        tasks=[CLASSIFY],
        pictures=[pb.PathRequest(path=pb.PATH_PERCEPTUAL), pb.PathRequest(path=pb.PATH_MSE)],
        return_bitstream=True,
    )
    response = encoder.Process(request, timeout=SECONDS)
    encoded, analyzed = response.encoded, response.analyzed

    assert encoded.bitstream == bitstream
    assert encoded.facts == analyzed.facts
    (result,) = analyzed.results
    assert result.model == "colours"
    assert result.task == pb.TASK_CLASSIFICATION
    found = [(label.name, label.score) for label in result.classification.labels]
    expected = expected_labels(reconstruction)[:2]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert (result.route.asked, result.route.used) == (pb.PATH_CLASSIFICATION, pb.PATH_PERCEPTUAL)
    assert result.route.fallback
    for picture in analyzed.pictures:
        np.testing.assert_array_equal(as_array(picture.picture), reconstruction)
    assert [picture.route.fallback for picture in analyzed.pictures] == [False, False]
    seconds = {timing.stage: timing.seconds for timing in [*encoded.timings, *analyzed.timings]}
    assert {"analysis", "coding", "synthesis", "worker", "uplink"} <= set(seconds)
    assert seconds["uplink"] > seconds["synthesis"] + seconds["worker"]


def test_a_mask_goes_the_same_way_as_labels(encoder):
    codec = Codec.load(MODEL)
    segment = pb.TaskRequest(task=pb.TASK_SEGMENTATION, overlay=True)
    request = pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY, segment], return_bitstream=True)
    response = encoder.Process(request, timeout=SECONDS)
    labels, mask = response.analyzed.results
    assert len(labels.classification.labels) == 2
    reconstruction = codec.decode(response.encoded.bitstream)
    expected = (reconstruction.astype(np.float32).mean(axis=2) > 127).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(mask.segmentation.mask.png))), expected)
    assert [one.name for one in mask.segmentation.classes] == ["dark", "light"]
    assert Image.open(io.BytesIO(mask.segmentation.overlay)).size == (130, 96)


def test_without_a_wish_for_it_the_bitstream_stays_where_it_is(encoder):
    response = encoder.Process(pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY]), timeout=SECONDS)
    assert response.encoded.bitstream == b""
    assert response.encoded.facts.bytes > 0
    assert not response.analyzed.pictures


def lines_with(process, text: str) -> list[dict]:
    """Return the log lines that hold ``text``: a service answers before its line has come through the pipe."""
    limit = time.monotonic() + SECONDS
    while time.monotonic() < limit:
        found = [json.loads(line) for line in list(process.log) if text in line]
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{process.service} logged no line with {text}")


def test_one_request_id_goes_through_all_three_logs(stack, encoder):
    request = pb.ProcessRequest(picture=as_raw(photo()), tasks=[CLASSIFY])
    encoder.Process(request, timeout=SECONDS, metadata=(("x-request-id", "camera-1/frame-9"),))
    for process in stack:
        calls = lines_with(process, '"camera-1/frame-9"')
        assert {call["request_id"] for call in calls} == {"camera-1/frame-9"}
        assert {call["grpc_code"] for call in calls} == {"OK"}


def test_a_refusal_of_the_decoder_reaches_the_camera_with_its_status(encoder):
    request = pb.ProcessRequest(picture=as_raw(photo()), tasks=[pb.TaskRequest(task_name="juggling")])
    error = refusal(encoder.Process, request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the decoder at" in error.details()
    assert "one of classification, segmentation here; got 'juggling'" in error.details()


def test_process_without_any_wish_is_refused_before_encoding(encoder):
    error = refusal(encoder.Process, pb.ProcessRequest(picture=as_raw(photo())))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_analyze_takes_a_bitstream_from_anywhere(decoder):
    bitstream = Codec.load(MODEL).encode(photo())
    request = pb.AnalyzeRequest(bitstream=bitstream, tasks=[CLASSIFY, CLASSIFY])
    response = decoder.Analyze(request, timeout=SECONDS)
    first, second = (result.classification for result in response.results)
    assert first == second
    assert len(first.labels) == 2
