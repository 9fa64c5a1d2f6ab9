"""The conventions of every dashboard: one kind of selector, one interval for rates, units and words for each panel.

A dashboard is a list of rows of panels, as plain tuples; ``build`` turns it into Grafana's model.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import prometheus as prometheus_models

SELECTOR = 'job=~"$job", instance=~"$instance"'
"""Belongs into every selector, so that a reader may narrow down to a job or a replica."""
INTERVAL = "$__rate_interval"
DATA_SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "manypath"
BPP = "suffix: bpp"
PIXELS = "suffix: px/s"


class Kind(enum.Enum):
    """How a panel draws."""

    LINES = "lines"
    STACK = "stack"
    HEATMAP = "heatmap"
    STAT = "stat"
    TABLE = "table"
    BARS = "bars"


class Query(NamedTuple):
    """One line or more of a panel.

    Attributes:
        expression: in PromQL.
        legend: of each series, with its labels in double braces.
        exemplars: whether a point leads to the trace of one of its calls.
    """

    expression: str
    legend: str = ""
    exemplars: bool = False


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: what is seen.
        description: how to read it, and what to do where it looks bad.
        unit: of the values, as Grafana names it.
        queries: what is drawn.
        kind: how.
        width: of 24 columns.
        bad_from: value from which it is drawn red; None if no value is bad by itself.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: Kind = Kind.LINES
    width: int = 8
    bad_from: float | None = None


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


class Board(NamedTuple):
    """One dashboard.

    Attributes:
        uid: in its address, and name of its file.
        title: what is seen.
        description: for whom.
        jobs: metric by which the choice of jobs is found.
        rows: from what callers feel down to what causes it.
    """

    uid: str
    title: str
    description: str
    jobs: str
    rows: Sequence[Row]


def rate(metric: str, labels: str = "") -> str:
    """Return a counter's rate in the chosen jobs and replicas."""
    return f"rate({metric}{{{_selector(labels)}}}[{INTERVAL}])"


def gauge(metric: str, labels: str = "") -> str:
    """Return a gauge in the chosen jobs and replicas."""
    return f"{metric}{{{_selector(labels)}}}"


def quantile(share: float, metric: str, by: str, labels: str = "") -> str:
    """Return a quantile of a histogram.

    Args:
        share: 0 to 1.
        metric: the histogram's name, without ``_bucket``.
        by: labels that stay apart.
        labels: that narrow it down.
    """
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({grouped}) ({rate(metric + '_bucket', labels)}))"


def mean(metric: str, by: str, labels: str = "") -> str:
    """Return the mean of what a histogram observed; see ``quantile``."""
    return f"sum by ({by}) ({rate(metric + '_sum', labels)}) / sum by ({by}) ({rate(metric + '_count', labels)})"


def build(board: Board) -> dashboard.Dashboard:
    """Return Grafana's model of a dashboard."""
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("job", "Job", f"label_values({board.jobs}, job)"))
        .with_variable(_choice("instance", "Replica", f'label_values({board.jobs}{{job=~"$job"}}, instance)'))
        .link(
            builders.DashboardLink("Manypath")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    numbers = itertools.count(1)
    for row in board.rows:
        made = made.with_row(builders.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            made = made.with_panel(_panel(panel).id(next(numbers)))
    return made.build()


def _selector(labels: str) -> str:
    return f"{SELECTOR}, {labels}" if labels else SELECTOR


def _choice(name: str, label: str, query: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(DATA_SOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


_Builder = timeseries.Panel | heatmap.Panel | stat.Panel | table.Panel | bargauge.Panel


def _panel(panel: Panel) -> _Builder:
    made = _drawn(panel.kind)
    made = (
        made.title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(DATA_SOURCE)
        .span(panel.width)
        .height(8)
        .no_value("nothing yet")
    )
    if panel.bad_from is not None:
        good, bad = (
            dashboard.Threshold(color="green", value=None),
            dashboard.Threshold(color="red", value=panel.bad_from),
        )
        steps = builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([good, bad])
        made = made.thresholds(steps)
    for number, query in enumerate(panel.queries):
        made = made.with_target(_target(query, panel.kind, chr(ord("A") + number)))
    return made


def _drawn(kind: Kind) -> _Builder:
    if kind is Kind.HEATMAP:
        return heatmap.Panel().calculate(False).hide_legend()
    if kind is Kind.STAT:
        return stat.Panel()
    if kind is Kind.TABLE:
        return table.Panel()
    if kind is Kind.BARS:
        return bargauge.Panel()
    lines = timeseries.Panel().line_width(1).fill_opacity(8).show_points(common.VisibilityMode.AUTO)
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
    lines = lines.legend(legend.placement(common.LegendPlacement.BOTTOM).show_legend(True))
    if kind is Kind.STACK:
        stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        lines = lines.stacking(stacking).fill_opacity(40)
    return lines


def _target(query: Query, kind: Kind, name: str) -> queries.Dataquery:
    made = queries.Dataquery().expr(query.expression).ref_id(name)
    if query.legend:
        made = made.legend_format(query.legend)
    if kind is Kind.HEATMAP:
        made = made.format(prometheus_models.PromQueryFormat.HEATMAP)
    if kind is Kind.TABLE:
        return made.instant().format(prometheus_models.PromQueryFormat.TABLE)
    if kind in {Kind.STAT, Kind.BARS}:
        return made.instant()
    return made.range().exemplar(query.exemplars)
