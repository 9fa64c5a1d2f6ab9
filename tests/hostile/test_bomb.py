"""A small stream that claims a huge picture costs its reader next to nothing."""

import resource

import pytest

from manypath.bitstream import Bitstream, pack
from manypath.codec import Codec
from manypath.errors import FormatError, LimitError
from manypath.geometry import strip_heights
from manypath.testing import random_model


def claim(codec: Codec, side: int) -> bytes:
    """Return a sound container around nothing: every chunk empty."""
    chunks = (b"",) * (len(codec.config.slices) + 2)
    strips = (chunks,) * len(strip_heights(side, side))
    return pack(Bitstream(side, side, 0, bytes.fromhex(codec.model_digest), 0, strips))


def test_empty_chunks_are_refused_before_the_picture_is_allocated() -> None:
    codec = Codec.load("tiny-random")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match="two 32-bit words"):
        codec.decode(claim(codec, 16384))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB; the picture alone has 786 MB


def test_a_codec_can_be_told_how_large_a_picture_may_be() -> None:
    codec = Codec(random_model("tiny"), "tiny", max_pixels=1_000_000)
    with pytest.raises(LimitError):
        codec.decode(claim(codec, 1024))
