"""``figure people``: details as a person would compare them, of the main path, the path for people and a baseline."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from manypath.errors import RequestError
from manypath.paths import FOR_PEOPLE
from manypath_lab.evaluation.codecs.codec import Baseline
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_lab.figures.sheet import (
    INK,
    MARGIN,
    QUIET,
    SMALL,
    TOP,
    WIDTH,
    Sheet,
    Spot,
    path_colour,
    write_json,
    write_maps,
)
from manypath_lab.figures.subject import Window, best_within, encode, telling_window, views

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels

MIN_SIDE, MAX_SIDE = 32, 512  # pixels of a detail
_ORIGINAL = "original"
_BLOCKS = 2  # pictures side by side
_GAP, _BLOCK_GAP = 0.06, 0.3  # inches between columns, and between blocks
_HEADS = 0.35  # inches above the first row
_WORDS = 0.3  # inches below each row


class Shown(NamedTuple):
    """One picture's detail.

    Attributes:
        name: of the picture.
        window: the detail.
        bytes: of our stream of the whole picture.
        bpp: the same, bits per pixel.
        baseline_bytes: of the baseline's whole file; 0 where none is so small.
        baseline_quality: its setting; 0 where there is none.
        details: uint8 [side, side, 3], by column; a baseline that cannot be so small has none.
        psnr_db: of the whole picture, by column, without the original.
    """

    name: str
    window: Window
    bytes: int
    bpp: float
    baseline_bytes: int
    baseline_quality: int
    details: dict[str, Pixels]
    psnr_db: dict[str, float]


class PeopleData(NamedTuple):
    """What the figure shows.

    Attributes:
        model: its name.
        model_digest: of its shared part.
        quality: of all streams.
        columns: names, from the left.
        shown: pictures, from the top left.
    """

    model: str
    model_digest: str
    quality: float
    columns: tuple[str, ...]
    shown: list[Shown]


def compute(
    codec: Codec, pictures: Iterable[tuple[str, Pixels]], *, quality: float, side: int, baseline: Baseline
) -> PeopleData:
    """Encode each picture once, decode by both paths for people, and code with the baseline at no more bytes.

    Args:
        codec: ours.
        pictures: their names and pixels.
        quality: of our streams.
        side: of a detail, pixels.
        baseline: the competitor.

    Raises:
        RequestError: a picture, the quality or the side cannot be.
    """
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise RequestError(f"--side must be {MIN_SIDE} to {MAX_SIDE} pixels, got {side}")
    columns = (_ORIGINAL, *reversed(FOR_PEOPLE), baseline.label)
    shown = []
    for name, image in pictures:
        subject = encode(codec, image, name, quality)
        ours = views(codec, subject, [(path, 1.0) for path in FOR_PEOPLE])
        made = {_ORIGINAL: image, **{view.path: view.image for view in ours}}
        window = telling_window(image, [made[path] for path in FOR_PEOPLE], square=side)
        rival = best_within(baseline, image, len(subject.stream))
        if rival is not None:
            made[baseline.label] = baseline.decode(rival[0])
        shown.append(
            Shown(
                name,
                window,
                len(subject.stream),
                subject.bpp,
                *((len(rival[0]), rival[1]) if rival else (0, 0)),
                {column: window.cut(pixels) for column, pixels in made.items()},
                {column: psnr(image, pixels) for column, pixels in made.items() if column != _ORIGINAL},
            )
        )
    if not shown:
        raise RequestError("there is no picture to show; give a folder with some")
    return PeopleData(codec.name, codec.model_digest, quality, columns, shown)


def draw(data: PeopleData) -> Sheet:
    """Return the figure: two pictures a row, four columns each."""
    block = (WIDTH - 2 * MARGIN - _BLOCK_GAP * (_BLOCKS - 1)) / _BLOCKS
    width = (block - _GAP * (len(data.columns) - 1)) / len(data.columns)
    rows = -(-len(data.shown) // _BLOCKS)
    sheet = Sheet(
        TOP + _HEADS + rows * (width + _WORDS) + 0.1,
        f"What people see of the same bytes: {data.columns[-1]} has no more than we have",
        f"model {data.model} ({data.model_digest}), quality {data.quality:g}; details where our two paths differ most",
    )
    for number in range(min(_BLOCKS, len(data.shown))):
        for spot, column in _columns(data.columns, MARGIN + number * (block + _BLOCK_GAP), TOP, width):
            colour = path_colour(column) if column in FOR_PEOPLE else INK
            sheet.text(spot.left, spot.top + 0.12, column, size=SMALL, color=colour, weight="bold", va="center")
    for number, one in enumerate(data.shown):
        left = MARGIN + number % _BLOCKS * (block + _BLOCK_GAP)
        top = TOP + _HEADS + number // _BLOCKS * (width + _WORDS)
        for spot, column in _columns(data.columns, left, top, width):
            if column in one.details:
                sheet.picture(spot, one.details[column], interpolation="lanczos")
            else:
                middle = (spot.left + width / 2, top + width / 2)
                sheet.text(*middle, "has no file\nso small", size=SMALL - 2, color=QUIET, ha="center", va="center")
        words = f"{one.name[:40]}   {one.bpp:.3f} bpp"
        sheet.text(left, top + width + 0.13, words, size=SMALL - 2, color=QUIET, va="center")
    return sheet


def _columns(names: Sequence[str], left: float, top: float, width: float) -> list[tuple[Spot, str]]:
    return [(Spot(left + number * (width + _GAP), top, width), name) for number, name in enumerate(names)]


def facts(data: PeopleData) -> dict[str, Any]:
    """Return the figures behind the figure."""
    pictures = [
        {key: value for key, value in one._asdict().items() if key != "details"} | {"window": one.window._asdict()}
        for one in data.shown
    ]
    shared = {"model": data.model, "model_digest": data.model_digest, "quality": data.quality}
    return {"figure": "people", **shared, "columns": data.columns, "pictures": pictures}


def write(data: PeopleData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    write_maps(file, {f"{one.name}_{column}": pixels for one in data.shown for column, pixels in one.details.items()})
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]
