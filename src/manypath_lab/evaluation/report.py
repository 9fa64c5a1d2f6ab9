"""A comparison as CSV, JSON, a page of Markdown, and lines for a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import pathlib
from typing import Any

from manypath_lab.evaluation.bd_rate import BdRate
from manypath_lab.evaluation.comparison import Comparison, Verdict, rows
from manypath_lab.evaluation.equal_accuracy import Ratio, Reading

BYTES_NOTE = "Real bytes, headers included. Figures are taken per picture and averaged, unless they are made of sums."
BD_NOTE = (
    "Bjontegaard delta rate (PCHIP over log-rate): bits at equal quality, negative is fewer; only the range of quality "
    "that both curves cover."
)
EQUAL_NOTE = (
    "Points lost are against the same judge on the originals. The rate at so many points lost is read from the "
    "isotonic curve over the logarithm of the rate; in brackets the 95 % interval of a paired bootstrap over pictures "
    "({draws} draws, both codecs on the same draw). `<=`: the loss is smaller even at the lowest rate measured; `>=`: "
    "larger even at the highest."
)
_FIGURES = ("quality", "bpp", "value", "lost")


def save(comparison: Comparison, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``<name>.csv``, ``.json`` and ``.md``; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"csv": to_csv(comparison), "json": to_json(comparison), "md": to_markdown(comparison)}
    files = []
    for suffix, text in texts.items():
        files.append(folder / f"{comparison.name}.{suffix}")
        files[-1].write_text(text, encoding="utf-8")
    return files


def to_csv(comparison: Comparison) -> str:
    """Return one line per judge, measure, codec and quality."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["judge", "measure", "codec", "path", *_FIGURES, "pictures", "source", "version"])
    for verdict in comparison.verdicts:
        for curve in verdict.curves:
            source = "published" if curve.published else "measured"
            for row in rows(verdict, curve):
                figures = [f"{row[0]:g}", *(f"{figure:.6f}" for figure in row[1:])]
                head = [verdict.judge.name, verdict.measure.name, curve.line.name, curve.line.path]
                writer.writerow([*head, *figures, comparison.pictures, source, curve.line.version])
    return buffer.getvalue()


def to_json(comparison: Comparison) -> str:
    """Return everything as one JSON document."""
    content: dict[str, Any] = {
        "pictures": {
            "folder": comparison.name,
            "digest": comparison.digest,
            "measured": comparison.pictures,
            "skipped": list(comparison.skipped),
        },
        "notes": [BYTES_NOTE, BD_NOTE, EQUAL_NOTE.format(draws=comparison.draws), comparison.note],
        "verdicts": [_content(verdict) for verdict in comparison.verdicts],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _content(verdict: Verdict) -> dict[str, Any]:
    measured = [curve.line for curve in verdict.curves if not curve.published]
    equal = verdict.equal
    return {
        "judge": verdict.judge.name,
        "judge_version": verdict.judge.version,
        "measure": verdict.measure.name,
        "label": verdict.measure.label,
        "lower_is_better": verdict.measure.lower,
        "original": verdict.original,
        "curves": [
            {
                **curve.line._asdict(),
                "published": curve.published,
                "points": [dict(zip(_FIGURES, row, strict=True)) for row in rows(verdict, curve)],
            }
            for curve in verdict.curves
        ],
        "bd_rates": [one._asdict() for one in verdict.bd_rates],
        "equal_accuracy": [
            {"name": line.name, "lost": target, **reading._asdict()}
            for line, readings in zip(measured, equal.readings, strict=True)
            for target, reading in zip(equal.targets, readings, strict=True)
        ]
        if equal
        else [],
        "ratios": [ratio._asdict() for ratio in equal.ratios] if equal else [],
        "gains_over_main_path": [gain._asdict() for gain in verdict.gains],
    }


def to_markdown(comparison: Comparison) -> str:
    """Return all tables as a page."""
    lines = [f"# {comparison.pictures} pictures of `{comparison.name}`", "", BYTES_NOTE]
    lines += ["", comparison.note] if comparison.note else []
    for verdict in comparison.verdicts:
        original = verdict.original
        title = f"## {verdict.measure.label} by {verdict.judge.label}"
        if verdict.equal is not None:
            title += f", originals {original:.{verdict.measure.digits}f}"
        lines += ["", title, "", *_point_table(verdict)]
        if verdict.bd_rates:
            lines += ["", BD_NOTE, "", *_bd_table(verdict)]
        if verdict.equal is not None:
            lines += ["", EQUAL_NOTE.format(draws=comparison.draws), "", *_equal_table(verdict), *_ratio_table(verdict)]
        lines += _gain_table(verdict)
    if comparison.skipped:
        lines += ["", f"{len(comparison.skipped)} left out:", *(f"- {message}" for message in comparison.skipped)]
    return "\n".join(lines) + "\n"


def summary(comparison: Comparison) -> list[str]:
    """Return what matters as plain lines for a terminal."""
    lines = []
    for verdict in comparison.verdicts:
        name = f"{comparison.name}, {verdict.measure.name} by {verdict.judge.name}"
        lines += [
            f"{name}: {one.curve} vs {one.anchor} {percent(one)} ({_range(one)}) {one.note}".rstrip()
            for one in verdict.bd_rates
        ]
        if verdict.equal:
            lines += [
                f"{name}, {ratio.target:g} lost: bits of {ratio.line} / {ratio.anchor} = {ratio_text(ratio)}"
                for ratio in verdict.equal.ratios
            ]
    return lines


def percent(comparison: BdRate) -> str:
    """Return a delta rate as text."""
    return "n/a" if comparison.percent is None else f"{comparison.percent:+.1f} %"


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio of rates with its interval as text."""
    if ratio.value is None:
        return "not within both ranges"
    sign = "" if ratio.bound == "=" else f"{ratio.bound} "
    return f"{sign}{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _range(one: BdRate) -> str:
    if one.percent is None:
        return "no range"
    return f"{one.low_db:.1f} to {one.high_db:.1f} dB, {one.overlap:.0%} of both curves"


def _point_table(verdict: Verdict) -> list[str]:
    table = [f"| codec | bpp / {verdict.measure.label}, one setting after another | version |", "|---|---|---|"]
    for curve in verdict.curves:
        quoted = " (published)" if curve.published else ""
        points = ", ".join(f"{point.bpp:.3f}/{point.value:.{verdict.measure.digits}f}" for point in curve.points)
        table.append(f"| {curve.line.label}{quoted} | {points} | {curve.line.version} |")
    return table


def _bd_table(verdict: Verdict) -> list[str]:
    head = ["| codec | against | BD-rate | range of quality | note |", "|---|---|---|---|---|"]
    return head + [
        f"| {one.curve} | {one.anchor} | {percent(one)} | {_range(one)} | {one.note} |" for one in verdict.bd_rates
    ]


def _equal_table(verdict: Verdict) -> list[str]:
    assert verdict.equal is not None  # for the type checker: the caller looked
    targets = verdict.equal.targets
    measured = [curve.line for curve in verdict.curves if not curve.published]
    head = " | ".join(f"bpp at {target:g} lost" for target in targets)
    table = [
        f"| {line.label} | {' | '.join(_reading(reading) for reading in readings)} |"
        for line, readings in zip(measured, verdict.equal.readings, strict=True)
    ]
    return [f"| codec | {head} |", "|---|" + "---|" * len(targets), *table]


def _reading(reading: Reading) -> str:
    sign = {-1: "<= ", 0: "", 1: ">= "}[reading.end]
    return f"{sign}{reading.bpp:.3f} [{reading.low:.3f}, {reading.high:.3f}]"


def _ratio_table(verdict: Verdict) -> list[str]:
    assert verdict.equal is not None  # for the type checker: the caller looked
    targets, ratios = verdict.equal.targets, verdict.equal.ratios
    if not ratios:
        return []
    labels = {curve.line.name: curve.line.label for curve in verdict.curves}
    head = " | ".join(f"{target:g} lost" for target in targets)
    table = ["", f"| bits of | over those of | {head} |", "|---|---|" + "---|" * len(targets)]
    for number in range(math.ceil(len(ratios) / len(targets))):
        row = ratios[number * len(targets) : (number + 1) * len(targets)]
        table.append(
            f"| {labels[row[0].line]} | {labels[row[0].anchor]} | {' | '.join(ratio_text(ratio) for ratio in row)} |"
        )
    return table


def _gain_table(verdict: Verdict) -> list[str]:
    if not verdict.gains:
        return []
    table = ["", "| side path, same stream | quality | bpp | points over the main path |", "|---|---|---|---|"]
    return table + [
        f"| {gain.line} | {gain.quality:g} | {gain.bpp:.3f} | {gain.points:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] |"
        for gain in verdict.gains
    ]
