"""The rate-distortion plot: measured curves solid, published ones dashed, labels at the curves' ends."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from manypath_lab.evaluation.bdrate import METRICS, Metric, quality_axis
from manypath_lab.evaluation.curve import Curve
from manypath_lab.evaluation.report import Report

# Okabe and Ito's palette, which colour-blind people can tell apart; a codec keeps its colour in every plot.
_COLOURS = {
    "jpeg": "#7f7f7f",
    "webp": "#E69F00",
    "jxl": "#56B4E9",
    "avif": "#0072B2",
    "avif-psnr": "#0072B2",
    "vvc": "#CC79A7",
}
_MARKERS = {"jpeg": "s", "webp": "^", "jxl": "v", "avif": "D", "avif-psnr": "d", "vvc": "P"}
_OURS = ("#D55E00", "#009E73", "#000000", "#F0E442")
_INK = "#222222"
_QUOTED = "#555555"
_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (2, 2)))
_AXIS_NAMES: dict[Metric, str] = {"psnr": "PSNR (dB, RGB)", "ms-ssim": "MS-SSIM (dB, −10 log₁₀(1 − value))"}
_SPOKEN: dict[Metric, str] = {"psnr": "PSNR", "ms-ssim": "MS-SSIM"}
_HEIGHT_INCHES = 6.0
_LABEL_GAP = 0.042  # smallest distance of two labels, as a share of the axis' height
_FAR_FROM_EDGE = 0.8  # a curve that ends left of this share of the width is labelled where it ends


Pairs = Sequence[tuple[float, float]]
"""A curve's (bits per pixel, decibels)."""


class _Label(NamedTuple):
    text: str
    colour: str
    x: float
    y: float
    bold: bool


def save_plots(report: Report, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``rd-psnr`` and ``rd-ms-ssim`` as PNG and SVG; a metric that no curve has is left out."""
    files = []
    for metric in METRICS:
        if any(quality_axis(curve, metric) for curve in report.curves):
            figure = draw(report, metric)
            for suffix in ("png", "svg"):
                files.append(folder / f"rd-{metric}.{suffix}")
                figure.savefig(files[-1], dpi=160)
    return files


def draw(report: Report, metric: Metric) -> Figure:
    """Return the figure of one metric against bits per pixel."""
    figure = Figure(figsize=(10.6, _HEIGHT_INCHES))
    axes = figure.add_axes((0.075, 0.115, 0.72, 0.735))
    shown = [curve for curve in report.all_curves if len(quality_axis(curve, metric)) > 1]
    limits = _limits(shown, metric)
    axes.set_xlim(0.0, limits[1])
    axes.set_ylim(limits[2], limits[3])
    labels = [
        _draw_curve(axes, curve, metric, style, limits) for curve, style in zip(shown, _styles(shown), strict=True)
    ]
    curves = [quality_axis(curve, metric) for curve in shown]
    _place_labels(axes, [label for label in labels if label is not None], curves, limits)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=12, colors=_INK)
    axes.set_xlabel("bits per pixel (real bytes, headers included)", fontsize=13, color=_INK)
    axes.set_ylabel(_AXIS_NAMES[metric], fontsize=13, color=_INK)
    figure.text(0.075, 0.945, _finding(report, metric), fontsize=17, weight="bold", color=_INK, va="center")
    figure.text(0.075, 0.895, _subtitle(report), fontsize=11.5, color=_QUOTED, va="center")
    return figure


class _Style(NamedTuple):
    colour: str
    marker: str
    dashes: object
    ours: bool
    quoted: bool


def _styles(curves: Sequence[Curve]) -> list[_Style]:
    ours = quoted = 0
    styles = []
    for curve in curves:
        if curve.ours:
            styles.append(_Style(_OURS[ours % len(_OURS)], "o", "-", ours=True, quoted=False))
            ours += 1
        elif curve.reference:
            styles.append(_Style(_QUOTED, "", _DASHES[quoted % len(_DASHES)], ours=False, quoted=True))
            quoted += 1
        else:
            colour, marker = _COLOURS.get(curve.name, _INK), _MARKERS.get(curve.name, "x")
            styles.append(_Style(colour, marker, "-", ours=False, quoted=False))
    return styles


def _limits(curves: Sequence[Curve], metric: Metric) -> tuple[float, float, float, float]:
    """Return x and y limits: as far as our curve reaches and a bit more, or 2 bpp without one."""
    own = [rate for curve in curves if curve.ours for rate, _ in quality_axis(curve, metric)]
    measured = [rate for curve in curves if not curve.reference for rate, _ in quality_axis(curve, metric)]
    right = min(max(own) * 1.12, 2.2) if own else min(max(measured), 2.0)
    inside = [q for curve in curves for rate, q in _clipped(quality_axis(curve, metric), right) if rate <= right]
    low, high = min(inside), max(inside)
    margin = 0.04 * (high - low or 1.0)
    return 0.0, right, low - margin, high + margin


def _clipped(pairs: Pairs, right: float) -> list[tuple[float, float]]:
    """Return the pairs left of ``right``, ended by the interpolated point on it."""
    kept = [pair for pair in pairs if pair[0] <= right]
    if kept and len(kept) < len(pairs):
        (x0, y0), (x1, y1) = pairs[len(kept) - 1], pairs[len(kept)]
        kept.append((right, y0 + (y1 - y0) * (right - x0) / (x1 - x0)))
    return kept


def _draw_curve(
    axes: Axes, curve: Curve, metric: Metric, style: _Style, limits: tuple[float, float, float, float]
) -> _Label | None:
    pairs = quality_axis(curve, metric)
    visible = _clipped(pairs, limits[1])
    if not visible:
        return None
    axes.plot(
        *np.asarray(pairs).T,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=3.2 if style.ours else 1.1 if style.quoted else 1.9,
        marker=style.marker,
        markersize=7.0 if style.ours else 5.0,
        zorder=5 if style.ours else 2 if style.quoted else 3,
    )
    return _Label(curve.label, style.colour, *visible[-1], style.ours)


def _place_labels(
    axes: Axes, labels: Sequence[_Label], curves: Sequence[Pairs], limits: tuple[float, float, float, float]
) -> None:
    """Write labels at the right edge, level with the curves' ends, pushed apart where they would touch."""
    _, right, bottom, top = limits
    span = top - bottom
    for label in labels:
        if label.x < _FAR_FROM_EDGE * right:
            above = _room_above(label, curves, span)
            text = axes.annotate(
                label.text,
                xy=(label.x, label.y),
                xytext=(0, 10) if above else (5, -5),
                textcoords="offset points",
                color=label.colour,
                fontsize=10.5,
                ha="right" if above else "left",
                va="center",
                zorder=6,
            )
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    ordered = sorted((label for label in labels if label.x >= _FAR_FROM_EDGE * right), key=lambda label: label.y)
    heights = spread([(label.y - bottom) / span for label in ordered], _LABEL_GAP)
    for label, height in zip(ordered, heights, strict=True):
        axes.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            color=label.colour,
            fontsize=13.5 if label.bold else 11.5,
            weight="bold" if label.bold else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.7,
                "alpha": 0.5,
                "shrinkA": 2,
            },
        )


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move sorted positions apart to at least ``gap``, as little as that takes; groups stay centred."""
    groups: list[tuple[float, int]] = []  # centre and count of positions that touch
    for position in positions:
        groups.append((position, 1))
        while len(groups) > 1:
            (low, few), (high, many) = groups[-2], groups[-1]
            if high - low >= gap * (few + many) / 2 - 1e-12:
                break
            groups[-2:] = [((low * few + high * many) / (few + many), few + many)]
    return [centre + gap * (index - (count - 1) / 2) for centre, count in groups for index in range(count)]


def _room_above(label: _Label, curves: Sequence[Pairs], span: float) -> bool:
    """Return whether no curve passes closely above the point that a label belongs to."""
    heights = [
        float(np.interp(label.x, *np.asarray(pairs).T)) for pairs in curves if pairs[0][0] <= label.x <= pairs[-1][0]
    ]
    return not any(0.02 * span < height - label.y < 0.09 * span for height in heights)


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
