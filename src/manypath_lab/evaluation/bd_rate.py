"""Bjontegaard delta rate: how many percent more or fewer bits for the same quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import bjontegaard

from manypath_lab.evaluation.curve import Curve
from manypath_lab.evaluation.judges.judge import Measure


class BdRate(NamedTuple):
    """One comparison of two curves, by piecewise cubic (PCHIP) interpolation of log-rate over quality.

    Attributes:
        curve: Name of the curve under test.
        anchor: Name of the curve it is compared with.
        percent: Bits needed at equal quality, relative to the anchor; -50 means half. None: cannot be said.
        low_db: Lower end of the quality range that both curves cover, decibels.
        high_db: Upper end of that range.
        overlap: Share of the joint quality range that both cover, 0..1.
        note: Why there is no figure, or how many points were left out; empty if nothing to say.
    """

    curve: str
    anchor: str
    percent: float | None
    low_db: float
    high_db: float
    overlap: float
    note: str = ""


def decibel_axis(curve: Curve, measure: Measure) -> list[tuple[float, float]]:
    """Return a curve's (bpp, decibels) pairs; none where the measure has no such scale."""
    if measure.decibels is None:
        return []
    return [(point.bpp, measure.decibels(point.value)) for point in curve.points]


def bd_rate(curve: Curve, anchor: Curve, measure: Measure) -> BdRate:
    """Compare two averaged curves over the quality range that both cover.

    Nothing is extrapolated. A point that costs more than another without being better would make the
    interpolation fold back; it is left out, and the note says so.
    """
    test, test_dropped = _rising(decibel_axis(curve, measure))
    base, base_dropped = _rising(decibel_axis(anchor, measure))
    names = (curve.line.name, anchor.line.name)
    if min(len(test), len(base)) < 4:
        return BdRate(*names, None, 0.0, 0.0, 0.0, f"{len(test)} and {len(base)} usable points, 4 each are needed")
    low = max(test[0][1], base[0][1])
    high = min(test[-1][1], base[-1][1])
    overlap = (high - low) / (max(test[-1][1], base[-1][1]) - min(test[0][1], base[0][1]))
    if overlap <= 0.0:
        return BdRate(*names, None, low, high, 0.0, "the curves share no quality range")
    percent = bjontegaard.bd_rate(
        [rate for rate, _ in base],
        [quality for _, quality in base],
        [rate for rate, _ in test],
        [quality for _, quality in test],
        method="pchip",
        require_matching_points=False,
        min_overlap=0.0,
    )
    dropped = test_dropped + base_dropped
    note = f"{dropped} points not on a rising curve left out" if dropped else ""
    return BdRate(*names, float(percent), low, high, overlap, note)


def _rising(pairs: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], int]:
    """Keep the pairs that are better than every cheaper one; also return how many were dropped."""
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(pairs):
        if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, quality))
    return kept, len(pairs) - len(kept)
