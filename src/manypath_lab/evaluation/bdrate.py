"""Bjontegaard delta rate: how many percent more or fewer bits for the same quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import bjontegaard

from manypath_lab.evaluation.curve import Curve
from manypath_lab.evaluation.metrics import ms_ssim_db, perceptual_db

Metric = Literal["psnr", "ms-ssim", "perceptual"]
Method = Literal["pchip", "akima"]
METRICS: tuple[Metric, ...] = ("psnr", "ms-ssim", "perceptual")
METHODS: tuple[Method, ...] = ("pchip", "akima")


class BdRate(NamedTuple):
    """One comparison of two curves.

    Attributes:
        curve: Name of the curve under test.
        anchor: Name of the curve it is compared with.
        metric: ``psnr`` (dB), ``ms-ssim`` (compared as -10 log10(1 - value), dB) or ``perceptual`` (compared as
            -10 log10(distance), dB).
        method: Interpolation of log-rate over quality.
        percent: Bits needed at equal quality, relative to the anchor; -50 means half. None: cannot be said.
        low_db: Lower end of the quality range that both curves cover.
        high_db: Upper end of that range.
        overlap: Share of the joint quality range that both cover, 0..1.
        note: Why there is no figure, or how many points were left out; empty if nothing to say.
    """

    curve: str
    anchor: str
    metric: Metric
    method: Method
    percent: float | None
    low_db: float
    high_db: float
    overlap: float
    note: str = ""


def quality_axis(curve: Curve, metric: Metric) -> list[tuple[float, float]]:
    """Return a curve's (bpp, decibels) pairs that have this metric, in rising order of rate."""
    if metric == "psnr":
        return [(point.bpp, point.psnr_db) for point in curve.points]
    if metric == "perceptual":
        return [(p.bpp, perceptual_db(p.perceptual)) for p in curve.points if p.perceptual is not None]
    return [(point.bpp, ms_ssim_db(point.ms_ssim)) for point in curve.points if point.ms_ssim is not None]


def bd_rate(curve: Curve, anchor: Curve, metric: Metric = "psnr", method: Method = "pchip") -> BdRate:
    """Compare two averaged curves over the quality range that both cover.

    Nothing is extrapolated. A point that costs more than another without being better would make the
    interpolation fold back; it is left out, and the note says so.
    """
    test, test_dropped = _rising(quality_axis(curve, metric))
    base, base_dropped = _rising(quality_axis(anchor, metric))
    names = (curve.name, anchor.name)
    if min(len(test), len(base)) < 4:
        which = f"{len(test)} and {len(base)} usable points, 4 each are needed"
        return BdRate(*names, metric, method, None, 0.0, 0.0, 0.0, which)
    low = max(test[0][1], base[0][1])
    high = min(test[-1][1], base[-1][1])
    overlap = (high - low) / (max(test[-1][1], base[-1][1]) - min(test[0][1], base[0][1]))
    if overlap <= 0.0:
        return BdRate(*names, metric, method, None, low, high, 0.0, "the curves share no quality range")
    percent = bjontegaard.bd_rate(
        [rate for rate, _ in base],
        [quality for _, quality in base],
        [rate for rate, _ in test],
        [quality for _, quality in test],
        method=method,
        require_matching_points=False,
        min_overlap=0.0,
    )
    dropped = test_dropped + base_dropped
    note = f"{dropped} points not on a rising curve left out" if dropped else ""
    return BdRate(*names, metric, method, float(percent), low, high, overlap, note)


def bd_table(curves: Sequence[Curve], anchors: Sequence[Curve], method: Method = "pchip") -> list[BdRate]:
    """Compare every curve with every other that is an anchor, on every metric that both have."""
    return [
        bd_rate(curve, anchor, metric, method)
        for metric in METRICS
        for curve in curves
        for anchor in anchors
        if curve is not anchor and quality_axis(curve, metric) and quality_axis(anchor, metric)
    ]


def _rising(pairs: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], int]:
    """Keep the pairs that are better than every cheaper one; also return how many were dropped."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(pairs):
        if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, quality))
    return kept, len(pairs) - len(kept)
