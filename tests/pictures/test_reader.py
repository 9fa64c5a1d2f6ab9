"""Every sound picture gets its pixels, whatever stands beside them."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from manypath_pictures.errors import (
    PictureLimitError,
    SamplesError,
)
from manypath_pictures.reader import SUFFIXES, read_indexes, read_picture, stored_size
from manypath_pictures.writer import write_png
from tests.pictures.files import (
    chunk,
    opened,
    orientation_entry,
    saved,
    scene,
    segment,
    tiff,
    with_chunks,
    with_segments,
)

PIXELS = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 4, 3)
TURNS = {
    1: PIXELS,
    2: PIXELS[:, ::-1],
    3: PIXELS[::-1, ::-1],
    4: PIXELS[::-1],
    5: PIXELS.transpose(1, 0, 2),
    6: np.rot90(PIXELS, -1),
    7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
    8: np.rot90(PIXELS, 1),
}


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM"])
def test_lossless_files_come_back_as_they_are(kind: str) -> None:
    assert (read_picture(saved(PIXELS, kind)) == PIXELS).all()


def test_a_lossless_webp_comes_back_as_it_is() -> None:
    assert (read_picture(saved(scene(), "WEBP", lossless=True)) == scene()).all()


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "JPEG", "subsampling": "4:4:4"},
        {"kind": "JPEG", "subsampling": "4:2:2"},
        {"kind": "JPEG", "subsampling": "4:2:0"},
        {"kind": "JPEG", "progressive": True},
        {"kind": "JPEG", "optimize": True, "restart_marker_blocks": 3},
        {"kind": "WEBP", "quality": 80},
        {"kind": "PNG", "dpi": (300, 300)},
    ],
)
def test_the_samples_are_those_of_the_library(options: dict[str, object]) -> None:
    data = saved(scene(), **options)  # type: ignore[arg-type]
    assert (read_picture(data) == opened(data)).all()
    assert stored_size(data) == (48, 32)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "RGBA"])
def test_other_kinds_of_samples_become_rgb(mode: str) -> None:
    picture = Image.new("RGB", (5, 3), "white").convert(mode)
    got = read_picture(saved(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert got.shape == (3, 5, 3)
    assert got.min() > 250


def test_an_array_can_be_written_to() -> None:
    read_picture(saved(PIXELS))[0, 0, 0] = 1


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_picture_is_turned_upright(kind: str, way: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = way
    data = saved(PIXELS, kind, exif=exif, lossless=True)
    assert (read_picture(data) == TURNS[way]).all()
    assert stored_size(data) == (4, 2)  # as it is stored


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "entry",
    [
        (0x011A, 2, 4, b"odd\0"),  # a resolution as text: Pillow's writer dies of it
        (0x0100, 9, 1, b"\xff\xff\xff\xf0"),  # a negative width
        (0x011A, 5, 1, b"\xff\xff\xff\xff"),  # a fraction far behind the end
        (0x9999, 77, 2**31, b"\0\0\0\0"),  # a type that there is not
    ],
)
def test_an_odd_value_beside_the_orientation_costs_nothing(order: str, entry: tuple[int, int, int, bytes]) -> None:
    jpeg = saved(scene(), "JPEG")
    exif = tiff([entry, orientation_entry(6, order)], order)
    turned = np.rot90(opened(jpeg), -1)
    assert (read_picture(with_segments(jpeg, segment(0xE1, b"Exif\0\0" + exif))) == turned).all()
    png = with_chunks(saved(scene()), chunk(b"eXIf", exif))
    assert (read_picture(png) == np.rot90(scene(), -1)).all()


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"MM",
        b"MM\0*",
        b"MM\0*\xff\xff\xff\xff",
        tiff([orientation_entry(0)]),
        tiff([orientation_entry(9)]),
        tiff([orientation_entry(65535)]),
        tiff([orientation_entry(6)])[:14],
        tiff([(0x0112, 2, 4, b"six\0")]),
        b"nonsense" * 1000,
    ],
)
def test_an_orientation_that_cannot_be_read_leaves_the_picture_as_it_is(exif: bytes) -> None:
    jpeg = saved(scene(), "JPEG")
    assert (read_picture(with_segments(jpeg, segment(0xE1, b"Exif\0\0" + exif))) == opened(jpeg)).all()
    assert (read_picture(with_chunks(saved(PIXELS), chunk(b"eXIf", exif))) == PIXELS).all()


def test_an_orientation_is_found_where_other_programs_left_it() -> None:
    block = tiff([orientation_entry(3)])
    text = b"\nexif\n      %d\n%s\n" % (len(block) + 6, (b"Exif\0\0" + block).hex().encode())
    raw = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    assert (read_picture(with_chunks(saved(PIXELS), raw)) == TURNS[3]).all()
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    assert (read_picture(with_chunks(saved(PIXELS), xmp)) == TURNS[8]).all()
    packed = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet))
    assert (read_picture(with_chunks(saved(PIXELS), packed)) == TURNS[8]).all()
    jpeg = saved(scene(), "JPEG")
    there = with_segments(jpeg, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))
    assert (read_picture(there) == np.rot90(opened(jpeg), 1)).all()


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE0, b"JFIF"),
        segment(0xE0, b"JFIF\0\1\1\7\0\0\0\0\0\0"),
        segment(0xE2, b"MPF\0" + bytes(20)),
        segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200)),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"FPXR\0" + bytes(3)),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\xff"),
        segment(0xEE, b"Adobe"),
        segment(0xFE, b"\xff\xd9 a comment \xff\xda"),
        segment(0xE7, bytes(60_000)) * 20,
        segment(0xF7, b"JPEG-LS?"),
        b"\xff\xff\xff",
        b"\0\0\0",
    ],
)
def test_odd_application_segments_cost_no_picture(extra: bytes) -> None:
    jpeg = saved(scene(), "JPEG")
    assert (read_picture(with_segments(jpeg, extra)) == opened(jpeg)).all()


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tEXt", b"no separator"),
        chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(10**7))),  # inflates a thousandfold
        chunk(b"iCCP", b"name\0\7garbage"),
        chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(10**7))),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b""),
        chunk(b"cHRM", bytes(3)),
        chunk(b"tIME", b"\xff" * 7),
        chunk(b"acTL", struct.pack(">II", 1, 0)),
        chunk(b"prVt", bytes(100))[:-4] + b"CRC?",
        chunk(b"tEXt", b"a\0b") * 1000,
    ],
)
def test_odd_chunks_cost_no_picture(extra: bytes) -> None:
    assert (read_picture(with_chunks(saved(PIXELS), extra)) == PIXELS).all()


def test_odd_webp_chunks_cost_no_picture() -> None:
    plain = saved(PIXELS, "WEBP", lossless=True)
    frame = plain[12:]
    for name, body in ((b"EXIF", b"Exif\0\0junk"), (b"ICCP", b"short"), (b"XMP ", b"<"), (b"????", bytes(99))):
        extended = b"VP8X" + struct.pack("<I", 10) + b"\x2c\0\0\0" + b"\x03\0\0\x01\0\0"
        odd = extended + name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) + frame
        data = b"RIFF" + struct.pack("<I", len(odd) + 4) + b"WEBP" + odd
        assert (read_picture(data) == PIXELS).all()


def test_metadata_are_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jpeg = saved(scene(), "JPEG", dpi=(72, 72), comment="hello")
        read_picture(with_segments(jpeg, segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")))


# ----------------------------------------------------------------------------------- JPEGs of cameras


def test_whatever_offers_bytes_is_read() -> None:
    data = saved(PIXELS)
    for offered in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert (read_picture(offered) == PIXELS).all()  # type: ignore[arg-type]


def test_sizes_are_limited_as_the_caller_says() -> None:
    assert read_picture(saved(scene()), max_pixels=48 * 32).shape == (32, 48, 3)
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "PPM"):
        assert stored_size(saved(scene(), kind)) == (48, 32)
        with pytest.raises(PictureLimitError, match="48x32 = 1536"):
            read_picture(saved(scene(), kind), max_pixels=48 * 32 - 1)


# -------------------------------------------------------------------------------------- other doors


def test_a_masks_classes_are_read_as_they_are_stored() -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (read_indexes(write_png(classes)) == classes).all()
    palette = Image.fromarray(classes, "L").convert("P")
    palette.putpalette([7] * 768)
    assert (read_indexes(saved(palette)) == classes).all()
    with pytest.raises(SamplesError, match="RGB"):
        read_indexes(saved(PIXELS))


def test_png_keeps_every_pixel() -> None:
    assert (read_picture(write_png(PIXELS)) == PIXELS).all()
    assert (read_picture(write_png(PIXELS, level=1)) == PIXELS).all()


def test_the_suffixes_are_those_of_the_formats() -> None:
    assert {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".ppm", ".pgm"} <= SUFFIXES
