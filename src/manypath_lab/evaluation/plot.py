"""The rate-distortion plot: measured curves solid, published ones dashed."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from manypath_lab.evaluation.bdrate import METRICS, Metric, quality_axis
from manypath_lab.evaluation.chart import Frame, Series, clipped, draw_chart
from manypath_lab.evaluation.curve import Curve
from manypath_lab.evaluation.report import Report

RATE_AXIS = "bits per pixel (real bytes, headers included)"
_AXIS_NAMES: dict[Metric, str] = {
    "psnr": "PSNR (dB, RGB)",
    "ms-ssim": "MS-SSIM (dB, −10 log₁₀(1 − value))",
    "perceptual": "perceptual likeness (dB, −10 log₁₀ of the distance of deep features)",
}
_SPOKEN: dict[Metric, str] = {"psnr": "PSNR", "ms-ssim": "MS-SSIM", "perceptual": "perceptual distance"}


def save_plots(report: Report, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``rd-psnr``, ``rd-ms-ssim``, ``rd-perceptual`` as PNG and SVG, each if a curve has the metric."""
    files = []
    for metric in METRICS:
        if any(quality_axis(curve, metric) for curve in report.curves):
            files += save_figure(draw(report, metric), folder, f"rd-{metric}")
    return files


def save_figure(figure: Figure, folder: pathlib.Path, stem: str) -> list[pathlib.Path]:
    """Write a figure as PNG and SVG."""
    files = [folder / f"{stem}.{suffix}" for suffix in ("png", "svg")]
    for file in files:
        figure.savefig(file, dpi=160)
    return files


def draw(report: Report, metric: Metric) -> Figure:
    """Return the figure of one metric against bits per pixel."""
    shown = [curve for curve in report.all_curves if len(quality_axis(curve, metric)) > 1]
    series = [
        Series(curve.name, curve.label, quality_axis(curve, metric), curve.ours, curve.reference) for curve in shown
    ]
    left, right, bottom, top = _limits(shown, metric)
    title, subtitle = _finding(report, metric), _subtitle(report)
    return draw_chart(series, Frame(title, subtitle, RATE_AXIS, _AXIS_NAMES[metric], (left, right), (bottom, top)))


def _limits(curves: Sequence[Curve], metric: Metric) -> tuple[float, float, float, float]:
    """Return x and y limits: as far as our curve reaches and a bit more, or 2 bpp without one."""
    own = [rate for curve in curves if curve.ours for rate, _ in quality_axis(curve, metric)]
    measured = [rate for curve in curves if not curve.reference for rate, _ in quality_axis(curve, metric)]
    right = min(max(own) * 1.12, 2.2) if own else min(max(measured), 2.0)
    inside = [q for curve in curves for rate, q in clipped(quality_axis(curve, metric), right) if rate <= right]
    low, high = min(inside), max(inside)
    margin = 0.04 * (high - low or 1.0)
    return 0.0, right, low - margin, high + margin


def _finding(report: Report, metric: Metric) -> str:
    """Return the title: the most interesting comparison that has a figure, or what is drawn."""
    ours = {curve.name: curve.label for curve in report.curves if curve.ours}
    labels = {curve.name: curve.label for curve in report.all_curves}
    for anchor in ("vvc", "avif", "webp", "jpeg"):
        for one in report.comparisons:
            found = one.curve in ours and one.anchor == anchor and one.metric == metric
            if found and one.percent is not None and (one.percent < 0.0 or anchor == "jpeg"):
                more = "fewer" if one.percent < 0.0 else "more"
                return (
                    f"{ours[one.curve]}: {abs(one.percent):.0f} % {more} bits than {labels[anchor]} "
                    f"at equal {_SPOKEN[metric]}"
                )
    return f"Rate against {_SPOKEN[metric]}"


def _subtitle(report: Report) -> str:
    quoted = "; dashed: published by others" if report.references else ""
    plural = "s" if report.pictures != 1 else ""
    pictures = f"{report.pictures} picture{plural} of {report.folder_name}, averaged"
    return f"{pictures}; further up and left is better{quoted}"
