"""Fidelity on 8-bit RGB: PSNR and MS-SSIM, per picture, then averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from manypath.errors import ImageError
from manypath_lab.evaluation.judges.judge import Measure, Record, counted, mean
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case

PSNR_CAP_DB = 100.0  # a lossless picture would be infinite and spoil an average
MS_SSIM_MIN_SIDE = 161  # five scales of an 11-pixel window need more than 10 * 2**4 pixels
_PAIR = slice(0, 2)


def psnr(original: Pixels, reconstruction: Pixels) -> float:
    """Return the PSNR in decibels of two uint8 [H, W, 3] pictures, over all samples.

    Raises:
        ImageError: the pictures differ in shape, or are not uint8.
    """
    _check(original, reconstruction)
    difference = original.astype(np.int32) - reconstruction.astype(np.int32)
    mse = float(np.mean(np.square(difference, dtype=np.int64)))
    if mse == 0.0:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 10.0 * math.log10(255.0**2 / mse))


def multi_scale_ssim(original: Pixels, reconstruction: Pixels) -> float | None:
    """Return MS-SSIM (Wang 2003, five scales), or None for a picture too small for it.

    Raises:
        ImageError: the pictures differ in shape, or are not uint8.
    """
    import torch
    from pytorch_msssim import ms_ssim

    _check(original, reconstruction)
    if min(original.shape[:2]) < MS_SSIM_MIN_SIDE:
        return None
    with torch.inference_mode():
        pair = [
            torch.from_numpy(np.array(pixels)).permute(2, 0, 1).unsqueeze(0).float()  # [1, 3, H, W]
            for pixels in (original, reconstruction)
        ]
        return float(ms_ssim(pair[0], pair[1], data_range=255.0))


def ms_ssim_db(value: float) -> float:
    """Return MS-SSIM on the decibel scale, -10 log10(1 - value), on which curves are readable."""
    return -10.0 * math.log10(max(1.0 - value, 1e-10))


def _check(original: Pixels, reconstruction: Pixels) -> None:
    if original.shape != reconstruction.shape or {original.dtype, reconstruction.dtype} != {np.dtype(np.uint8)}:
        raise ImageError(
            f"pictures must be uint8 of one shape, got {original.dtype} {original.shape} and "
            f"{reconstruction.dtype} {reconstruction.shape}; the codec must return what it was given"
        )


class PsnrJudge:
    """Peak signal-to-noise ratio over all RGB samples."""

    name = "psnr"
    label = "fidelity"
    version = "psnr rgb8 1"
    measures = (Measure("psnr", "PSNR (dB)", _PAIR, mean, decibels=float, axis="PSNR (dB, RGB)"),)

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return (decibels, 1) of each image."""
        return [counted(psnr(case.picture.pixels, image)) for case, image in zip(cases, images, strict=True)]


class SimilarityJudge:
    """Multi-scale structural similarity; it cannot say anything where a side is below 161 pixels."""

    name = "ms-ssim"
    label = "structure"
    version = "ms-ssim rgb8 1"
    measures = (
        Measure(
            *("ms-ssim", "MS-SSIM", _PAIR, mean),
            digits=4,
            decibels=ms_ssim_db,
            axis="MS-SSIM (dB, −10 log₁₀(1 − value))",
        ),
    )

    def question(self, case: Case) -> str:
        """Nothing: the original is the case's picture."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return (similarity, 1) of each image."""
        pairs = zip(cases, images, strict=True)
        return [counted(multi_scale_ssim(case.picture.pixels, image)) for case, image in pairs]
