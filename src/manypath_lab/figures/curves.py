"""``figure curves``: what ``manypath lab eval`` measured, on one sheet: fidelity, perception, machines' answers."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from manypath_lab.evaluation.chart import COLOURS, MARKERS
from manypath_lab.figures.measured import Line, Panel
from manypath_lab.figures.sheet import (
    BODY,
    INK,
    MARGIN,
    QUIET,
    SMALL,
    TOP,
    WIDTH,
    Sheet,
    Spot,
    beside,
    flow,
    path_colour,
    write_json,
)
from manypath_lab.figures.subject import in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHART = 3.3  # inches high
_HEAD = 0.62  # inches above a chart: its name and unit
_FOOT = 0.75  # inches below it
_LEFT = 0.6  # inches for an axis' numbers
_LEGEND_LINE = 0.3  # inches


def draw(panels: Sequence[Panel]) -> Sheet:
    """Return the figure: two panels a row, one legend for all."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    legend = _legend(panels)
    places, lines = flow([0.5 + (0.108 if line.path else 0.095) * len(line.label) for line in legend])
    legend_height = _LEGEND_LINE * lines + 0.15
    height = TOP + legend_height + rows * (_HEAD + _CHART + _FOOT) + 0.1
    sets = {panel.folder: 0 for panel in panels}
    for panel in panels:
        sets[panel.folder] = max(sets[panel.folder], panel.pictures)
    pictures = "  ·  ".join(f"{count} pictures of {name}" if count else name for name, count in sets.items())
    sheet = Sheet(height, "One stream for people and machines", f"averages over {pictures}")
    for entry, (left, line) in zip(legend, places, strict=True):
        _draw_legend(sheet, left, TOP + (line + 0.5) * _LEGEND_LINE, entry)
    width = (WIDTH - 2 * MARGIN - columns * _LEFT - 0.35 * (columns - 1)) / columns
    for number, panel in enumerate(panels):
        row, place = divmod(number, columns)
        left = MARGIN + _LEFT + place * (width + _LEFT + 0.35)
        top = TOP + legend_height + row * (_HEAD + _CHART + _FOOT)
        sheet.text(left - _LEFT, top + 0.18, panel.measure.title, size=BODY + 2, weight="bold", va="center")
        sheet.text(left - _LEFT, top + 0.43, panel.unit, size=SMALL, color=QUIET, va="center")
        _draw_panel(sheet.chart(Spot(left, top + _HEAD, width), _CHART), panel)
    return sheet


def _legend(panels: Sequence[Panel]) -> list[Line]:
    """Return each path and each baseline of any panel once, our paths first and in their order."""
    lines = {line.path or line.name: line for panel in panels for line in panel.lines}
    ours = in_order([key for key, line in lines.items() if line.path])
    if len(ours) > 1:  # then what matters of ours is the path, not the model's name
        lines |= {path: lines[path]._replace(label=f"Manypath {path}") for path in ours}
    return [lines[path] for path in ours] + [line for line in lines.values() if not line.path]


def _style(line: Line) -> dict[str, Any]:
    if line.path:
        style = {"color": path_colour(line.path), "marker": "o", "linewidth": 3.0, "markersize": 6.5, "zorder": 5}
    else:
        marker = MARKERS.get(line.name, "x")
        style = {"color": COLOURS.get(line.name, INK), "marker": marker, "linewidth": 1.7, "markersize": 5, "zorder": 3}
    return style


def _draw_legend(sheet: Sheet, left: float, middle: float, line: Line) -> None:
    axes = sheet.axes(Spot(left, middle - 0.1, 0.42), 0.2)
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(-1, 1)
    axes.plot([0.0, 0.5, 1.0], [0, 0, 0], markevery=[1], **_style(line))
    weight = "bold" if line.path else "normal"
    sheet.text(left + 0.5, middle, line.label, size=SMALL + 0.5, va="center", weight=weight)


def _limits(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the axes' ends: the rates that our lines cover and a bit more, and the values there."""
    ours = [rate for line in panel.lines if line.path for rate, _ in line.points]
    rates = ours or [rate for line in panel.lines for rate, _ in line.points]
    left, right = min(rates) / 1.15, max(rates) * 1.3
    values = [value for line in panel.lines for rate, value in line.points if left <= rate <= right]
    for line in panel.lines:  # where a line crosses the edges
        points = np.asarray(line.points)
        inside = [edge for edge in (left, right) if points[0, 0] <= edge <= points[-1, 0]]
        values += [float(np.interp(np.log(edge), np.log(points[:, 0]), points[:, 1])) for edge in inside]
    if panel.original is not None:
        values.append(panel.original)
    margin = 0.05 * (max(values) - min(values) or 1.0)
    return (left, right), (min(values) - margin, max(values) + margin)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    x, y = _limits(panel)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.set_xlabel("bits per pixel", fontsize=BODY, color=INK)
    if panel.original is not None:
        axes.axhline(panel.original, color=QUIET, linewidth=1.2, linestyle=(0, (1, 2)))
        axes.annotate(
            *("originals", (0.01, panel.original)),
            xycoords=("axes fraction", "data"),
            xytext=(0, -5),
            textcoords="offset points",
            va="top",
            fontsize=SMALL,
            color=QUIET,
        )
    for line in panel.lines:
        axes.plot(*zip(*line.points, strict=True), **_style(line))


def write(panels: Sequence[Panel], file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(panels).save(file)
    content = [
        {
            "measure": panel.measure.key,
            "unit": panel.unit,
            "folder": panel.folder,
            "pictures": panel.pictures,
            "originals": panel.original,
            "lines": [line._asdict() for line in panel.lines],
        }
        for panel in panels
    ]
    write_json(file, {"figure": "curves", "panels": content})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["measure", "name", "path", "bpp", "value"])
    for panel in panels:
        for line in panel.lines:
            for rate, value in line.points:
                writer.writerow([panel.measure.key, line.name, line.path, f"{rate:.6f}", f"{value:.6f}"])
    beside(file, ".csv").write_text(table.getvalue(), encoding="utf-8")
    return [file, file.with_suffix(".json"), file.with_suffix(".csv")]
