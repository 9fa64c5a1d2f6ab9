"""What a reconstruction is worth: PSNR, MS-SSIM and, if asked, a perceptual distance, on uint8 RGB, per picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from pytorch_msssim import ms_ssim

from manypath.errors import ImageError
from manypath_lab.evaluation.pictures import Pixels

METRICS_VERSION = "rgb8-1"  # part of the key of cached points: raise it when a figure would change
PSNR_CAP_DB = 100.0  # a lossless picture would be infinite and spoil an average
Perceive = Callable[[Pixels, Pixels], float]
"""Original and reconstruction -> their perceptual distance."""

MS_SSIM_MIN_SIDE = 161  # five scales of an 11-pixel window need more than 10 * 2**4 pixels


class Distortion(NamedTuple):
    """How far a reconstruction is from its original.

    Attributes:
        psnr_db: Peak signal-to-noise ratio over all RGB samples, decibels, at most 100.
        ms_ssim: Multi-scale SSIM in [0, 1], mean over RGB; None where a side is below 161 pixels.
        perceptual: Distance of deep features, 0 is equal; None where it was not asked for.
    """

    psnr_db: float
    ms_ssim: float | None
    perceptual: float | None = None


def psnr(original: Pixels, reconstruction: Pixels) -> float:
    """Return the PSNR in decibels of two uint8 [H, W, 3] pictures, over all samples."""
    difference = original.astype(np.int32) - reconstruction.astype(np.int32)
    mse = float(np.mean(np.square(difference, dtype=np.int64)))
    if mse == 0.0:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 10.0 * math.log10(255.0**2 / mse))


def multi_scale_ssim(original: Pixels, reconstruction: Pixels) -> float | None:
    """Return MS-SSIM (Wang 2003, five scales), or None for a picture too small for it."""
    if min(original.shape[:2]) < MS_SSIM_MIN_SIDE:
        return None
    with torch.inference_mode():
        pair = [
            torch.from_numpy(np.array(pixels)).permute(2, 0, 1).unsqueeze(0).float()  # [1, 3, H, W]
            for pixels in (original, reconstruction)
        ]
        return float(ms_ssim(pair[0], pair[1], data_range=255.0))


def measure(original: Pixels, reconstruction: Pixels, perceive: Perceive | None = None) -> Distortion:
    """Return all metrics of a reconstruction.

    Raises:
        ImageError: The pictures differ in shape, or are not uint8.
    """
    if original.shape != reconstruction.shape or {original.dtype, reconstruction.dtype} != {np.dtype(np.uint8)}:
        raise ImageError(
            f"pictures must be uint8 of one shape, got {original.dtype} {original.shape} and "
            f"{reconstruction.dtype} {reconstruction.shape}; the codec must return what it was given"
        )
    perceptual = perceive(original, reconstruction) if perceive else None
    return Distortion(psnr(original, reconstruction), multi_scale_ssim(original, reconstruction), perceptual)


def ms_ssim_db(value: float) -> float:
    """Return MS-SSIM on the decibel scale, -10 log10(1 - value), on which curves are readable."""
    return -10.0 * math.log10(max(1.0 - value, 1e-10))


def perceptual_db(value: float) -> float:
    """Return a perceptual distance on a decibel scale that rises with likeness, -10 log10(distance)."""
    return -10.0 * math.log10(max(value, 1e-10))
