"""Profiles, palettes, CMYK and transparency: what they make of the samples."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from manypath_pictures.errors import (
    BackgroundError,
    TransparencyError,
)
from manypath_pictures.reader import read_picture
from tests.pictures.files import (
    grey_profile,
    saved,
    scene,
    segment,
    wide_gamut_profile,
    with_segments,
)

PIXELS = np.arange(0, 240, 10, dtype=np.uint8).reshape(2, 4, 3)


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
