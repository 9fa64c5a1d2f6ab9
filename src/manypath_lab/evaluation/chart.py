"""One look for every chart of curves: ours thick, baselines thin, quoted ones dashed, labels at the curves' ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# Okabe and Ito's palette, which colour-blind people can tell apart; a codec keeps its colour in every plot.
COLOURS = {
    "jpeg": "#7f7f7f",
    "webp": "#E69F00",
    "jxl": "#56B4E9",
    "avif": "#0072B2",
    "avif-psnr": "#0072B2",
    "vvc": "#CC79A7",
}
MARKERS = {"jpeg": "s", "webp": "^", "jxl": "v", "avif": "D", "avif-psnr": "d", "vvc": "P"}
_OURS = ("#D55E00", "#009E73", "#000000", "#882255")
_INK = "#222222"
_QUOTED = "#555555"
_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (2, 2)))
_HEIGHT_INCHES = 6.0
_LABEL_GAP = 0.042  # smallest distance of two labels, as a share of the axis' height
_LONG_LABEL = 15  # letters: longer ones need a wider margin
_FAR_FROM_EDGE = 0.8  # a curve that ends left of this share of the width is labelled where it ends

Pairs = Sequence[tuple[float, float]]
"""A curve's points (x, y), x rising."""


class Series(NamedTuple):
    """One curve to draw.

    Attributes:
        name: decides a baseline's colour and marker.
        label: what is written at its end.
        pairs: its points.
        ours: drawn thick.
        quoted: drawn thin and dashed.
    """

    name: str
    label: str
    pairs: Pairs
    ours: bool = False
    quoted: bool = False


class Level(NamedTuple):
    """A horizontal line with a word on it."""

    y: float
    text: str


class Frame(NamedTuple):
    """Everything around the curves.

    Attributes:
        title: the finding, in one line.
        subtitle: what was measured on what.
        x_name: the horizontal axis.
        y_name: the vertical axis.
        x: its two ends.
        y: its two ends.
        log_x: a logarithmic horizontal axis.
        levels: lines to read the curves against.
    """

    title: str
    subtitle: str
    x_name: str
    y_name: str
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool = False
    levels: tuple[Level, ...] = ()

    def along(self, x: float) -> float:
        """Return where ``x`` lies on the horizontal axis, 0 = left end, 1 = right end."""
        left, right = self.x
        if self.log_x:
            return math.log(x / left) / math.log(right / left)
        return (x - left) / (right - left)


class _Label(NamedTuple):
    text: str
    colour: str
    x: float
    y: float
    bold: bool


class _Style(NamedTuple):
    colour: str
    marker: str
    dashes: object
    ours: bool
    quoted: bool


def draw_chart(series: Sequence[Series], frame: Frame) -> Figure:
    """Return the figure."""
    figure = Figure(figsize=(10.6, _HEIGHT_INCHES))
    roomy = max((len(one.label) for one in series), default=0) <= _LONG_LABEL
    axes = figure.add_axes((0.075, 0.115, 0.72 if roomy else 0.64, 0.735))
    if frame.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(*frame.x)
    axes.set_ylim(*frame.y)
    for level in frame.levels:
        axes.axhline(level.y, color="#999999", linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            level.text,
            xy=(0.0, level.y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=9.5,
            color=_QUOTED,
        )
    drawn = [_draw_curve(axes, one, style, frame) for one, style in zip(series, _styles(series), strict=True)]
    _place_labels(axes, [label for label in drawn if label is not None], [one.pairs for one in series], frame)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=12, colors=_INK)
    axes.set_xlabel(frame.x_name, fontsize=13, color=_INK)
    axes.set_ylabel(frame.y_name, fontsize=13, color=_INK)
    figure.text(0.075, 0.945, frame.title, fontsize=17, weight="bold", color=_INK, va="center")
    figure.text(0.075, 0.895, frame.subtitle, fontsize=11.5, color=_QUOTED, va="center")
    return figure


def clipped(pairs: Pairs, right: float) -> list[tuple[float, float]]:
    """Return the pairs left of ``right``, ended by the interpolated point on it."""
    kept = [pair for pair in pairs if pair[0] <= right]
    if kept and len(kept) < len(pairs):
        (x0, y0), (x1, y1) = pairs[len(kept) - 1], pairs[len(kept)]
        kept.append((right, y0 + (y1 - y0) * (right - x0) / (x1 - x0)))
    return kept


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


def _styles(series: Sequence[Series]) -> list[_Style]:
    ours = quoted = 0
    styles = []
    for one in series:
        if one.ours:
            styles.append(_Style(_OURS[ours % len(_OURS)], "o", "-", ours=True, quoted=False))
            ours += 1
        elif one.quoted:
            styles.append(_Style(_QUOTED, "", _DASHES[quoted % len(_DASHES)], ours=False, quoted=True))
            quoted += 1
        else:
            colour, marker = COLOURS.get(one.name, _INK), MARKERS.get(one.name, "x")
            styles.append(_Style(colour, marker, "-", ours=False, quoted=False))
    return styles


def _draw_curve(axes: Axes, one: Series, style: _Style, frame: Frame) -> _Label | None:
    visible = clipped(one.pairs, frame.x[1])
    if not visible:
        return None
    axes.plot(
        *np.asarray(one.pairs).T,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=3.2 if style.ours else 1.1 if style.quoted else 1.9,
        marker=style.marker,
        markersize=7.0 if style.ours else 5.0,
        zorder=5 if style.ours else 2 if style.quoted else 3,
    )
    return _Label(one.label, style.colour, *visible[-1], style.ours)


def _place_labels(axes: Axes, labels: Sequence[_Label], curves: Sequence[Pairs], frame: Frame) -> None:
    """Write labels at the right edge, level with the curves' ends, pushed apart where they would touch."""
    bottom, top = frame.y
    span = top - bottom
    for label in labels:
        if frame.along(label.x) < _FAR_FROM_EDGE:
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
    ordered = sorted((label for label in labels if frame.along(label.x) >= _FAR_FROM_EDGE), key=lambda label: label.y)
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


def _room_above(label: _Label, curves: Sequence[Pairs], span: float) -> bool:
    """Return whether no curve passes closely above the point that a label belongs to."""
    heights = [
        float(np.interp(label.x, *np.asarray(pairs).T)) for pairs in curves if pairs[0][0] <= label.x <= pairs[-1][0]
    ]
    return not any(0.02 * span < height - label.y < 0.09 * span for height in heights)
