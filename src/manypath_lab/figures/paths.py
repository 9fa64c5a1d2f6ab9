"""``figure paths``: the original and what each path makes of one stream, with the machines' answers below."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manypath_lab.figures.columns import (
    GAP,
    HEADING,
    answers_height,
    colours_of,
    column,
    column_width,
    draw_answers,
    draw_detail,
    draw_heading,
    draw_picture,
    draw_row_title,
    in_bytes,
)
from manypath_lab.figures.masks import Masks, draw_legend, draw_mask, legend_height, mask_height
from manypath_lab.figures.sheet import (
    INK,
    QUIET,
    TOP,
    Sheet,
    height_of,
    write_json,
    write_maps,
)
from manypath_lab.figures.subject import Subject, View, Window, encode, served_paths, telling_window, views

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels
    from manypath_lab.figures.answers import Answer, Classifier
    from manypath_lab.figures.masks import Segmenter

_ROW_TITLE = 0.38  # inches above a row of answers


class PathsData(NamedTuple):
    """What the figure shows.

    Attributes:
        subject: the picture and its stream.
        views: one reconstruction per path.
        window: the part that is enlarged.
        answers: the classifier's five best, of the original first, then per path; empty without classifier.
        masks: the segmenter's, in the same order; None without segmenter.
    """

    subject: Subject
    views: list[View]
    window: Window
    answers: list[list[Answer]]
    masks: Masks | None


def compute(
    codec: Codec,
    image: Pixels,
    name: str,
    *,
    quality: float,
    paths: Sequence[str] = (),
    classifier: Classifier | None = None,
    segmenter: Segmenter | None = None,
) -> PathsData:
    """Encode once, decode by each path, ask the networks.

    Raises:
        RequestError: the picture, quality or path cannot be.
    """
    subject = encode(codec, image, name, quality)
    reconstructions = views(codec, subject, [(path, 1.0) for path in served_paths(codec, paths)])
    shown = [image, *(view.image for view in reconstructions)]
    answers = [classifier.top(row) for row in classifier.probabilities(shown)] if classifier else []
    return PathsData(
        subject,
        reconstructions,
        telling_window(image, shown[1:]),
        answers,
        segmenter.look(shown) if segmenter else None,
    )


def draw(data: PathsData) -> Sheet:
    """Return the figure."""
    subject = data.subject
    count = len(data.views) + 1
    width = column_width(count)
    whole = height_of(subject.image, width)
    masks_top = TOP + HEADING + whole + GAP + height_of(data.window.cut(subject.image), width)
    legend_top = masks_top + _ROW_TITLE + mask_height(subject.image, width) if data.masks else masks_top
    answers_top = legend_top + legend_height(data.masks) if data.masks else legend_top
    bottom = answers_top + _ROW_TITLE + answers_height(5) if data.answers else answers_top

    names = [view.path for view in data.views]
    colours = [INK, *colours_of(names)]
    images = [subject.image, *(view.image for view in data.views)]
    many = f"{_in_words(len(names))} reconstruction{'s' if len(names) > 1 else ''}"
    sheet = Sheet(bottom + 0.3, f"One stream of {in_bytes(len(subject.stream))}, {many}", subject.subtitle())
    figures = ["24 bpp", *(f"{subject.bpp:.3f} bpp   {view.psnr_db:.2f} dB" for view in data.views)]
    columns = zip(images, ["original", *names], figures, colours, strict=True)
    for number, (image, name, text, colour) in enumerate(columns):
        spot = column(number, count, TOP)
        draw_heading(sheet, spot, name, text, colour)
        draw_picture(sheet, spot.down(HEADING), image, data.window)
        draw_detail(sheet, spot.down(HEADING + whole + GAP), image, data.window)
        if data.masks:
            draw_mask(sheet, spot._replace(top=masks_top + _ROW_TITLE), image, data.masks, number)
        if data.answers:
            place = spot._replace(top=answers_top + _ROW_TITLE)
            expected = data.answers[0][0].class_index
            draw_answers(sheet, place, data.answers[number], expected, colour if number else QUIET)
    if data.masks:
        draw_row_title(sheet, masks_top, "what the segmenter sees, and how many pixels it labels as on the original")
        draw_legend(sheet, data.masks, legend_top)
    if data.answers:
        draw_row_title(sheet, answers_top, "the classifier's likeliest classes; in colour: its answer on the original")
    return sheet


def facts(data: PathsData) -> dict[str, Any]:
    """Return the figures behind the figure."""
    columns: list[dict[str, Any]] = [{"path": "original", "psnr_db": None}]
    columns += [{"path": view.path, "psnr_db": view.psnr_db} for view in data.views]
    for number, entry in enumerate(columns):
        if data.answers:
            entry["classes"] = [answer._asdict() for answer in data.answers[number]]
        if data.masks:
            entry["mask_agreement"] = data.masks.agreement[number]
    return {"figure": "paths", **data.subject.facts(), "detail": data.window._asdict(), "columns": columns}


def write(data: PathsData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    names = ["original", *(view.path for view in data.views)]
    arrays: dict[str, Any] = {"original": data.subject.image}
    arrays |= {view.path: view.image for view in data.views}
    if data.masks:
        arrays |= {f"{name}_mask": mask for name, mask in zip(names, data.masks.masks, strict=True)}
    draw(data).save(file)
    write_json(file, facts(data))
    write_maps(file, {name: np.asarray(array) for name, array in arrays.items()})
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]


def _in_words(count: int) -> str:
    return dict(enumerate(("no", "one", "two", "three", "four", "five", "six"))).get(count, str(count))
