"""What a task measurement found, as CSV, JSON, Markdown and charts."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from manypath_lab.evaluation.chart import Frame, Level, Series, draw_chart
from manypath_lab.evaluation.equal_answer import DRAWS, EqualAnswer, Gain, Ratio, Reading, equal_answer, gains
from manypath_lab.evaluation.plot import RATE_AXIS, save_figure
from manypath_lab.evaluation.scores import Score
from manypath_lab.evaluation.task_run import TaskRun
from manypath_lab.evaluation.tasks import Judge

NOTE = (
    "Real bytes, headers included. Points lost are against the same network on the originals. The rate at so many "
    "points lost is read from the isotonic curve over the logarithm of the rate; in brackets the 95 % interval of a "
    "paired bootstrap over pictures ({draws} draws, both codecs on the same draw). `<=`: the loss is smaller even at "
    "the lowest rate measured; `>=`: larger even at the highest."
)


class Verdict(NamedTuple):
    """One score of one network.

    Attributes:
        judge: the network.
        score: the sums.
        equal: rates at equal answer.
        gains: of each side path over the main path on the same streams.
    """

    judge: Judge
    score: Score
    equal: EqualAnswer
    gains: tuple[Gain, ...]


class TaskReport(NamedTuple):
    """Everything that a run found.

    Attributes:
        task: ``cls`` or ``seg``, the stem of the files.
        folder_name: name of the pictures' folder.
        run: answers.
        verdicts: one per network and score.
        draws: of the bootstrap.
    """

    task: str
    folder_name: str
    run: TaskRun
    verdicts: tuple[Verdict, ...]
    draws: int


def make_report(task: str, folder_name: str, run: TaskRun, scores: list[list[Score]], draws: int = DRAWS) -> TaskReport:
    """Compare all lines in all scores: [judge][score]."""
    lines = [answers.line for answers in run.answers]
    main = next((number for number, line in enumerate(lines) if line.path == "perceptual"), None)
    verdicts = []
    for judge, own in zip(run.judges, scores, strict=True):
        for score in own:
            equal = equal_answer(
                score,
                [answers.bpp for answers in run.answers],
                [line.name for line in lines],
                [line.ours for line in lines],
                score.targets,
                draws=draws,
            )
            ahead = [
                gain
                for number, line in enumerate(lines)
                if line.ours and main is not None and number != main
                for gain in gains(score, main, number, run.answers[number], draws=draws)
            ]
            verdicts.append(Verdict(judge, score, equal, tuple(ahead)))
    return TaskReport(task, folder_name, run, tuple(verdicts), draws)


def save_report(report: TaskReport, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``<task>.csv``, ``.json``, ``.md`` and a chart per network and score."""
    files = []
    for suffix, text in (("csv", to_csv(report)), ("json", to_json(report)), ("md", to_markdown(report))):
        files.append(folder / f"{report.task}.{suffix}")
        files[-1].write_text(text, encoding="utf-8")
    for verdict in report.verdicts:
        stem = f"{report.task}-{verdict.judge.name}-{verdict.score.name}"
        files += save_figure(draw_chart(*_chart(report, verdict)), folder, stem)
    return files


def to_csv(report: TaskReport) -> str:
    """Return one line per network, score, codec and quality."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["network", "score", "codec", "path", "quality", "bpp", "psnr_db", "percent", "lost", "pictures", "version"]
    )
    for verdict in report.verdicts:
        for number, answers in enumerate(report.run.answers):
            line = answers.line
            for point in _points(report, verdict, number):
                figures = [f"{point['quality']:g}", *(f"{point[key]:.5f}" for key in _FIGURES)]
                head = [verdict.judge.name, verdict.score.name, line.name, line.path]
                writer.writerow([*head, *figures, len(report.run.cases), line.version])
    return buffer.getvalue()


_FIGURES = ("bpp", "psnr_db", "percent", "lost")


def to_json(report: TaskReport) -> str:
    """Return the whole report as one JSON document."""
    lines = [answers.line for answers in report.run.answers]
    content: dict[str, Any] = {
        "task": report.task,
        "pictures": {
            "folder": report.folder_name,
            "digest": report.run.folder,
            "measured": len(report.run.cases),
        },
        "note": NOTE.format(draws=report.draws),
        "verdicts": [
            {
                "network": verdict.judge.name,
                "network_version": verdict.judge.version,
                "score": verdict.score.name,
                "label": verdict.score.label,
                "original_percent": _original(verdict),
                "curves": [
                    {**line._asdict(), "ours": line.ours, "points": _points(report, verdict, number)}
                    for number, line in enumerate(lines)
                ],
                "equal_answer": [
                    {"name": line.name, "lost": target, **reading._asdict()}
                    for line, readings in zip(lines, verdict.equal.readings, strict=True)
                    for target, reading in zip(verdict.equal.targets, readings, strict=True)
                ],
                "ratios": [ratio._asdict() for ratio in verdict.equal.ratios],
                "gains_over_main_path": [gain._asdict() for gain in verdict.gains],
            }
            for verdict in report.verdicts
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def to_markdown(report: TaskReport) -> str:
    """Return the report as a page."""
    pictures = f"{len(report.run.cases)} pictures of `{report.folder_name}`"
    lines = [f"# Answers over rate on {pictures}", "", NOTE.format(draws=report.draws)]
    for verdict in report.verdicts:
        heading = f"## {verdict.judge.label}: {verdict.score.label} (originals: {_original(verdict):.2f} %)"
        lines += ["", heading, "", *_equal_table(report, verdict), *_ratio_table(report, verdict)]
        lines += [*_gain_table(verdict), *_point_table(report, verdict)]
    return "\n".join(lines) + "\n"


def summary(report: TaskReport) -> list[str]:
    """Return the ratios as plain lines for a terminal."""
    return [
        f"{verdict.judge.name} {verdict.score.name} -{ratio.target:g}: {ratio.line} / {ratio.peer} = {_say(ratio)}"
        for verdict in report.verdicts
        for ratio in verdict.equal.ratios
    ]


def _equal_table(report: TaskReport, verdict: Verdict) -> list[str]:
    targets = verdict.equal.targets
    head = " | ".join(f"bpp at {target:g} lost" for target in targets)
    rows = [
        f"| {answers.line.label} | {' | '.join(_read(reading) for reading in readings)} |"
        for answers, readings in zip(report.run.answers, verdict.equal.readings, strict=True)
    ]
    return [f"| codec | {head} |", "|---|" + "---|" * len(targets), *rows, ""]


def _ratio_table(report: TaskReport, verdict: Verdict) -> list[str]:
    ratios = verdict.equal.ratios
    if not ratios:
        return []
    targets = verdict.equal.targets
    labels = {answers.line.name: answers.line.label for answers in report.run.answers}
    head = " | ".join(f"{target:g} lost" for target in targets)
    rows = []
    for start in range(0, len(ratios), len(targets)):
        own = ratios[start : start + len(targets)]
        cells = " | ".join(_say(ratio) for ratio in own)
        rows.append(f"| {labels[own[0].line]} | {labels[own[0].peer]} | {cells} |")
    return [f"| our bits over | those of | {head} |", "|---|---|" + "---|" * len(targets), *rows, ""]


def _gain_table(verdict: Verdict) -> list[str]:
    if not verdict.gains:
        return []
    rows = [
        f"| {gain.line} | {gain.quality:g} | {gain.bpp:.3f} | {gain.points:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] |"
        for gain in verdict.gains
    ]
    return ["| side path, same stream | quality | bpp | points over the main path |", "|---|---|---|---|", *rows, ""]


def _point_table(report: TaskReport, verdict: Verdict) -> list[str]:
    rows = []
    for number, answers in enumerate(report.run.answers):
        points = ", ".join(
            f"{point['bpp']:.3f}/{point['percent']:.2f}/{point['psnr_db']:.2f}"
            for point in _points(report, verdict, number)
        )
        rows.append(f"| {answers.line.label} | {points} | {answers.line.version} |")
    return ["| codec | bpp / percent / PSNR dB, one setting after another | version |", "|---|---|---|", *rows]


def _points(report: TaskReport, verdict: Verdict, number: int) -> list[dict[str, float]]:
    answers = report.run.answers[number]
    ones = np.ones((1, len(report.run.cases)))
    percent = verdict.score.of_line(number, ones)[0]
    lost = verdict.score.loss(number, ones)[0]
    rows = zip(answers.qualities, answers.bpp.mean(0), answers.psnr_db.mean(0), percent, lost, strict=True)
    return [dict(zip(("quality", *_FIGURES), map(float, row), strict=True)) for row in rows]


def _original(verdict: Verdict) -> float:
    return float(verdict.score.of_original(np.ones((1, len(verdict.score.original))))[0])


def _read(reading: Reading) -> str:
    sign = {-1: "<= ", 0: "", 1: ">= "}[reading.end]
    return f"{sign}{reading.bpp:.3f} [{reading.low:.3f}, {reading.high:.3f}]"


def _say(ratio: Ratio) -> str:
    if ratio.value is None:
        return "not within both ranges"
    sign = "" if ratio.bound == "=" else f"{ratio.bound} "
    return f"{sign}{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def _chart(report: TaskReport, verdict: Verdict) -> tuple[list[Series], Frame]:
    series = []
    for number, answers in enumerate(report.run.answers):
        pairs = [(point["bpp"], point["percent"]) for point in _points(report, verdict, number)]
        series.append(Series(answers.line.name, answers.line.label, pairs, answers.line.ours))
    original = _original(verdict)
    own = [x for one in series if one.ours for x, _ in one.pairs] or [x for one in series for x, _ in one.pairs]
    left, right = min(own) * 0.85, max(own) * 1.15
    seen = [y for one in series for x, y in one.pairs if left <= x <= right] or [original]
    bottom = max(min(seen), original - 25.0)
    levels = [Level(original, f"originals: {original:.1f} %")]
    levels += [Level(original - target, f"−{target:g}") for target in verdict.equal.targets]
    frame = Frame(
        _finding(report, verdict),
        f"{verdict.judge.label}, {len(report.run.cases)} pictures of {report.folder_name}; up and left is better",
        RATE_AXIS,
        f"{verdict.score.label} (%)",
        (left, right),
        (bottom - 0.5, max(original, *seen) + 1.0),
        log_x=True,
        levels=tuple(levels),
    )
    return series, frame


_TASK_PATHS = {"cls": "classification", "seg": "segmentation"}


def _finding(report: TaskReport, verdict: Verdict) -> str:
    """Return the title: the task path's bits over AVIF's or else JPEG's at a middle target, or what is drawn.

    A ratio that may be larger than its figure is no finding.
    """
    lines = {answers.line.name: answers.line for answers in report.run.answers}
    wanted = sorted(
        (
            ratio
            for ratio in verdict.equal.ratios
            if ratio.value is not None and ratio.value < 1.0 and ratio.bound != ">="
        ),
        key=lambda ratio: (
            lines[ratio.line].path != _TASK_PATHS.get(report.task),
            ratio.target != verdict.equal.targets[len(verdict.equal.targets) // 2],
            ratio.peer != "avif",
            ratio.peer != "jpeg",
        ),
    )
    if not wanted:
        return f"Rate against {verdict.score.label}"
    best = wanted[0]
    own, peer = lines[best.line].label, lines[best.peer].label
    most = "at most " if best.bound == "<=" else ""
    return f"{own}: {most}{best.value:.0%} of {peer}'s bits, {best.target:g} point{'s' * (best.target != 1)} lost"
