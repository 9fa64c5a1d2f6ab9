"""What is no picture of ours is refused by name, before it costs anything."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from manypath_pictures.errors import (
    AnimationError,
    DepthError,
    PictureError,
    PictureFormatError,
    PictureLimitError,
)
from manypath_pictures.reader import read_picture
from tests.pictures.files import (
    chunk,
    png_that_claims,
    saved,
    scene,
    webp_that_claims,
)

PIXELS = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 4, 3)


def deep_png(colours: int) -> bytes:
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    header = struct.pack(">IIBBBBB", 2, 1, 16, colours, 0, 0, 0)
    row = zlib.compress(b"\0" + bytes(2 * 2 * samples))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        *(deep_png(colours) for colours in (0, 2, 4, 6)),
        b"P5 2 1 65535\n" + bytes(4),
        b"P6 2 1 # ten bits\n 1023\n" + bytes(12),
    ],
)
def test_more_than_8_bits_are_refused_alike(data: bytes) -> None:
    with pytest.raises(DepthError, match="8 are coded"):
        read_picture(data)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_an_animation_is_refused_with_its_number_of_frames(kind: str) -> None:
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    with pytest.raises(AnimationError, match="one frame, got 2"):
        read_picture(saved(frames[0], kind, save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"text", "begins with 74657874"),
        (b"MPTH" + bytes(40), "Manypath bitstream"),
        (b"GIF89a" + bytes(40), "GIF"),
        (bytes(4) + b"ftypheic", "HEIC"),
        (bytes(4) + b"ftypavif", "AVIF"),
        (b"II*\0" + bytes(9), "TIFF"),
        ("a string", "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, says: str) -> None:
    with pytest.raises(PictureFormatError, match=says):
        read_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "PPM"])
def test_every_beginning_of_a_file_is_refused_by_name(kind: str) -> None:
    whole = saved(scene(), kind)
    for length in {*range(0, len(whole) - 40, 41), *range(60)}:
        with pytest.raises(PictureError):
            read_picture(whole[:length])


def test_a_png_that_lacks_only_its_end_is_read() -> None:
    whole = saved(PIXELS)
    assert (read_picture(whole[:-12]) == PIXELS).all()
    assert (read_picture(whole[:-16]) == PIXELS).all()  # the last checksum, too


@pytest.mark.parametrize("data", [png_that_claims(30_000, 30_000), webp_that_claims(16_384, 16_384)[:38]])
def test_what_claims_too_much_is_refused_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(PictureLimitError, match="x"):
        read_picture(data, max_pixels=2**24)
    assert len(webp_that_claims(16_383, 4096)) == 38


def test_a_second_frame_of_another_size_is_not_taken() -> None:
    small, large = saved(scene(), "WEBP", lossless=True), webp_that_claims(16_383, 4096)
    both = small[12:] + large[12:]
    data = b"RIFF" + struct.pack("<I", len(both) + 4) + b"WEBP" + both
    assert (read_picture(data, max_pixels=48 * 32) == scene()).all()
    lossy = saved(scene(), "WEBP")[12:]
    data = b"RIFF" + struct.pack("<I", len(lossy) + 30) + b"WEBP" + large[12:] + lossy
    with pytest.raises(PictureLimitError):
        read_picture(data, max_pixels=48 * 32)
