"""Every sound picture gets its pixels, whatever stands beside them."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from manypath_pictures.errors import (
    AnimationError,
    BackgroundError,
    DepthError,
    PictureDamagedError,
    PictureError,
    PictureFormatError,
    PictureLimitError,
    SamplesError,
    TransparencyError,
)
from manypath_pictures.jpeg import MOST_SCANS
from manypath_pictures.reader import SUFFIXES, read_indexes, read_picture, stored_size
from manypath_pictures.writer import write_png
from tests.pictures.files import (
    chunk,
    grey_profile,
    many_scans,
    opened,
    orientation_entry,
    png_that_claims,
    saved,
    scene,
    segment,
    tiff,
    webp_that_claims,
    wide_gamut_profile,
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


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": "4:4:4"}])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_is_read(missing: int, options: dict[str, object]) -> None:
    whole = saved(scene(80, 60), "JPEG", quality=90, **options)
    assert (read_picture(whole[:-missing]) == opened(whole)).all()


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"restart_marker_blocks": 3, "optimize": True}]
)
def test_of_a_jpeg_that_is_cut_anywhere_all_pixels_are_read_or_none(options: dict[str, object]) -> None:
    whole = saved(scene(80, 60), "JPEG", quality=60, **options)
    picture, read = opened(whole), 0
    for cut in {*range(1, 60), *range(60, len(whole), 37)}:
        try:
            got = read_picture(whole[:-cut])
        except PictureDamagedError:
            continue
        assert (got == picture).all()
        read += 1
    assert 2 <= read <= 4  # the end marker, and perhaps a byte of padding before it


def test_a_flat_jpeg_whose_data_are_missing_is_refused() -> None:
    """Its last blocks look like what the library fills in."""
    flat = np.full((64, 640, 3), 90, np.uint8)
    flat[:, :16] = 10
    whole = saved(flat, "JPEG", optimize=True)
    with pytest.raises(PictureDamagedError, match="truncated"):
        read_picture(whole[:-30])


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused() -> None:
    whole = saved(scene(80, 60), "JPEG", quality=90, progressive=True)
    last = whole.rindex(b"\xff\xda")
    with pytest.raises(PictureDamagedError, match="more must come"):
        read_picture(whole[:last])


def test_stray_bytes_behind_a_jpeg_are_left_alone() -> None:
    whole = saved(scene(), "JPEG")
    for behind in (bytes(3), b"vendor", saved(scene(16, 16), "JPEG")):
        assert (read_picture(whole + behind) == opened(whole)).all()
    assert (read_picture(whole[:-2] + bytes(3) + whole[-2:]) == opened(whole)).all()


def test_of_a_phones_multi_picture_jpeg_the_first_is_taken() -> None:
    views = [Image.fromarray(scene()), Image.fromarray(scene(24, 24))]
    data = saved(views[0], "MPO", save_all=True, append_images=views[1:])
    assert (read_picture(data) == opened(data)).all()


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    whole = saved(scene(), "JPEG", progressive=True)
    with pytest.raises(PictureLimitError, match=f"at most {MOST_SCANS} scans"):
        read_picture(many_scans(whole, 16_000))


def test_a_12_bit_jpeg_is_refused_by_its_depth() -> None:
    whole = bytearray(saved(scene(), "JPEG"))
    whole[whole.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(DepthError, match="12 bits"):
        read_picture(bytes(whole))


def test_a_lossless_jpeg_is_refused_by_its_kind() -> None:
    whole = bytearray(saved(scene(), "JPEG"))
    whole[whole.index(b"\xff\xc0") + 1] = 0xC3
    with pytest.raises(PictureFormatError, match="lossless"):
        read_picture(bytes(whole))


# -------------------------------------------------------------------------------------------- colours


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_wide_gamut_is_converted_to_srgb(kind: str) -> None:
    red = np.full((8, 8, 3), (215, 24, 29), np.uint8)
    got = read_picture(saved(red, kind, icc_profile=wide_gamut_profile(), lossless=True))
    assert np.abs(got.astype(int) - (236, 0, 0)).max() <= 8  # as Display P3 shows it
    grey = np.full((8, 8, 3), 128, np.uint8)
    same = read_picture(saved(grey, kind, icc_profile=wide_gamut_profile(), lossless=True))
    assert np.abs(same.astype(int) - 128).max() <= 2


def test_a_jpegs_profile_in_several_segments_is_put_together() -> None:
    profile = wide_gamut_profile()
    jpeg = saved(np.full((8, 8, 3), (215, 24, 29), np.uint8), "JPEG", quality=100, subsampling="4:4:4")
    halves = (profile[150:], profile[:150])
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes((2 - at, 2)) + half) for at, half in enumerate(halves)]
    assert np.abs(read_picture(with_segments(jpeg, *parts)).astype(int) - (236, 0, 0)).max() <= 8


def test_an_srgb_profile_changes_no_sample() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (read_picture(saved(scene(), icc_profile=profile)) == scene()).all()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_pictures_profile_is_applied(mode: str) -> None:
    grey = Image.new(mode, (4, 4), 128 if mode == "L" else (128, 255))
    linear = read_picture(saved(grey, icc_profile=grey_profile(1.0)))
    assert np.abs(linear.astype(int) - 188).max() <= 1  # half of the light, as sRGB shows it
    assert np.ptp(linear) <= 1


def test_colours_in_a_palette_get_the_profile() -> None:
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette((215, 24, 29))
    got = read_picture(saved(palette, icc_profile=wide_gamut_profile()))
    assert np.abs(got.astype(int) - (236, 0, 0)).max() <= 8


def test_one_value_may_stand_for_transparent() -> None:
    for picture, transparent in (
        (Image.new("L", (4, 4), 128), 128),
        (Image.new("RGB", (4, 4), (1, 2, 3)), (1, 2, 3)),
    ):
        data = saved(picture, transparency=transparent)
        with pytest.raises(TransparencyError):
            read_picture(data)
        assert (read_picture(data, background="#0a141e") == (10, 20, 30)).all()


def test_a_profile_that_does_not_fit_or_cannot_be_read_changes_nothing() -> None:
    grey = scene()[..., 0]
    wrong_space = wide_gamut_profile().replace(b"RGB ", b"CMYK")
    for profile in (bytes(300), wide_gamut_profile()[:200], wrong_space):
        assert (read_picture(saved(scene(), icc_profile=profile)) == scene()).all()
        assert (read_picture(saved(grey, icc_profile=profile)) == grey[..., None]).all()


def test_a_cmyk_jpeg_with_and_without_adobes_marker_is_read() -> None:
    data = saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95, subsampling="4:4:4")
    error = np.abs(read_picture(data).astype(int) - scene())
    assert error.mean() < 3


# ------------------------------------------------------------------------------ what is not carried


def test_transparent_pixels_need_a_background() -> None:
    half = saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    with pytest.raises(TransparencyError, match="background"):
        read_picture(half)
    assert np.abs(read_picture(half, background="white").astype(int) - 127).max() <= 1
    palette = Image.new("P", (4, 4), 0)
    assert (read_picture(saved(palette, transparency=0), background="#0a141e") == (10, 20, 30)).all()
    webp = saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "WEBP", quality=50)
    assert (read_picture(webp, background="#0a141e") == (10, 20, 30)).all()


@pytest.mark.parametrize("colour", ["blurple", "", "#12", "#ffffff80", "rgb(300%)"])
def test_a_background_that_is_no_colour_is_refused(colour: str) -> None:
    with pytest.raises(BackgroundError, match="such as white"):
        read_picture(saved(PIXELS), background=colour)


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


def test_whatever_offers_bytes_is_read() -> None:
    data = saved(PIXELS)
    for offered in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert (read_picture(offered) == PIXELS).all()  # type: ignore[arg-type]


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
