"""``figure transition``: one stream between the perceptual path and a task's, in a strip over the task share."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manypath.errors import PathError, RequestError
from manypath_lab.figures.columns import GAP, HEADING, column, column_width, draw_detail, draw_heading, draw_picture
from manypath_lab.figures.sheet import (
    INK,
    MARGIN,
    SMALL,
    TOP,
    WIDTH,
    Sheet,
    Spot,
    beside,
    height_of,
    path_colour,
    write_json,
)
from manypath_lab.figures.subject import Subject, View, Window, encode, in_order, telling_window, views

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels
    from manypath_lab.figures.answers import Classifier

STEPS, MIN_STEPS, MAX_STEPS = 6, 5, 9
_CHART = 1.0  # inches
_CHART_GAP = 0.62  # inches above a chart, for its name


class TransitionData(NamedTuple):
    """What the figure shows.

    Attributes:
        subject: the picture and its stream.
        main: the main path's name.
        views: one reconstruction per share, from 0 to 1.
        window: the part that is enlarged.
        label: the classifier's answer on the original.
        confidence: in that answer, per view, 0..1; empty without classifier.
        confidence_on_original: the same for the original, 0..1.
    """

    subject: Subject
    main: str
    views: list[View]
    window: Window
    label: str
    confidence: list[float]
    confidence_on_original: float


def compute(
    codec: Codec,
    image: Pixels,
    name: str,
    *,
    quality: float,
    path: str,
    steps: int = STEPS,
    classifier: Classifier | None = None,
) -> TransitionData:
    """Encode once and decode at each share.

    Raises:
        RequestError: the picture, quality or number of steps cannot be.
        PathError: the model has no side path of this name.
    """
    if path not in codec.sides:
        sides = ", ".join(in_order(codec.sides)) or "none"
        raise PathError(f"a transition needs a side path; model {codec.name} has {sides}; got {str(path)!r}")
    if not MIN_STEPS <= steps <= MAX_STEPS:
        raise RequestError(f"steps must be {MIN_STEPS} to {MAX_STEPS}, got {steps}")
    subject = encode(codec, image, name, quality)
    shares = [float(share) for share in np.linspace(0.0, 1.0, steps)]
    reconstructions = views(codec, subject, [(path, share) for share in shares])
    window = telling_window(image, [reconstructions[0].image, reconstructions[-1].image])
    if classifier is None:
        return TransitionData(subject, codec.main_path, reconstructions, window, "", [], 0.0)
    probabilities = classifier.probabilities([image, *(view.image for view in reconstructions)])
    answer = classifier.top(probabilities[0], 1)[0]
    confidence = [float(one[answer.class_index]) for one in probabilities[1:]]
    return TransitionData(
        subject, codec.main_path, reconstructions, window, answer.label, confidence, answer.probability
    )


def draw(data: TransitionData) -> Sheet:
    """Return the figure: whole pictures, details, and one chart a figure, aligned with the pictures."""
    subject, count = data.subject, len(data.views)
    path, width = data.views[0].path, column_width(count)
    whole = height_of(subject.image, width)
    detail = height_of(data.window.cut(subject.image), width)
    charts_top = TOP + HEADING + whole + GAP + detail
    charts = 2 if data.confidence else 1
    sheet = Sheet(
        charts_top + charts * (_CHART_GAP + _CHART) + 0.3,
        f"From {data.main} to {path} without another bit",
        subject.subtitle(f"{subject.bpp:.3f} bpp for all of it"),
    )
    colour = path_colour(path)
    for number, view in enumerate(data.views):
        spot = column(number, count, TOP)
        ends = {0: (data.main, path_colour(data.main)), count - 1: (path, colour)}
        name, shade = ends.get(number, (f"{100 * view.task_share:.0f} % task", INK))
        draw_heading(sheet, spot, name, f"task share {view.task_share:.2g}", shade)
        draw_picture(sheet, spot.down(HEADING), view.image, data.window)
        draw_detail(sheet, spot.down(HEADING + whole + GAP), view.image, data.window)
    psnr = [(view.psnr_db, f"{view.psnr_db:.2f}") for view in data.views]
    _draw_chart(sheet, charts_top, psnr, title="PSNR, dB", colour=colour, least=1.0)
    if data.confidence:
        title = f"classifier's confidence in “{data.label}” (original: {100 * data.confidence_on_original:.0f} %)"
        percents = [(100.0 * value, f"{100.0 * value:.0f} %") for value in data.confidence]
        top = charts_top + _CHART_GAP + _CHART
        _draw_chart(sheet, top, percents, title=title, colour=colour, least=20.0)
    return sheet


def _draw_chart(
    sheet: Sheet, top: float, points: Sequence[tuple[float, str]], *, title: str, colour: str, least: float
) -> None:
    """Draw a line whose labelled points stand below the middle of their pictures; its axis spans ``least`` or more."""
    values = [value for value, _ in points]
    sheet.text(MARGIN, top + 0.3, title, size=SMALL + 1, weight="bold", color=INK, va="center")
    axes: Axes = sheet.axes(Spot(MARGIN, top + _CHART_GAP, WIDTH - 2 * MARGIN), _CHART)
    axes.set_xlim(0.0, WIDTH - 2 * MARGIN)
    middles = [column(n, len(values), 0.0).left - MARGIN + column_width(len(values)) / 2 for n in range(len(values))]
    span = max(max(values) - min(values), least)
    middle = (max(values) + min(values)) / 2
    axes.set_ylim(middle - 0.75 * span, middle + 1.05 * span)
    axes.axis("off")
    axes.plot(middles, values, color=colour, linewidth=2.6, marker="o", markersize=8)
    for x, (value, label) in zip(middles, points, strict=True):
        axes.annotate(
            *(label, (x, value)), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=SMALL + 1, color=INK
        )


def facts(data: TransitionData) -> dict[str, Any]:
    """Return the figures behind the figure."""
    answer = {"label": data.label, "confidence_on_original": data.confidence_on_original} if data.confidence else {}
    return {
        "figure": "transition",
        **data.subject.facts(),
        "path": data.views[0].path,
        "detail": data.window._asdict(),
        **answer,
        "steps": _rows(data),
    }


def _rows(data: TransitionData) -> list[dict[str, float | None]]:
    confidence: Sequence[float | None] = data.confidence or [None] * len(data.views)
    return [
        {"task_share": view.task_share, "psnr_db": view.psnr_db, "confidence": sure}
        for view, sure in zip(data.views, confidence, strict=True)
    ]


def write(data: TransitionData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["task_share", "psnr_db", "confidence"])
    for row in _rows(data):
        confidence = "" if row["confidence"] is None else f"{row['confidence']:.6f}"
        writer.writerow([f"{row['task_share']:.6g}", f"{row['psnr_db']:.4f}", confidence])
    beside(file, ".csv").write_text(table.getvalue(), encoding="utf-8")
    return [file, file.with_suffix(".json"), file.with_suffix(".csv")]
