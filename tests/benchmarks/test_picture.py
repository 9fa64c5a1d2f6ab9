import pathlib

import numpy as np
from PIL import Image

from benchmarks.picture import load_or_make, photo_like
from manypath_lab.evaluation.codecs.pillow import Jpeg


def test_a_made_picture_costs_a_codec_about_what_a_photo_costs() -> None:
    pixels = photo_like(512, 768)
    bpp = 8 * len(Jpeg().encode(pixels, 52)) / (512 * 768)
    assert pixels.dtype == np.uint8
    assert 0.4 < bpp < 2.0


def test_a_made_picture_depends_on_its_seed_alone() -> None:
    assert np.array_equal(photo_like(40, 60, 3), photo_like(40, 60, 3))
    assert not np.array_equal(photo_like(40, 60, 3), photo_like(40, 60, 4))


def test_a_file_is_taken_as_it_is(tmp_path: pathlib.Path) -> None:
    Image.fromarray(photo_like(20, 30)).save(tmp_path / "p.png")
    assert np.array_equal(load_or_make(str(tmp_path / "p.png"), 512, 768), photo_like(20, 30))
