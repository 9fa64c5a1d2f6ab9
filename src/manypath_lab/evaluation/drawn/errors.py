"""What is measured of a drawn picture: its squared error, and on flat areas blotches and grids apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from manypath_lab.evaluation.drawn.pictures import DrawnPicture
from manypath_lab.evaluation.pictures import Pixels

PERIOD = 8


class Errors(NamedTuple):
    """One reconstruction against the original, inside the region.

    Attributes:
        psnr: dB, of 8-bit RGB.
        blotches: root mean square of the error's means over 8x8 pixels, grey levels; NaN unless flat.
        grid: standard deviation of the error's mean per position modulo 8 within its 8x8 square, grey levels; a
            pattern that repeats at that period and nothing else; NaN unless flat.
    """

    psnr: float
    blotches: float
    grid: float


def errors(drawn: DrawnPicture, image: Pixels) -> Errors:
    """Measure a reconstruction, uint8 [H, W, 3]."""
    difference = image[drawn.region].astype(np.float64) - drawn.pixels[drawn.region]
    square = float(np.mean(difference**2))
    psnr = float(10 * np.log10(255.0**2 / square)) if square else float("inf")
    if not drawn.flat:
        return Errors(psnr, float("nan"), float("nan"))
    height, width = (side // PERIOD for side in difference.shape[:2])
    squares = difference[: height * PERIOD, : width * PERIOD].reshape(height, PERIOD, width, PERIOD, 3)
    means = squares.mean((1, 3))
    pattern = (squares - means[:, None, :, None]).mean((0, 2))
    return Errors(psnr, float(np.sqrt(np.mean(means**2))), float(np.sqrt(np.mean(pattern**2))))
