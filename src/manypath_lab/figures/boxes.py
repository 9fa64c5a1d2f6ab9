"""``figure boxes``: what a detector finds in the original, on our paths and in a JPEG of the same bytes."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from manypath_lab.detector.agreement import THRESHOLD, count, f1, match
from manypath_lab.detector.boxes import Boxes
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.figures.columns import GAP, HEADING, colours_of, column, column_width, draw_heading, in_bytes
from manypath_lab.figures.sheet import BODY, INK, SMALL, TOP, Sheet, Spot, height_of, write_json, write_maps
from manypath_lab.figures.subject import Subject, best_within, encode, served_paths, views

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.detector.boxes import OnnxDetector
    from manypath_lab.evaluation.codecs.codec import Baseline
    from manypath_lab.evaluation.pictures import Pixels

_KEPT, _MISSED, _EXTRA = "#7CFC00", "#FFFFFF", "#FF3030"
_LEGEND = 0.4  # inches
_COLUMNS = 2  # pictures side by side: boxes of distant people must be seen


class Shown(NamedTuple):
    """One picture of the figure.

    Attributes:
        name: of the column.
        image: uint8 [H, W, 3].
        bytes: that it took.
        psnr_db: against the original, decibels; infinite for the original.
        boxes: found above the threshold, best first.
    """

    name: str
    image: Pixels
    bytes: int
    psnr_db: float
    boxes: Boxes


class BoxesData(NamedTuple):
    """What the figure shows.

    Attributes:
        subject: the picture and its stream.
        shown: the original first.
        names: of the detector's classes.
    """

    subject: Subject
    shown: list[Shown]
    names: tuple[str, ...]


def compute(
    codec: Codec,
    image: Pixels,
    name: str,
    *,
    quality: float,
    detector: OnnxDetector,
    names: tuple[str, ...],
    baseline: Baseline,
    paths: Sequence[str] = (),
) -> BoxesData:
    """Encode once, decode by each path, code with the baseline at no more bytes, and let the detector look.

    Raises:
        RequestError: the picture, quality or path cannot be.
    """
    subject = encode(codec, image, name, quality)
    chosen = served_paths(codec, paths or ("mse", "detection"))
    made = [(view.path, view.image, len(subject.stream)) for view in views(codec, subject, [(p, 1.0) for p in chosen])]
    rival = best_within(baseline, image, len(subject.stream))
    if rival is not None:
        made.append((f"{baseline.label}, quality {rival[1]}", baseline.decode(rival[0]), len(rival[0])))
    shown = [Shown("original", image, image.nbytes, float("inf"), detector.find(image).above(THRESHOLD))]
    shown += [
        Shown(own, pixels, size, psnr(image, pixels), detector.find(pixels).above(THRESHOLD))
        for own, pixels, size in made
    ]
    return BoxesData(subject, shown, names)


def draw(data: BoxesData) -> Sheet:
    """Return the figure."""
    subject = data.subject
    whole = height_of(subject.image, column_width(_COLUMNS))
    rows = -(-len(data.shown) // _COLUMNS)
    row_height = HEADING + whole + GAP
    title = f"The same boxes from {in_bytes(len(subject.stream))}?"
    sheet = Sheet(TOP + rows * row_height + _LEGEND + 0.2, title, subject.subtitle())
    colours = [INK, *colours_of([own.name for own in data.shown[1:]])]
    for number, (own, colour) in enumerate(zip(data.shown, colours, strict=True)):
        spot = column(number % _COLUMNS, _COLUMNS, TOP + number // _COLUMNS * row_height)
        draw_heading(sheet, spot, own.name, _figures(data, number), colour)
        axes = sheet.picture(spot.down(HEADING), own.image)
        _draw_boxes(axes, own.boxes, data.shown[0].boxes, data.names)
    _draw_legend(sheet, TOP + rows * row_height)
    return sheet


def _figures(data: BoxesData, number: int) -> str:
    own = data.shown[number]
    if number == 0:
        return f"{len(own.boxes.scores)} boxes above {THRESHOLD}"
    bpp = 8.0 * own.bytes / (own.image.shape[0] * own.image.shape[1])
    agreement = _agreement(data, number)
    return f"{bpp:.3f} bpp   {own.psnr_db:.2f} dB   boxes as on the original: F1 {agreement:.2f}"


def _agreement(data: BoxesData, number: int) -> float:
    return float(f1(np.asarray(count(data.shown[number].boxes, data.shown[0].boxes), np.float64)))


def _draw_boxes(axes: Axes, predicted: Boxes, target: Boxes, names: tuple[str, ...]) -> None:
    partner = match(predicted, target)
    for index in np.setdiff1d(np.arange(len(target.scores)), partner):
        _draw_box(axes, target.corners[index], _MISSED, "", dashed=True)
    for row in reversed(range(len(partner))):
        colour = _KEPT if partner[row] >= 0 else _EXTRA
        text = f"{names[predicted.classes[row]]} {predicted.scores[row]:.2f}"
        _draw_box(axes, predicted.corners[row], colour, text)


def _draw_box(axes: Axes, corners: Any, colour: str, text: str, *, dashed: bool = False) -> None:
    left, top, right, bottom = (float(value) for value in corners)
    place = ((left - 0.5, top - 0.5), right - left, bottom - top)
    style = (0, (3, 2)) if dashed else "solid"
    for width, edge in ((2.6, "black"), (1.4, colour)):
        axes.add_patch(Rectangle(*place, fill=False, linestyle=style, linewidth=width, edgecolor=edge))
    if text:
        box = {"facecolor": "black", "alpha": 0.6, "pad": 0.8, "linewidth": 0}
        axes.text(left, top - 2, text, fontsize=SMALL - 4, color=colour, va="bottom", bbox=box, clip_on=True)


def _draw_legend(sheet: Sheet, top: float) -> None:
    entries = ((_KEPT, "as on the original"), (_MISSED, "on the original only"), (_EXTRA, "not on the original"))
    for number, (colour, text) in enumerate(entries):
        spot = column(number, 3, top + 0.08)
        axes = sheet.axes(Spot(spot.left, spot.top, 0.3), 0.2)
        axes.axis("off")
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor=INK, linewidth=1.0))
        sheet.text(spot.left + 0.4, spot.top + 0.1, text, size=BODY - 1, va="center")


def facts(data: BoxesData) -> dict[str, Any]:
    """Return the figures behind the figure."""
    columns = []
    for number, own in enumerate(data.shown):
        rows = zip(own.boxes.corners.tolist(), own.boxes.scores.tolist(), own.boxes.classes.tolist(), strict=True)
        columns.append(
            {
                "name": own.name,
                "bytes": own.bytes,
                "psnr_db": own.psnr_db if number else None,
                "f1": _agreement(data, number),
                "boxes": [{"corners": c, "score": s, "class": data.names[k]} for c, s, k in rows],
            }
        )
    return {"figure": "boxes", **data.subject.facts(), "threshold": THRESHOLD, "columns": columns}


def write(data: BoxesData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    write_maps(file, {own.name.partition(",")[0].lower(): own.image for own in data.shown})
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]
