"""Every path on every measure, in one table (the paper's Table 2)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from manypath_lab.evaluation.judges.judge import Measure
from manypath_lab.evaluation.run import Run
from manypath_lab.evaluation.score import scores


class Column(NamedTuple):
    """One measure on one set.

    Attributes:
        pictures: name of the set.
        measure: what was measured; None for the rate.
        original: what the originals score.
        values: by (path, quality).
    """

    pictures: str
    measure: Measure | None
    original: float
    values: dict[tuple[str, float], float]


def columns(name: str, run: Run) -> list[Column]:
    """Return the rate and the first measure of each judge of a run."""
    keys = [[(track.line.path, quality) for quality in track.qualities] for track in run.tracks]
    rates = [track.bpp.mean(0) for track in run.tracks]
    table = [Column(name, None, 0.0, _table(keys, rates))]
    for score in scores(run):
        if score.measure == score.judge.measures[0]:
            values = [score.of_line(number)[0] for number in range(len(run.tracks))]
            table.append(Column(name, score.measure, float(score.of_original()[0]), _table(keys, values)))
    return table


def to_csv(table: Sequence[Column]) -> str:
    """Return one line per set, measure, path and quality."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["pictures", "measure", "path", "quality", "value", "original"])
    for column in table:
        name, original = (column.measure.name, f"{column.original:.6f}") if column.measure else ("bpp", "")
        for (path, quality), value in column.values.items():
            writer.writerow([column.pictures, name, path, f"{quality:g}", f"{value:.6f}", original])
    return buffer.getvalue()


def to_markdown(table: Sequence[Column], model: str, counts: Sequence[str]) -> str:
    """Return one table, a block of rows per quality, the best path of each in bold.

    Args:
        table: all columns.
        model: what was measured.
        counts: one phrase per set of pictures.
    """
    keys = list(dict.fromkeys(key for column in table for key in column.values))
    keys.sort(key=lambda key: key[1])  # stable: paths keep their order within a quality
    lines = [
        f"# Every path on every measure: {model}",
        "",
        f"One stream per picture and quality, decoded by each path. {'; '.join(counts)}. Best of a quality in bold.",
        "",
        f"| quality | path | {' | '.join(_head(column) for column in table)} |",
        "|---|---|" + "---|" * len(table),
    ]
    for path, quality in keys:
        cells = " | ".join(_cell(column, path, quality) for column in table)
        lines.append(f"| {quality:g} | {path} | {cells} |")
    return "\n".join(lines) + "\n"


def _table(
    keys: Sequence[Sequence[tuple[str, float]]], values: Sequence[Sequence[float]]
) -> dict[tuple[str, float], float]:
    pairs = zip(keys, values, strict=True)
    return {key: float(value) for row, line in pairs for key, value in zip(row, line, strict=True)}


def _head(column: Column) -> str:
    if column.measure is None:
        return f"{column.pictures}: bpp"
    original = f" (originals {column.original:.1f})" if column.measure.drops else ""
    return f"{column.pictures}: {column.measure.label}{original}"


def _cell(column: Column, path: str, quality: float) -> str:
    value = column.values[path, quality]
    if column.measure is None:
        return f"{value:.3f}"
    rivals = [other for (_, level), other in column.values.items() if level == quality]
    best = min(rivals) if column.measure.lower else max(rivals)
    text = f"{value:.{column.measure.digits}f}"
    return f"**{text}**" if value == best else text
