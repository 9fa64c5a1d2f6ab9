"""What a comparison found: as CSV, as a page of Markdown, as a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.paradigms.measure import TIMED_HEIGHT, TIMED_WIDTH, Cost, Judgement

TIMED = f"{TIMED_WIDTH}x{TIMED_HEIGHT}"
_INK, _ACCENT, _COPY = "#222222", "#D55E00", "#0072B2"


class Row(NamedTuple):
    """One variant of one task.

    Attributes:
        task: name of the path.
        variant: name of the way.
        label: for people.
        added: parameters that a server needs beside the model's own.
        share: the same over the model's.
        trained: parameters that learned.
        rate: Adam's base step size.
        begins: where it stood before the first step.
        shared_stream: whether one bitstream serves all tasks.
        cost: of decoding.
        start: before the first step.
        end: after the last.
        steps: taken.
        remark: what the figures do not say.
    """

    task: str
    variant: str
    label: str
    added: int
    share: float
    trained: int
    rate: float
    begins: str
    shared_stream: bool
    cost: Cost
    start: Judgement
    end: Judgement
    steps: int
    remark: str

    @property
    def streams(self) -> str:
        """Return how many bitstreams a picture needs for N tasks."""
        return "1" if self.shared_stream else "N"


class Change(NamedTuple):
    """A mean over the held-out batches and its standard error, paired with the main path's."""

    mean: float
    error: float


def change(after: Judgement, main: Judgement) -> Change:
    """Return how much lower or higher a loss with rate is, in percent of the main path's loss without, batch by batch.

    Where the stream is shared this is the change of the loss itself; where it is not, bits saved or spent count.
    """
    percent = 100.0 * (np.asarray(after.with_rate) - np.asarray(main.with_rate)) / np.asarray(main.loss)
    error = float(percent.std(ddof=1) / len(percent) ** 0.5) if len(percent) > 1 else float("nan")
    return Change(float(percent.mean()), error)


class Report(NamedTuple):
    """A comparison.

    Attributes:
        rows: in the order in which the variants were asked for, task after task.
        main: the untrained main path's judgement for each task.
        about: what was trained how, on what, on which machine; lines of Markdown.
    """

    rows: tuple[Row, ...]
    main: dict[str, Judgement]
    about: tuple[str, ...]

    def against_main(self, row: Row) -> Change:
        """Return a row's ``change`` after its last step."""
        return change(row.end, self.main[row.task])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


_COLUMNS = (
    *("task", "variant", "label", "added_parameters", "added_share", "trained_parameters", "step_size", "steps"),
    *("begins_at", "one_stream", "streams_for_n_tasks", "synthesis_kmac_px", "decoding_kmac_px", "synthesis_cpu_ms"),
    *("loss_start", "loss_end", "loss_with_rate_start", "loss_with_rate_end"),
    *("against_main_percent", "against_main_error"),
    *("psnr_start_db", "psnr_end_db", "task_start", "task_end", "bpp_start", "bpp_end", "remark"),
)


def to_csv(report: Report) -> str:
    """Return one line per variant and task."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in report.rows:
        against = report.against_main(row)
        pairs = [
            f"{_mean(values):.6g}"
            for kind in ("loss", "with_rate")
            for values in (getattr(row.start, kind), getattr(row.end, kind))
        ]
        tail = [
            f"{_mean(values):.6g}"
            for kind in ("psnr", "task", "bpp")
            for values in (getattr(row.start, kind), getattr(row.end, kind))
        ]
        cost = (f"{row.cost.synthesis:.3f}", f"{row.cost.decoding:.3f}", f"{row.cost.milliseconds:.1f}")
        stream = ("yes" if row.shared_stream else "no", row.streams)
        head = (row.task, row.variant, row.label, row.added, f"{row.share:.6f}", row.trained, f"{row.rate:g}")
        measured = (f"{against.mean:.4f}", f"{against.error:.4f}", *tail)
        writer.writerow((*head, row.steps, row.begins, *stream, *cost, *pairs, *measured, row.remark))
    return buffer.getvalue()


def to_markdown(report: Report) -> str:
    """Return a table per task, and below it what the figures do not say."""
    lines = [*report.about]
    for task in dict.fromkeys(row.task for row in report.rows):
        rows = [row for row in report.rows if row.task == task]
        network = any(_mean(row.start.task) > 0 for row in rows)
        head = ["variant", "added parameters", "kMAC/px: g_s, all decoding", "g_s, ms", "one stream for all tasks"]
        head += ["loss, start -> end", "with rate, against the main path", "PSNR, dB", "bpp"]
        head += ["distance of the answer"] if network else []
        lines += ["", f"## {task}", "", _cells(head), _cells(["---"] * len(head))]
        lines += [_cells(_row(row, report, network=network)) for row in rows]
        lines += ["", *_notes(rows)]
    return "\n".join(lines) + "\n"


def _notes(rows: Sequence[Row]) -> list[str]:
    """Return what the figures do not say, once for all variants of which it is true."""
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.trained:
            remark = f"; {row.remark}" if row.remark else ""
            notes.setdefault(f"begins at {row.begins}; step size {row.rate:g}{remark}.", []).append(row.label)
    return [f"- {' / '.join(labels)}: {note}" for note, labels in notes.items()]


def _cells(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"


def _row(row: Row, report: Report, *, network: bool) -> list[str]:
    against = report.against_main(row)
    words = [
        row.label,
        f"{row.added:,} ({row.share:.2%})" if row.added else "0",
        f"{row.cost.synthesis:.2f}, {row.cost.decoding:.2f}",
        f"{row.cost.milliseconds:.0f}",
        "yes" if row.shared_stream else "no, one a task",
        f"{_mean(row.start.loss):.4f} -> {_mean(row.end.loss):.4f}",
        f"{against.mean:+.2f} ± {against.error:.2f} %" if row.trained else "0",
        f"{_mean(row.end.psnr):.2f}",
        f"{_mean(row.end.bpp):.3f}",
    ]
    return words + ([f"{_mean(row.end.task):.4f}"] if network else [])


def draw(report: Report) -> Figure:
    """Return a panel per task: what each variant adds against what it gains after equal steps."""
    tasks = list(dict.fromkeys(row.task for row in report.rows))
    figure = Figure(figsize=(10.6, 0.9 + 0.42 * len(report.rows) + 0.7 * len(tasks)), layout="constrained")
    heights = [sum(row.task == task for row in report.rows) + 1 for task in tasks]
    panels = figure.subplots(len(tasks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        rows = [row for row in report.rows if row.task == task and row.trained]
        for place, row in enumerate(rows):
            against = report.against_main(row)
            colour = _ACCENT if row.variant.startswith("side-") else _INK if row.shared_stream else _COPY
            axes.errorbar(
                against.mean, place, xerr=against.error, fmt="o", color=colour, markersize=8, capsize=4, linewidth=2
            )
            axes.annotate(
                f"{against.mean:+.2f}",
                xy=(1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=10.5,
                color=colour,
            )
        names = [f"{row.label}\n{row.added:,} parameters ({row.share:.1%})" for row in rows]
        axes.set_yticks(range(len(rows)), names, fontsize=9.5, color=_INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xscale("symlog", linthresh=1.0)  # most lie within a percent, some far away
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axvline(0, color="#999999", linewidth=1.2, linestyle=(0, (1, 2)))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=10.5, colors=_INK)
        axes.grid(axis="x", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        steps = max((row.steps for row in rows), default=0)
        axes.set_title(f"{task}: loss after {steps} steps against the main path", loc="left", fontsize=13, color=_INK)
    panels[-1].set_xlabel(
        "change of the loss on held-out crops, bits counted, % (left is better; bars: a standard error; linear to 1 %)",
        fontsize=11,
        color=_INK,
    )
    return figure
