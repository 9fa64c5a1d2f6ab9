"""The drawn pictures' errors as CSV and as a page of Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from manypath_lab.evaluation.drawn.errors import Errors

NOTE = (
    "PSNR in dB of 8-bit RGB, of a timestamp inside its box only. In brackets, on flat pictures and in grey levels: "
    "blotches (root mean square of the error's means over 8x8 pixels) and grid (the part of the error that repeats "
    "every 8 pixels). Every other codec's file is its best that is no larger than ours; `>` marks one that cannot be "
    "so small, at its smallest."
)


class Row(NamedTuple):
    """One reconstruction of one picture.

    Attributes:
        picture: name of the drawn picture.
        quality: ours, which set the bytes.
        codec: who made it.
        bytes: of its file.
        fits: whether the file is no larger than ours.
        errors: against the original.
    """

    picture: str
    quality: float
    codec: str
    bytes: int
    fits: bool
    errors: Errors


def to_csv(rows: Sequence[Row]) -> str:
    """Return one line a reconstruction."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["picture", "quality", "codec", "bytes", "fits", *Errors._fields])
    for row in rows:
        figures = [f"{figure:.4f}" for figure in row.errors]
        writer.writerow([row.picture, f"{row.quality:g}", row.codec, row.bytes, int(row.fits), *figures])
    return buffer.getvalue()


def to_markdown(rows: Sequence[Row], model: str) -> str:
    """Return a table per quality: pictures down, codecs across."""
    codecs = list(dict.fromkeys(row.codec for row in rows))
    lines = [f"# Drawn pictures, {model}", "", NOTE]
    for quality in sorted({row.quality for row in rows}):
        lines += ["", f"## Quality {quality:g}", "", "| picture | bytes | " + " | ".join(codecs) + " |"]
        lines.append("|---|---|" + "---|" * len(codecs))
        found = {(row.picture, row.codec): row for row in rows if row.quality == quality}
        for picture in dict.fromkeys(row.picture for row in rows):
            own = found[picture, codecs[0]]
            cells = " | ".join(_cell(found[picture, codec]) for codec in codecs)
            lines.append(f"| {picture} | {own.bytes} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(row: Row) -> str:
    size = "" if row.fits else f"> {row.bytes} bytes: "
    flat = f" ({row.errors.blotches:.2f}, {row.errors.grid:.2f})" if row.errors.blotches == row.errors.blotches else ""
    return f"{size}{row.errors.psnr:.1f}{flat}"
