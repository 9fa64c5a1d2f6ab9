"""Draws the dashboards from a live Prometheus: ``python -m deploy.grafana.draw http://localhost:9090 OUTPUT``.

For documents, and for looking where there is no Grafana: the same queries, drawn by matplotlib. It is not what Grafana
makes of them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import matplotlib as mpl

from deploy.grafana.__main__ import BOARDS
from deploy.grafana.panels import INTERVAL, Board, Kind, Panel

mpl.use("Agg")
from matplotlib import pyplot as plt

_COLUMNS = 3
_MOST_LINES = 12
_STEPS = 120


def concrete(expression: str, interval: str) -> str:
    """Return a panel's query with its variables filled in: every job, every replica."""
    return expression.replace(INTERVAL, interval).replace("$job", ".+").replace("$instance", ".+")


def series(prometheus: str, expression: str, minutes: float) -> list[tuple[dict[str, str], list[float], list[float]]]:
    """Return labels, minutes before now and values of each series of a query."""
    now = time.time()
    asked = {
        "query": expression,
        "start": now - 60 * minutes,
        "end": now,
        "step": max(1.0, 60 * minutes / _STEPS),
    }
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  (the address that was asked for)
        result = json.load(response)["data"]["result"]
    return [
        (
            one["metric"],
            [(float(when) - now) / 60 for when, _ in one["values"]],
            [float(value) for _, value in one["values"]],
        )
        for one in result
    ]


def draw(prometheus: str, board: Board, file: Path, *, minutes: float, interval: str) -> int:
    """Draw a dashboard; return how many of its panels have something to show."""
    panels = [panel for row in board.rows for panel in row.panels if panel.kind is not Kind.TABLE]
    rows = math.ceil(len(panels) / _COLUMNS)
    figure, grid = plt.subplots(rows, _COLUMNS, figsize=(15, 2.9 * rows), squeeze=False, layout="constrained")
    shown = 0
    for axes, panel in zip(grid.flat, panels, strict=False):
        shown += _draw_panel(axes, prometheus, panel, minutes=minutes, interval=interval)
    for axes in list(grid.flat)[len(panels) :]:
        axes.axis("off")
    figure.suptitle(f"{board.title} (the dashboard's queries, drawn without Grafana)", fontsize=11)
    figure.savefig(file, dpi=80)
    plt.close(figure)
    return shown


def _draw_panel(axes: Any, prometheus: str, panel: Panel, *, minutes: float, interval: str) -> bool:
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, alpha=0.3)
    axes.set_ylabel(panel.unit.removeprefix("suffix: "), fontsize=7)
    lines = 0
    for query in panel.queries:
        for labels, minutes_ago, values in series(prometheus, concrete(query.expression, interval), minutes)[
            :_MOST_LINES
        ]:
            legend = query.legend
            for name, value in labels.items():
                legend = legend.replace(f"{{{{{name}}}}}", value)
            axes.plot(minutes_ago, values, linewidth=1, label=legend or "all")
            lines += 1
    if lines:
        axes.legend(fontsize=6, loc="upper left", frameon=False)
    else:
        axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axes.transAxes, fontsize=8)
    return lines > 0


def main() -> int:
    """Return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.draw", description=__doc__)
    parser.add_argument("prometheus", help="its address, as http://localhost:9090")
    parser.add_argument("output", type=Path, help="folder for a PNG of each dashboard")
    parser.add_argument("--minutes", type=float, default=15.0, help="up to now (default: 15)")
    parser.add_argument("--interval", default="1m", help="of rates (default: 1m)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        file = args.output / f"{board.uid}.png"
        shown = draw(args.prometheus.rstrip("/"), board, file, minutes=args.minutes, interval=args.interval)
        print(f"{file}: {shown} panels have something to show")
    return 0


if __name__ == "__main__":
    sys.exit(main())
