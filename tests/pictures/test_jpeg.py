"""JPEG files that are cut, odd, or of a kind that is not read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from manypath_pictures.errors import (
    DepthError,
    PictureDamagedError,
    PictureFormatError,
    PictureLimitError,
)
from manypath_pictures.jpeg import MOST_SCANS
from manypath_pictures.reader import read_picture
from tests.pictures.files import (
    many_scans,
    opened,
    saved,
    scene,
)


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
