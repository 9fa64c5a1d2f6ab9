"""The shipped model writes the bytes that it wrote, and reads them as the pictures that it made of them."""

import numpy as np
import pytest
from PIL import Image as Pictures

from manypath.bitstream import inspect
from manypath.codec import Codec
from tests.codec import pin

CURE = "if the shipped weights are meant to be others: python -m tests.codec.pin"


@pytest.fixture(scope="module")
def shipped() -> Codec:
    return Codec.load(pin.MODEL, dtype="float32")


@pytest.fixture(scope="module")
def streams() -> dict[float, bytes]:
    return {quality: pin.stream_file(quality).read_bytes() for quality in pin.QUALITIES}


def test_the_fixture_is_of_the_shipped_weights(shipped: Codec, streams: dict[float, bytes]) -> None:
    assert {inspect(stream).model_digest for stream in streams.values()} == {shipped.model_digest}, CURE


@pytest.mark.parametrize("quality", pin.QUALITIES)
def test_a_picture_becomes_the_bytes_that_it_became(
    shipped: Codec, streams: dict[float, bytes], quality: float
) -> None:
    assert shipped.encode(pin.picture(), quality=quality) == streams[quality], CURE


def test_streams_become_the_pictures_that_they_became_by_every_path(
    shipped: Codec, streams: dict[float, bytes]
) -> None:
    expected = np.asarray(Pictures.open(pin.FOLDER / "decoded.png")).astype(int)
    difference = np.abs(pin.decoded(shipped, streams).astype(int) - expected)
    assert difference.max() <= 1, CURE  # another processor may round a sample the other way
    assert (difference > 0).mean() < 0.001, CURE


def test_the_fixture_tells_paths_and_qualities_apart() -> None:
    """A fixture of equal pictures could not fail where it should."""
    sheet = np.asarray(Pictures.open(pin.FOLDER / "decoded.png")).astype(int)
    columns = np.stack(np.split(sheet, len(pin.PATHS), 1))
    rows = np.stack(np.split(sheet, len(pin.QUALITIES)))
    assert len({column.tobytes() for column in columns}) == len(pin.PATHS)
    assert len({row.tobytes() for row in rows}) == len(pin.QUALITIES)
