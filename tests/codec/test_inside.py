"""Score maps and bit maps: what a codec shows of its own choices."""

import dataclasses

import numpy as np
import pytest

from manypath.bitstream import parse
from manypath.codec import Codec
from manypath.edge.config import TINY
from manypath.errors import ConfigError, PathError
from manypath.families import PRESETS, read_config
from manypath.multipath.routing import WINDOW_TOKENS
from manypath.paths import DecodePath, check_path


@pytest.fixture(scope="module")
def codec():
    return Codec.load("tiny-random-sides")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(5).integers(0, 256, (100, 139, 3), dtype=np.uint8)


def test_score_maps_have_a_value_between_0_and_1_per_token_and_change_nothing(codec, image):
    stream = codec.encode(image, quality=5)
    requests = [(DecodePath.PERCEPTUAL, 1.0), (DecodePath.MSE, 0.5), (DecodePath.SEGMENTATION, 1.0)]
    made = codec.reconstruct(stream, requests, scores=True)
    assert made[0].scores == ()
    for own in made[1:]:
        assert [scores.shape for scores in own.scores] == [(13, 18)] * 3
        assert all(scores.min() >= 0 and scores.max() <= 1 for scores in own.scores)
    for own, plain in zip(made, codec.decode_paths(stream, requests), strict=True):
        assert np.array_equal(own.image, plain)
    assert [scores.shape for scores in codec.encode_scores(image, 5)] == [(13, 18)] * 3


@pytest.mark.parametrize("quality", [1, 5, 8])
def test_the_bit_map_adds_up_to_the_words_of_the_stream(codec, image, quality):
    stream = codec.encode(image[:64, :128], quality=quality)
    bits = codec.bit_map(stream)
    assert bits.shape == (4, 8)
    assert bits.min() > 0
    (*words, _escapes) = parse(stream).strips[0]
    assert abs(8 * sum(map(len, words)) - float(bits.sum())) < 64  # the coder's state: what the last words do not tell


def test_the_bit_map_shows_where_the_bits_went(codec):
    """Noise in one corner takes the bits of its own positions."""
    picture = np.full((128, 128, 3), 120, np.uint8)
    picture[:64, :64] = np.random.default_rng(6).integers(0, 256, (64, 64, 3))
    bits = codec.bit_map(codec.encode(picture, quality=6))
    assert bits[:4, :4].mean() > 2 * bits[4:, 4:].mean()


def test_a_model_serves_a_side_of_its_own_name():
    config = dataclasses.replace(TINY, sides=(("vehicles", "adapter"),))
    assert config == read_config(config.to_json())
    assert check_path("vehicles", {"vehicles"}) == "vehicles"
    assert check_path("classification", {"vehicles"}) == "perceptual"
    with pytest.raises(PathError, match="vehicles"):
        check_path("boats", {"vehicles"})


@pytest.mark.parametrize("name", ["main", "low", "Vehicles", "", "a" * 33, "a.b"])
def test_a_side_cannot_take_a_name_that_means_something_else(name):
    with pytest.raises(ConfigError, match="side"):
        dataclasses.replace(PRESETS["edge"], sides=((name, "adapter"),))


def test_a_share_below_half_a_token_is_the_main_path(codec, image):
    stream = codec.encode(image, quality=2)
    main, almost = codec.decode_paths(stream, [(DecodePath.PERCEPTUAL, 1.0), (DecodePath.MSE, 0.4 / WINDOW_TOKENS)])
    assert np.array_equal(main, almost)
