"""Ready means checked: a machine that decodes otherwise than the writer's never serves."""

from __future__ import annotations

import numpy as np
import pytest

from manypath.bitstream import pack, parse
from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_services.codec import ready
from manypath_services.codec.metrics import CodecMetrics
from manypath_services.codec.ready import SelfCheckError, check_picture, foreign_stream, load_codec
from manypath_services.common.entry import StartError
from manypath_services.decoder.settings import DecoderSettings
from tests.services.serving import MODEL, SECONDS


@pytest.fixture(scope="module")
def codec():
    return Codec.load(MODEL)


def test_the_check_picture_is_the_same_everywhere():
    picture = check_picture()
    assert picture.shape == (100, 150, 3)
    assert int(np.asarray(picture, np.int64).sum()) == 3_359_076


def test_a_shipped_model_has_a_self_check_stream_from_another_process():
    digest = Codec.load("edge").model_digest
    cure = "new weights need: python -m manypath_services.codec.ready edge"
    stream = foreign_stream(digest)
    assert stream is not None, cure
    assert parse(stream).model_digest.hex() == digest


def test_a_machine_that_computes_other_symbols_does_not_serve(codec, monkeypatch):
    stream = parse(codec.encode(check_picture()))
    other = pack(stream._replace(symbols_checksum=stream.symbols_checksum ^ 1))  # as another machine wrote it
    monkeypatch.setattr(ready, "foreign_stream", lambda _: other)
    metrics = CodecMetrics("decoder", "test")
    with pytest.raises(SelfCheckError, match="the shipped self-check stream does not decode"):
        load_codec(DecoderSettings.load(model=MODEL), metrics)
    assert metrics.registry.get_sample_value("manypath_codec_selfcheck_mismatch") == 1


def test_a_server_that_fails_its_check_stays_not_serving_and_stops_its_start(start, codec, monkeypatch):
    stream = parse(codec.encode(check_picture()))
    other = pack(stream._replace(symbols_checksum=stream.symbols_checksum ^ 1))
    monkeypatch.setattr(ready, "foreign_stream", lambda _: other)
    running = start("decoder", ready=False)
    with pytest.raises(StartError, match="self-check"):
        running.become_ready()
    assert running.value("manypath_codec_selfcheck_mismatch") == 1
    assert running.servicer.codec is None


def test_a_device_that_is_chosen_by_itself_is_one_that_is_there(start):
    import torch

    with start("decoder", device="auto").client() as client:
        told = client.GetCapabilities(pb.DecoderServiceGetCapabilitiesRequest(), timeout=SECONDS)
    assert told.device == ("cuda" if torch.cuda.is_available() else "cpu")
