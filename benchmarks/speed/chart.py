"""The run as one picture: a bar per codec and direction on a logarithmic scale."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.speed.plan import Timing
from benchmarks.speed.subjects import OURS
from benchmarks.speed.table import DIRECTIONS, QUOTED, Best, Direction, best
from manypath_lab.machine import Machine

_INK = "#222222"
_OURS_COLOUR = "#D55E00"
_OTHERS_COLOUR = "#0072B2"
_QUOTED_COLOUR = "#bbbbbb"


def save_chart(timings: Sequence[Timing], machine: Machine, threads: int, file: pathlib.Path) -> None:
    """Write the chart."""
    draw(timings, machine, threads).savefig(file, dpi=150)


def draw(timings: Sequence[Timing], machine: Machine, threads: int) -> Figure:
    """Return milliseconds per picture, encoding beside decoding, fastest on top."""
    figure = Figure(figsize=(12.0, 5.6))
    figure.text(0.02, 0.94, _title(timings, threads), fontsize=16, weight="bold", color=_INK)
    measured = sorted({timing.size for timing in timings if timing.device == "cpu"})
    subtitle = f"{', '.join(measured)} picture, {threads} thread(s), {machine.cpu}; logarithmic scale; grey: quoted"
    figure.text(0.02, 0.885, subtitle, fontsize=11, color="#555555")
    for number, direction in enumerate(DIRECTIONS):
        axes = figure.add_axes((0.17 + 0.5 * number, 0.1, 0.29, 0.7))
        _draw_bars(axes, _bars(timings, threads, direction), direction)
    return figure


def _bars(timings: Sequence[Timing], threads: int, direction: Direction) -> list[Best]:
    subjects = dict.fromkeys(timing.subject for timing in timings if timing.device == "cpu")
    fastest = [best(timings, subject, threads, direction) for subject in subjects]
    quoted = [QUOTED[direction]] if threads == 2 else []
    return sorted([one for one in fastest if one is not None] + quoted, key=lambda one: one.ms)


def _draw_bars(axes: Axes, bars: Sequence[Best], direction: Direction) -> None:
    colours = [
        _OURS_COLOUR if bar.subject in OURS else _QUOTED_COLOUR if bar is QUOTED[direction] else _OTHERS_COLOUR
        for bar in bars
    ]
    rows = range(len(bars))
    axes.barh(rows, [bar.ms for bar in bars], color=colours, height=0.68)
    axes.set_xscale("log")
    axes.set_xlim(min(bar.ms for bar in bars) / 2.0, max(bar.ms for bar in bars) * 6.0)
    axes.set_yticks(rows, [bar.subject for bar in bars], fontsize=11)
    axes.invert_yaxis()
    for row, bar in zip(rows, bars, strict=True):
        axes.text(bar.ms * 1.12, row, f"{bar.ms:,.0f} ms" if bar.ms >= 10 else f"{bar.ms:.1f} ms", va="center")
    axes.set_title(f"{direction}", loc="left", fontsize=13, color=_INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("milliseconds per picture", color=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _title(timings: Sequence[Timing], threads: int) -> str:
    ours, other = (best(timings, name, threads, "encode") for name in ("edge", "bmshj2018-hyperprior"))
    if ours and other:
        ratio = other.ms / ours.ms
        word = "faster" if ratio >= 1.0 else "slower"
        return f"edge encodes {max(ratio, 1.0 / ratio):.1f} times {word} than bmshj2018-hyperprior"
    return "Milliseconds to encode and to decode one picture"
