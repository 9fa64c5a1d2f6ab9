"""Picture files as cameras and programs write them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from manypath.errors import ImageError
from manypath_cli.pictures import check_colour, read_picture, write_png

PIXELS = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 4, 3)


def as_file(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM"])
def test_lossless_files_come_back_as_they_are(kind: str) -> None:
    assert (read_picture(as_file(Image.fromarray(PIXELS), kind)) == PIXELS).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_come_back_nearly(kind: str) -> None:
    flat = Image.new("RGB", (16, 8), (200, 100, 50))
    got = read_picture(as_file(flat, kind, quality=95))
    assert got.shape == (8, 16, 3)
    assert np.abs(got.astype(int) - (200, 100, 50)).max() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = read_picture(as_file(Image.fromarray(PIXELS), "PNG", exif=exif))
    turns = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2),
        6: np.rot90(PIXELS, -1),
        7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(PIXELS, 1),
    }
    assert (got == turns[orientation]).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA"])
def test_other_kinds_of_samples_become_rgb(mode: str) -> None:
    picture = Image.new("RGB", (5, 3), "white").convert(mode)
    got = read_picture(as_file(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert got.shape == (3, 5, 3)
    assert got.min() > 250


def test_a_picture_in_an_array_can_be_written_to() -> None:
    read_picture(as_file(Image.fromarray(PIXELS)))[0, 0, 0] = 1


def test_transparent_pixels_need_a_background() -> None:
    half = as_file(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    with pytest.raises(ImageError, match="--background"):
        read_picture(half)
    assert np.abs(read_picture(half, "white").astype(int) - 127).max() <= 1
    palette = Image.new("P", (4, 4), 0)
    assert (read_picture(as_file(palette, transparency=0), "#0a141e") == (10, 20, 30)).all()


def test_a_colour_that_is_none_is_refused() -> None:
    check_colour("#20242c")
    with pytest.raises(ImageError, match="background"):
        check_colour("blurple")


def test_samples_of_16_bits_are_refused() -> None:
    deep = Image.fromarray(np.zeros((3, 3), dtype=np.uint16))
    with pytest.raises(ImageError, match="8 bits"):
        read_picture(as_file(deep))


@pytest.mark.parametrize("data", [b"", b"text", b"MPTH" + bytes(40), b"GIF89a" + bytes(40)])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a JPEG"):
        read_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_damaged_picture_is_refused_by_name(kind: str) -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
    whole = as_file(noise, kind)
    with pytest.raises(ImageError):
        read_picture(whole[: len(whole) // 2])


def test_a_side_that_is_too_long_is_refused_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ImageError, match="30000x30000"):
        read_picture(png)


def test_png_keeps_every_pixel() -> None:
    assert (read_picture(write_png(PIXELS)) == PIXELS).all()
