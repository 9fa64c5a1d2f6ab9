import math
from collections.abc import Callable

import numpy as np
import pytest

from manypath.errors import ImageError
from manypath_lab.evaluation.judges.fidelity import PSNR_CAP_DB, ms_ssim_db, multi_scale_ssim, psnr
from tests.evaluation.conftest import synthetic_picture


def test_psnr_of_a_constant_error_is_what_the_formula_says(picture: np.ndarray) -> None:
    dark = np.minimum(picture, 250)
    assert psnr(dark, dark + 5) == pytest.approx(20 * math.log10(255 / 5))


def test_psnr_does_not_wrap_around_where_samples_differ_by_more_than_127() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(black, white) == pytest.approx(0.0)


def test_a_lossless_picture_has_the_capped_psnr_and_full_similarity() -> None:
    large = synthetic_picture(176, 176)
    assert psnr(large, large.copy()) == PSNR_CAP_DB
    assert multi_scale_ssim(large, large.copy()) == pytest.approx(1.0)


def test_similarity_falls_as_noise_rises() -> None:
    original = synthetic_picture(176, 176)
    noise = np.random.default_rng(0).normal(0, 1, original.shape)
    noisy = [np.clip(original + strength * noise, 0, 255).astype(np.uint8) for strength in (4, 16)]
    values = [multi_scale_ssim(original, image) for image in noisy]
    assert values[0] is not None
    assert values[1] is not None
    assert 1.0 > values[0] > values[1]


def test_a_picture_too_small_for_five_scales_has_no_similarity(picture: np.ndarray) -> None:
    assert multi_scale_ssim(picture, picture) is None


@pytest.mark.parametrize("figure", [psnr, multi_scale_ssim])
def test_pictures_of_different_shape_are_refused(picture: np.ndarray, figure: Callable[..., object]) -> None:
    with pytest.raises(ImageError, match="must be uint8 of one shape"):
        figure(picture, picture[1:])


def test_the_decibel_scale_of_similarity_is_finite_at_one() -> None:
    assert ms_ssim_db(0.9) == pytest.approx(10.0)
    assert ms_ssim_db(1.0) == pytest.approx(100.0)
