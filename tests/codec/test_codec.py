"""The codec keeps its promises: shapes, batches, budgets, paths and errors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from manypath.bitstream import inspect
from manypath.codec import Codec, StageTimings
from manypath.errors import (
    BudgetError,
    CorruptError,
    DesyncError,
    FormatError,
    ImageError,
    ModelMismatchError,
    PathError,
    QualityError,
    RequestError,
    TruncatedError,
)
from manypath.geometry import WINDOW_PIXELS
from manypath.paths import DecodePath
from manypath.precision import multiplies_bfloat16
from manypath.rate import Rate
from tests.codec.conftest import photo


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 150), width=st.integers(1, 150), quality=st.floats(1, 8))
def test_any_size_and_quality_comes_back_in_its_shape(height: int, width: int, quality: float) -> None:
    codec = Codec.load("tiny-random") if not hasattr(test_codec_cache, "codec") else test_codec_cache.codec
    test_codec_cache.codec = codec
    image = photo(height, width)
    stream = codec.encode(image, quality=quality)
    assert codec.decode(stream).shape == image.shape
    told = inspect(stream)
    assert (told.width, told.height, told.bytes) == (width, height, len(stream))
    assert told.quality <= quality + 1 / 64
    if min(height, width) >= WINDOW_PIXELS:  # a thinner one gets what its samples cost
        assert told.quality >= quality - 1 / 64
    assert told.slices_present == told.slices


class test_codec_cache:  # noqa: N801  hypothesis cannot take a fixture; one codec serves all examples
    codec: Codec


def test_the_same_picture_gives_the_same_bytes(codec: Codec) -> None:
    image = photo(96, 128)
    assert codec.encode(image) == codec.encode(image)


def test_a_batch_gives_what_single_pictures_give(codec: Codec) -> None:
    images = [photo(80, 100, seed) for seed in range(3)] + [photo(64, 64)]
    streams = codec.encode_batch(images, quality=5)
    assert streams == [codec.encode(image, quality=5) for image in images]
    for together, stream in zip(codec.decode_batch(streams), streams, strict=True):
        assert np.array_equal(together, codec.decode(stream))


def test_grey_is_taken_as_rgb_and_alpha_is_refused(codec: Codec) -> None:
    grey = photo(64, 70)[:, :, 0]
    assert codec.encode(grey) == codec.encode(np.repeat(grey[:, :, None], 3, axis=2))
    with pytest.raises(ImageError, match="RGBA"):
        codec.encode(np.zeros((8, 8, 4), np.uint8))


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 2), np.uint8)],
)
def test_what_is_no_picture_is_named(codec: Codec, image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        codec.encode(image)


def test_a_side_beyond_the_limit_is_refused(codec: Codec) -> None:
    with pytest.raises(ImageError, match="16384"):
        codec.encode(np.zeros((1, 16385, 3), np.uint8))


@pytest.mark.parametrize("quality", [0.99, 8.01, float("nan"), float("inf")])
def test_a_quality_out_of_range_is_refused(codec: Codec, quality: float) -> None:
    with pytest.raises(QualityError, match="must be in"):
        codec.encode(photo(64, 64), quality=quality)


def test_two_rates_at_once_are_refused(codec: Codec) -> None:
    with pytest.raises(RequestError, match="not several"):
        Rate(quality=3, max_bytes=100)
    with pytest.raises(RequestError, match="a Rate or a quality"):
        codec.encode(photo(64, 64), Rate(quality=3), quality=3)


def test_a_budget_is_never_exceeded_and_nearly_used(codec: Codec) -> None:
    image = photo(256, 320)
    low, high = len(codec.encode(image, quality=1)), len(codec.encode(image, quality=8))
    for most in np.linspace(low + 50, high - 50, 6).astype(int).tolist():
        size = len(codec.encode(image, Rate(max_bytes=most)))
        assert 0.95 * most <= size <= most
    assert len(codec.encode(image, Rate(max_bytes=10 * high))) == high
    bpp = 0.5 * (low + high) * 8 / (256 * 320)
    assert 0.95 * bpp <= inspect(codec.encode(image, Rate(bpp=bpp))).bpp <= bpp


def test_a_budget_below_the_lowest_quality_says_what_is_needed(codec: Codec) -> None:
    with pytest.raises(BudgetError, match=r"needs \d+ bytes"):
        codec.encode(photo(64, 64), Rate(max_bytes=30))
    with pytest.raises(BudgetError, match="header"):
        codec.encode(photo(64, 64), Rate(bpp=1e-9))
    with pytest.raises(BudgetError, match="positive"):
        codec.encode(photo(64, 64), Rate(bpp=0))


def test_an_untrained_path_falls_back_to_the_main_path(codec: Codec) -> None:
    stream = codec.encode(photo(64, 96))
    assert not codec.serves(DecodePath.CLASSIFICATION)
    assert np.array_equal(codec.decode(stream, path=DecodePath.CLASSIFICATION), codec.decode(stream))
    with pytest.raises(PathError, match="task_share"):
        codec.decode(stream, path=DecodePath.MSE, task_share=1.5)


def test_another_models_stream_is_refused_by_name(codec: Codec) -> None:
    stream = bytearray(codec.encode(photo(64, 64)))
    other = Codec.load("tinylic-tiny-random")
    with pytest.raises(ModelMismatchError, match=codec.model_digest):
        other.decode(bytes(stream))


def test_damage_is_told_from_disagreement(codec: Codec) -> None:
    from manypath.bitstream import pack, parse

    stream = codec.encode(photo(96, 96), quality=8)
    damaged = bytearray(stream)
    damaged[-3] ^= 1
    with pytest.raises(CorruptError):
        codec.decode(bytes(damaged))
    parsed = parse(stream)
    chunk = bytearray(parsed.strips[0][1])
    chunk[len(chunk) // 2] ^= 1
    forged = parsed._replace(strips=((parsed.strips[0][0], bytes(chunk), *parsed.strips[0][2:]),))
    with pytest.raises((DesyncError, FormatError)):  # an escape may be missed before the checksum is
        codec.decode(pack(forged))


def test_a_cut_stream_decodes_its_first_slices_when_allowed(codec: Codec) -> None:
    image = photo(128, 128)
    stream = codec.encode(image, quality=8)
    from manypath.bitstream import parse

    last = len(parse(stream).strips[0][2])
    cut = stream[: len(stream) - last // 2]
    with pytest.raises(TruncatedError):
        codec.decode(cut)
    assert codec.decode(cut, allow_truncated=True).shape == image.shape
    told = inspect(cut)
    assert told.slices_present == told.slices - 1


def test_time_is_told_per_stage(codec: Codec) -> None:
    timings = StageTimings()
    codec.decode(codec.encode(photo(64, 64), timings=timings), timings=timings)
    assert set(timings.seconds) == {"analysis", "entropy_parameters", "coding", "synthesis"}
    assert all(seconds > 0 for seconds in timings.seconds.values())


def test_higher_quality_never_costs_much_less_and_ends_far_apart(codec: Codec) -> None:
    image = photo(128, 192)
    sizes = [len(codec.encode(image, quality=quality)) for quality in range(1, 9)]
    assert sizes[-1] > 2 * sizes[0]
    assert all(later > 0.9 * earlier for earlier, later in itertools.pairwise(sizes))


def test_the_latents_of_padding_cost_next_to_nothing():
    codec = Codec.load("tiny-random")
    rng = np.random.default_rng(3)
    noisy = rng.integers(0, 256, (65, 65, 3), dtype=np.uint8)
    bits = codec.bit_map(codec.encode(noisy, quality=6))  # 5x5 positions of 8x8
    whole = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    whole[:65, :65] = noisy
    assert len(codec.encode(noisy, quality=6)) < 0.6 * len(codec.encode(whole, quality=6))
    assert bits.shape == (5, 5)


def test_bfloat16_loses_next_to_nothing_and_auto_is_what_the_device_multiplies() -> None:
    picture = photo(128, 128, 3)
    plain, short, auto = (Codec.load("edge", dtype=dtype) for dtype in ("float32", "bfloat16", "auto"))
    for quality in (1.0, 4.5, 8.0):
        streams = [codec.encode(picture, quality=quality) for codec in (plain, short, auto)]
        errors = [
            float(np.square(codec.decode(stream).astype(float) - picture).mean())
            for codec, stream in zip((plain, short), streams, strict=False)
        ]
        assert 10 * np.log10(errors[1] / errors[0]) < 0.05
        assert streams[2] == streams[1 if multiplies_bfloat16(torch.device("cpu")) else 0]
