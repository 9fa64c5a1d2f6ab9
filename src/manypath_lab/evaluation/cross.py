"""Every path on every metric, in one table (the paper's Table 2)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from manypath_lab.evaluation.scores import Floats, Score
from manypath_lab.evaluation.sets import PictureSet
from manypath_lab.evaluation.task_run import TaskRun

_LOWER_IS_BETTER = ("perceptual",)
_DIGITS = {"psnr": 2, "ms-ssim": 4, "perceptual": 4, "top1": 1, "miou": 1}


class Column(NamedTuple):
    """One metric on one set.

    Attributes:
        pictures: name of the set.
        metric: name of the metric.
        label: for people.
        original: what the originals score, None where that says nothing.
        values: by (path, quality).
    """

    pictures: str
    metric: str
    label: str
    original: float | None
    values: dict[tuple[str, float], float]


def columns(found: PictureSet, run: TaskRun) -> list[Column]:
    """Return the rate and all metrics of a run on one set."""
    ones = np.ones((1, len(run.cases)))
    table = [Column(found.name, "bpp", "bpp", None, _values(run, [answers.bpp.mean(0) for answers in run.answers]))]
    for score in found.scores(run):
        values = [score.of_line(number, ones)[0] for number in range(len(run.answers))]
        table.append(Column(found.name, score.name, score.label, _original(score, ones), _values(run, values)))
    return table


def to_csv(table: Sequence[Column]) -> str:
    """Return one line per set, metric, path and quality."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["pictures", "metric", "path", "quality", "value", "original"])
    for column in table:
        original = "" if column.original is None else f"{column.original:.6f}"
        for (path, quality), value in column.values.items():
            writer.writerow([column.pictures, column.metric, path, f"{quality:g}", f"{value:.6f}", original])
    return buffer.getvalue()


def to_markdown(table: Sequence[Column], model: str, counts: Sequence[str]) -> str:
    """Return one table, a block of rows per quality, the best path of each in bold.

    Args:
        table: all columns.
        model: what was measured.
        counts: one phrase per set of pictures.
    """
    rows = list(dict.fromkeys(key for column in table for key in column.values))
    rows.sort(key=lambda row: row[1])  # stable: paths keep their order within a quality
    heads = [
        column.label + (f" (originals {column.original:.1f})" if column.original is not None else "")
        for column in table
    ]
    lines = [
        f"# Every path on every metric: {model}",
        "",
        f"One stream per picture and quality, decoded by each path. {'; '.join(counts)}. Best of a quality in bold.",
        "",
        "| quality | path | "
        + " | ".join(f"{column.pictures}: {head}" for column, head in zip(table, heads, strict=True))
        + " |",
        "|---|---|" + "---|" * len(table),
    ]
    for path, quality in rows:
        cells = " | ".join(_cell(column, path, quality) for column in table)
        lines.append(f"| {quality:g} | {path} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(column: Column, path: str, quality: float) -> str:
    value = column.values[path, quality]
    if column.metric == "bpp":
        return f"{value:.3f}"
    rivals = [other for (_, level), other in column.values.items() if level == quality]
    best = min(rivals) if column.metric in _LOWER_IS_BETTER else max(rivals)
    text = f"{value:.{_DIGITS.get(column.metric, 3)}f}"
    return f"**{text}**" if value == best else text


def _values(run: TaskRun, lines: Sequence[Floats]) -> dict[tuple[str, float], float]:
    return {
        (answers.line.path, quality): float(value)
        for answers, own in zip(run.answers, lines, strict=True)
        for quality, value in zip(answers.qualities, own, strict=True)
    }


def _original(score: Score, ones: Floats) -> float | None:
    return float(score.of_original(ones)[0]) if score.name in {"top1", "miou"} else None
