"""Paths by name: the four that everybody knows, and a model owner's own."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from manypath import checkpoint
from manypath.codec import Codec
from manypath.testing import random_model
from manypath_api.v1 import codec_pb2 as pb
from tests.services.serving import SECONDS, Running, as_array, photo, refusal

SIDES = (("classification", "adapter"), ("vehicles", "adapter"))  # no mse, no segmentation


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    released = random_model("tiny", sides=SIDES)
    file = tmp_path_factory.mktemp("model") / "own.safetensors"
    tensors = checkpoint.export(released.model, released.hyper_tables)
    file.write_bytes(checkpoint.to_bytes(released.model.config, tensors))
    return file


@pytest.fixture(scope="module")
def codec(model):
    return Codec.load(model)


@pytest.fixture(scope="module")
def bitstream(codec):
    return codec.encode(photo(), quality=6)


@pytest.fixture(scope="module")
def running(loop, model):
    running = Running("decoder", loop, model=str(model))
    yield running
    running.close()


@pytest.fixture
def client(running):
    with running.client() as client:
        yield client


def decode(client, bitstream, *pictures, **options):
    request = pb.DecodeRequest(bitstream=bitstream, pictures=pictures, **options)
    return list(client.Decode(request, timeout=SECONDS).pictures)


def test_a_name_and_its_number_ask_for_the_same(client, bitstream):
    by_number, by_name, by_both = decode(
        client,
        bitstream,
        pb.PathRequest(path=pb.PATH_CLASSIFICATION),
        pb.PathRequest(path_name="classification"),
        pb.PathRequest(path=pb.PATH_CLASSIFICATION, path_name="classification"),
    )
    assert by_number == by_name == by_both
    assert by_name.route.used == pb.PATH_CLASSIFICATION
    assert not by_name.route.fallback


def test_an_owners_side_serves_by_its_name(client, codec, bitstream):
    whole, half, none = decode(
        client,
        bitstream,
        pb.PathRequest(path_name="vehicles"),
        pb.PathRequest(path_name="vehicles", task_share=0.5),
        pb.PathRequest(path_name="vehicles", task_share=0),
    )
    for picture, share in ((whole, 1.0), (half, 0.5), (none, 0.0)):
        expected = codec.decode(bitstream, path="vehicles", task_share=share)
        np.testing.assert_array_equal(as_array(picture.picture), expected)
        assert picture.route == pb.Route(task_share=share, asked_name="vehicles", used_name="vehicles")
    assert not np.array_equal(as_array(whole.picture), as_array(none.picture))


def test_a_well_known_path_without_a_side_falls_back_and_says_so_by_name(client, bitstream):
    (picture,) = decode(client, bitstream, pb.PathRequest(path_name="segmentation"))
    assert picture.route == pb.Route(
        asked=pb.PATH_SEGMENTATION,
        used=pb.PATH_PERCEPTUAL,
        fallback=True,
        asked_name="segmentation",
        used_name="perceptual",
    )


def test_the_main_path_serves_least_error_and_people_without_a_word_of_falling_back(client, bitstream):
    asked = {"mse": pb.PATH_MSE, "perceptual": pb.PATH_PERCEPTUAL}
    pictures = decode(client, bitstream, *(pb.PathRequest(path_name=name) for name in asked))
    for picture, (name, number) in zip(pictures, asked.items(), strict=True):
        assert picture.route == pb.Route(asked=number, used=number, asked_name=name, used_name=name)
    assert pictures[0].picture == pictures[1].picture


def test_with_a_side_for_people_the_main_path_is_the_one_of_least_error(start, tmp_path):
    released = random_model("tiny", sides=(("perceptual", "noise-adapter"),))
    file = tmp_path / "people.safetensors"
    file.write_bytes(
        checkpoint.to_bytes(released.model.config, checkpoint.export(released.model, released.hyper_tables))
    )
    codec = Codec.load(file)
    stream = codec.encode(photo(96, 130))
    with start("decoder", model=str(file)).client() as client:
        told = client.GetCapabilities(pb.DecoderServiceGetCapabilitiesRequest(), timeout=SECONDS)
        assert (list(told.path_names), told.main_path) == (["perceptual", "mse"], "mse")
        names = ("", "perceptual", "mse", "classification")
        pictures = decode(client, stream, *(pb.PathRequest(path_name=name) for name in names))
    used = [(picture.route.used_name, picture.route.fallback, picture.route.task_share) for picture in pictures]
    assert used == [("perceptual", False, 1), ("perceptual", False, 1), ("mse", False, 0), ("mse", True, 0)]
    for picture, path in zip(pictures, ("perceptual", "perceptual", "mse", "mse"), strict=True):
        np.testing.assert_array_equal(as_array(picture.picture), codec.decode(stream, path=path))
    assert not np.array_equal(as_array(pictures[1].picture), as_array(pictures[2].picture))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (
            pb.PathRequest(path_name="vehicels"),
            "one of perceptual, mse, classification, segmentation, detection, vehicles; got 'vehicels'",
        ),
        (pb.PathRequest(path=pb.PATH_MSE, path_name="vehicles"), "path is PATH_MSE and path_name 'vehicles'"),
        (pb.PathRequest(path_name="vehicles", task_share=1.01), "task_share must be in [0, 1]"),
        (pb.PathRequest(path_name="v" * 100_000), "must be one of"),
    ],
)
def test_a_name_that_the_model_lacks_is_refused_with_the_list(client, bitstream, picture, said):
    error = refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream, pictures=[picture]))
    assert error.code().name == "INVALID_ARGUMENT"
    assert said in error.details()


def test_score_maps_are_the_codecs_and_come_where_they_are_asked_for(client, codec, bitstream):
    pictures = decode(
        client,
        bitstream,
        pb.PathRequest(path_name="vehicles", score_maps=True),
        pb.PathRequest(path=pb.PATH_CLASSIFICATION),
        pb.PathRequest(path=pb.PATH_PERCEPTUAL, score_maps=True),
    )
    assert [len(picture.score_maps) for picture in pictures] == [3, 0, 0]
    (expected,) = codec.reconstruct(bitstream, [("vehicles", 1.0)], scores=True)
    for file, scores in zip(pictures[0].score_maps, expected.scores, strict=True):
        with Image.open(io.BytesIO(file)) as found:
            assert (found.format, found.mode, found.size) == ("PNG", "L", (17, 12))  # 130 x 96 pixels, by 8
            np.testing.assert_allclose(np.asarray(found) / 255, scores, atol=0.002)


def test_both_services_tell_the_paths_that_they_have(client, start, model):
    told = client.GetCapabilities(pb.DecoderServiceGetCapabilitiesRequest(), timeout=SECONDS)
    assert list(told.path_names) == ["perceptual", "classification", "vehicles"]
    assert list(told.task_names) == []
    assert (told.model, told.device, told.max_paths) == ("own", "cpu", 8)
    with start("encoder", model=str(model)).client() as encodes:
        encoder = encodes.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=SECONDS)
    assert list(encoder.path_names) == list(told.path_names)
    assert list(encoder.trained_paths) == [pb.PATH_PERCEPTUAL, pb.PATH_CLASSIFICATION]
    assert encoder.model_digest == told.model_digest


def test_metrics_know_paths_by_the_names_that_the_model_has(start, model, bitstream):
    running = start("decoder", model=str(model))
    asked = ("vehicles", "mse", "classification", "segmentation", "perceptual")
    with running.client() as client:
        for name in asked:
            decode(client, bitstream, pb.PathRequest(path_name=name))
        decode(client, bitstream, *(pb.PathRequest(path_name=name) for name in asked))
        refusal(client.Decode, pb.DecodeRequest(bitstream=bitstream, pictures=[pb.PathRequest(path_name="not-a-path")]))
    labels = {
        sample.labels["path"]
        for family in running.metrics.registry.collect()
        for sample in family.samples
        if "path" in sample.labels
    }
    assert labels == {"perceptual", "mse", "classification", "vehicles", "several"}
    assert running.value("manypath_codec_rate_bpp_count", path="vehicles", quality="6") == 2
    # of people: a fallback, itself, and both at once, with what is of the main path counted once
    assert running.value("manypath_codec_rate_bpp_count", path="perceptual", quality="6") == 3
    seconds = {"service": "decoder", "stage": "synthesis", "device": "cpu"}
    assert running.value("manypath_codec_stage_duration_seconds_count", path="vehicles", **seconds) == 1
    assert running.value("manypath_codec_stage_duration_seconds_count", path="several", **seconds) == 1
