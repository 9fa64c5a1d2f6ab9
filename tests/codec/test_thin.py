"""Pictures much thinner than what is coded together: they take no more bytes than their samples."""

from __future__ import annotations

import numpy as np
import pytest

from manypath.codec import Codec, Rate, inspect
from manypath.encoding import ROOM_BYTES


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.load("tiny-random")


def noise(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1500), (1500, 1)])
def test_a_line_of_noise_takes_no_more_bytes_than_its_samples(codec: Codec, size: tuple[int, int]) -> None:
    stream = codec.encode(noise(*size), quality=8.0)
    assert len(stream) <= 3 * 1500 + ROOM_BYTES
    assert 1.0 < inspect(stream).quality < 8.0  # the header says what it got
    assert codec.decode(stream).shape == (*size, 3)


@pytest.mark.parametrize("budget", [5_000, 50_000, 10**6])
def test_a_budget_beyond_the_samples_is_not_used_up_on_padding(codec: Codec, budget: int) -> None:
    stream = codec.encode(noise(1, 1500), Rate(max_bytes=budget))
    assert len(stream) <= 3 * 1500 + ROOM_BYTES
    assert codec.decode(stream).shape == (1, 1500, 3)


def test_a_picture_of_one_pixel_takes_what_it_needs_within_its_budget(codec: Codec) -> None:
    """No quality codes it in three bytes: the header alone is longer."""
    assert codec.decode(codec.encode(noise(1, 1), Rate(max_bytes=2000))).shape == (1, 1, 3)


def test_a_picture_that_is_not_thin_or_fits_gets_the_quality_that_was_asked_for(codec: Codec) -> None:
    for picture in (noise(63, 100), noise(64, 64)):
        assert inspect(codec.encode(picture, quality=8.0)).quality == 8.0


def test_pictures_of_one_batch_are_each_as_they_are_alone(codec: Codec) -> None:
    pictures = [noise(1, 1500), noise(40, 40), noise(1, 1500)[:, ::-1]]
    assert codec.encode_batch(pictures, quality=8.0) == [codec.encode(picture, quality=8.0) for picture in pictures]
