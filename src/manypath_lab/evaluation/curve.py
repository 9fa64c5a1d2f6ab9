"""What a measurement yields: points averaged over pictures, and curves of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from manypath_lab.evaluation.metrics import Distortion


class Sample(NamedTuple):
    """One picture at one setting.

    Attributes:
        bytes: Size of the whole file, header included.
        pixels: Width times height, unpadded.
        distortion: What the reconstruction is worth.
    """

    bytes: int
    pixels: int
    distortion: Distortion


class RatePoint(NamedTuple):
    """One setting of a codec, averaged over the pictures.

    Attributes:
        quality: The codec's own quality setting.
        bpp: Mean over pictures of real bits per unpadded pixel.
        psnr_db: Mean over pictures of each picture's PSNR, decibels.
        ms_ssim: Mean over pictures, or None where any picture was too small for it.
        pictures: How many pictures were averaged.
        perceptual: Mean over pictures of the perceptual distance, or None where it was not measured.
    """

    quality: float
    bpp: float
    psnr_db: float
    ms_ssim: float | None
    pictures: int
    perceptual: float | None = None


class Curve(NamedTuple):
    """A codec's points in rising order of rate.

    Attributes:
        name: Short name for files and the command line.
        label: Name for plots.
        version: Library version, model digest or source.
        points: One per setting.
        ours: True for this project's codec.
        reference: True for points quoted from elsewhere, not measured in this run.
    """

    name: str
    label: str
    version: str
    points: tuple[RatePoint, ...]
    ours: bool = False
    reference: bool = False


def average(quality: float, samples: Sequence[Sample]) -> RatePoint:
    """Average one setting over its pictures; at least one sample."""
    return RatePoint(
        quality=quality,
        bpp=statistics.fmean(8.0 * sample.bytes / sample.pixels for sample in samples),
        psnr_db=statistics.fmean(sample.distortion.psnr_db for sample in samples),
        ms_ssim=_mean([sample.distortion.ms_ssim for sample in samples]),
        pictures=len(samples),
        perceptual=_mean([sample.distortion.perceptual for sample in samples]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None
