"""Pictures in, bitstreams out; what cannot be is refused before it costs anything."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from manypath.bitstream import inspect
from manypath.codec import Codec, Rate
from manypath_api.v1 import codec_pb2 as pb
from manypath_pictures.reader import read_picture
from tests.pictures.files import (
    many_scans,
    orientation_entry,
    saved,
    scene,
    segment,
    tiff,
    webp_that_claims,
    wide_gamut_profile,
    with_segments,
)
from tests.services.serving import MODEL, SECONDS, as_file, as_raw, photo, refusal


@pytest.fixture(scope="module")
def codec():
    return Codec.load(MODEL)


@pytest.fixture
def client(encoder):
    with encoder.client() as client:
        yield client


def encode(client, picture, **rate):
    return client.Encode(pb.EncodeRequest(picture=picture, rate=pb.Rate(**rate)), timeout=SECONDS)


def test_a_png_gives_the_bytes_that_the_codec_gives(client, codec):
    image = photo()
    response = encode(client, as_file(image), quality=3.5)
    assert response.bitstream == codec.encode(image, quality=3.5)


def test_raw_samples_give_the_same_bytes_as_a_lossless_file(client):
    image = photo()
    bitstreams = {
        encode(client, picture, quality=5).bitstream
        for picture in (as_raw(image), as_file(image), as_file(image, "WEBP", lossless=True))
    }
    assert len(bitstreams) == 1


def test_a_jpeg_is_accepted(client, codec):
    picture = as_file(photo(), "JPEG", quality=90)
    decoded = np.asarray(Image.open(io.BytesIO(picture.file)))
    assert encode(client, picture).bitstream == codec.encode(decoded)


def test_of_a_phones_multi_picture_jpeg_the_first_is_taken(client, codec):
    file = io.BytesIO()
    views = [Image.fromarray(photo()), Image.fromarray(photo(40, 40))]
    views[0].save(file, "MPO", save_all=True, append_images=views[1:])
    first = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    assert encode(client, pb.Picture(file=file.getvalue())).bitstream == codec.encode(first)


def test_an_orientation_in_exif_is_followed(client):
    image = photo(64, 100)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    facts = encode(client, as_file(image, "JPEG", exif=exif)).facts
    assert (facts.width, facts.height) == (64, 100)


def test_grey_palette_and_opaque_alpha_are_taken_as_rgb(client, codec):
    grey = photo()[..., 0]
    bitstream = encode(client, as_file(grey)).bitstream
    assert bitstream == codec.encode(np.repeat(grey[..., None], 3, axis=2))
    opaque = np.dstack([photo(), np.full(photo().shape[:2], 255, np.uint8)])
    assert encode(client, as_file(opaque)).bitstream == codec.encode(photo())
    palette = Image.fromarray(photo()).quantize(16)
    file = io.BytesIO()
    palette.save(file, "PNG")
    bitstream = encode(client, pb.Picture(file=file.getvalue())).bitstream
    assert bitstream == codec.encode(np.asarray(palette.convert("RGB")))


def test_the_response_says_what_the_bitstream_says(client, codec):
    image = photo()
    response = encode(client, as_raw(image), quality=2.25)
    info, facts = inspect(response.bitstream), response.facts
    assert (facts.width, facts.height) == (image.shape[1], image.shape[0])
    assert facts.quality == 2.25
    assert facts.bytes == len(response.bitstream)
    assert facts.bpp == pytest.approx(8 * len(response.bitstream) / (image.shape[0] * image.shape[1]))
    assert facts.model_digest == codec.model_digest == info.model_digest
    assert response.device == "cpu"
    assert not response.HasField("budget")
    stages = {timing.stage: timing.seconds for timing in response.timings}
    assert list(stages) == ["queue", "picture_decode", "analysis", "entropy_parameters", "coding"]
    assert all(seconds >= 0 for seconds in stages.values())


@pytest.mark.parametrize("kind", ["max_bytes", "target_bpp"])
def test_a_budget_is_kept_and_told(client, codec, kind):
    image = photo(256, 256)
    low, high = (len(codec.encode(image, quality=quality)) for quality in (1.0, 8.0))
    asked = (low + high) // 2
    rate = {"max_bytes": asked} if kind == "max_bytes" else {"target_bpp": 8 * asked / (256 * 256)}
    response = encode(client, as_raw(image), **rate)
    assert response.budget.asked_bytes == asked
    assert response.budget.used_bytes == len(response.bitstream) <= asked


def test_capabilities_tell_model_and_limits(client, codec):
    told = client.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=SECONDS)
    assert (told.model, told.model_digest, told.device) == (codec.name, codec.model_digest, "cpu")
    assert (told.min_quality, told.max_quality, told.quality_step) == (1.0, 8.0, 1 / 32)
    assert told.max_pixels == 2**24
    assert list(told.picture_formats) == ["JPEG", "PNG", "WEBP", "BMP", "PPM"]
    assert list(told.trained_paths) == [pb.PATH_PERCEPTUAL]
    assert list(told.path_names) == ["perceptual"]
    assert not told.has_uplink
    assert told.max_effort == 2


def test_an_effort_gives_the_bytes_that_the_codec_gives_and_tells_its_time(client, codec):
    image = photo()
    response = encode(client, as_raw(image), quality=4.0, effort=1)
    assert response.bitstream == codec.encode(image, Rate(quality=4.0, effort=1))
    assert response.bitstream != encode(client, as_raw(image), quality=4.0).bitstream
    assert {timing.stage: timing.seconds for timing in response.timings}["effort"] > 0
    asked = len(response.bitstream)
    within = encode(client, as_raw(image), max_bytes=asked, effort=1)
    assert within.budget.used_bytes == len(within.bitstream) <= asked


def test_an_encoder_takes_no_more_effort_than_it_was_told_to(start):
    running = start("encoder", max_effort=0)
    with running.client() as client:
        assert client.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=SECONDS).max_effort == 0
        error = refusal(client.Encode, pb.EncodeRequest(picture=as_raw(photo()), rate=pb.Rate(effort=1)))
    assert error.code().name == "INVALID_ARGUMENT"
    assert "from 0 to 0, got 1" in error.details()


def animated() -> pb.Picture:
    file = io.BytesIO()
    frames = [Image.fromarray(photo(32, 32)), Image.fromarray(photo(32, 32)[::-1])]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return pb.Picture(file=file.getvalue())


def sixteen_bits() -> pb.Picture:
    return as_file(photo()[..., 0].astype(np.uint16) * 256)


def transparent() -> pb.Picture:
    return as_file(np.dstack([photo(), np.zeros(photo().shape[:2], np.uint8)]))


def png_that_claims(width: int, height: int) -> pb.Picture:
    """A PNG of a few bytes whose header promises a large picture: a decompression bomb."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return pb.Picture(file=b"\x89PNG\r\n\x1a\n" + data)


def cut_file() -> pb.Picture:
    return pb.Picture(file=as_file(photo(), "JPEG").file[:700])


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (pb.Picture(), "no picture"),
        (pb.Picture(file=b""), "no picture"),
        (pb.Picture(file=b"GIF89a" + bytes(100)), "not a JPEG, PNG, WebP"),
        (as_file(photo(8, 8), "GIF"), "not a JPEG, PNG, WebP"),
        (cut_file(), "damaged"),
        (animated(), "one frame, got 2"),
        (sixteen_bits(), "16 bits a sample"),
        (transparent(), "transparent"),
        (pb.Picture(raw=pb.RawPicture(width=3, height=1, data=b"12345678")), "9 bytes"),
        (pb.Picture(raw=pb.RawPicture(width=0, height=5)), "1..16384"),
        (pb.Picture(raw=pb.RawPicture(width=2**31, height=2**31)), "1..16384"),
        (png_that_claims(16384, 16384), "at most 16777216 pixels"),
        (png_that_claims(2**31 - 1, 1), "1..16384"),
    ],
)
def test_a_picture_that_cannot_be_is_an_invalid_argument_that_says_why(client, picture, said):
    error = refusal(client.Encode, pb.EncodeRequest(picture=picture))
    assert error.code().name == "INVALID_ARGUMENT"
    assert said in error.details()


def odd_files() -> dict[str, bytes]:
    jpeg = saved(scene(), "JPEG")
    exif = tiff([(0x011A, 2, 4, b"odd\0"), orientation_entry(6)])
    return {
        "a resolution that is text": with_segments(jpeg, segment(0xE1, b"Exif\0\0" + exif)),
        "no end marker": jpeg[:-2],
        "CMYK": saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"),
        "a profile": saved(scene(), icc_profile=wide_gamut_profile()),
        "BMP": saved(scene(), "BMP"),
        "PPM": saved(scene(), "PPM"),
    }


@pytest.mark.parametrize("name", odd_files())
def test_odd_files_are_read_by_the_rules_of_the_command_line(client, codec, name):
    data = odd_files()[name]
    assert encode(client, pb.Picture(file=data)).bitstream == codec.encode(read_picture(data))


@pytest.mark.parametrize(
    "data",
    [webp_that_claims(16_383, 4096), many_scans(saved(scene(), "JPEG", progressive=True), 16_000)],
    ids=["38 bytes of WebP", "16,000 scans"],
)
def test_a_small_file_that_is_minutes_of_work_is_refused(client, data):
    error = refusal(client.Encode, pb.EncodeRequest(picture=pb.Picture(file=data)))
    assert error.code().name == "INVALID_ARGUMENT"
    assert "at most" in error.details()


@pytest.mark.parametrize(
    "rate",
    [
        {"quality": 9.5},
        {"quality": 0.5},
        {"quality": float("nan")},
        {"max_bytes": 0},
        {"max_bytes": 10},
        {"target_bpp": -1.0},
        {"target_bpp": float("inf")},
        {"target_bpp": float("nan")},
        {"target_bpp": 1e-9},
        {"quality": 0.0},
        {"target_bpp": 0.0},
        {"effort": 3},
    ],
)
def test_a_rate_that_cannot_be_is_an_invalid_argument(client, rate):
    error = refusal(client.Encode, pb.EncodeRequest(picture=as_raw(photo()), rate=pb.Rate(**rate)))
    assert error.code().name == "INVALID_ARGUMENT", error.details()


def test_the_pixel_limit_is_the_settings(start):
    running = start("encoder", max_pixels=100)
    with running.client() as client:
        assert encode(client, as_raw(photo(10, 10))).facts.width == 10
        for picture in (as_raw(photo(10, 11)), as_file(photo(10, 11))):
            error = refusal(client.Encode, pb.EncodeRequest(picture=picture))
            assert error.code().name == "INVALID_ARGUMENT"
            assert "at most 100 pixels" in error.details()


def test_process_without_an_uplink_says_how_to_get_one(client):
    error = refusal(client.Process, pb.ProcessRequest(picture=as_raw(photo())))
    assert error.code().name == "FAILED_PRECONDITION"
    assert "MANYPATH_ENCODER_UPLINK" in error.details()


def test_a_budget_beyond_all_need_is_met_at_the_highest_quality(client):
    response = encode(client, as_raw(photo()), target_bpp=1e300)
    assert response.facts.quality == 8
    assert response.budget.used_bytes == len(response.bitstream)
