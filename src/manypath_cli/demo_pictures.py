"""The demo's pictures: every path of a photo beside the original and JPEG, with what the workers said below."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from manypath_cli.demo_camera import PATHS, Image, Look, Report
from manypath_pictures.reader import read_picture
from manypath_pictures.writer import write_png

ORIGINAL, JPEG = "original", "JPEG"
_COLUMNS = 3
_GAP, _TITLE, _LINE = 16, 58, 23  # pixels
_SHOWN_CLASSES = 5  # of a segmenter, by size


class Jpeg(NamedTuple):
    """The photo as the best JPEG (4:2:0, optimised) that takes no more bytes than our bitstream.

    Attributes:
        image: decoded, uint8 [H, W, 3].
        size: of the file, bytes.
        quality: Pillow's, 1..95.
    """

    image: Image
    size: int
    quality: int


class Panel(NamedTuple):
    """One picture of the figure.

    Attributes:
        title: which one.
        facts: bytes, bpp, PSNR.
        image: uint8 [H, W, 3].
        look: what the workers said of it.
    """

    title: str
    facts: str
    image: Image
    look: Look


def psnr(one: Image, other: Image) -> float:
    """Return the peak signal-to-noise ratio in dB over all samples."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def beside_jpeg(image: Image, most: int) -> Jpeg | None:
    """Return the best JPEG of at most that many bytes; None where even the worst takes more."""
    best: tuple[int, bytes] | None = None
    low, high = 1, 95
    while low <= high:
        quality = (low + high) // 2
        file = io.BytesIO()
        PillowImage.fromarray(image).save(file, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if len(file.getvalue()) <= most:
            best, low = (quality, file.getvalue()), quality + 1
        else:
            high = quality - 1
    if best is None:
        return None
    return Jpeg(read_picture(best[1]), len(best[1]), best[0])


def panels(image: Image, report: Report, jpeg: Jpeg | None, untouched: Mapping[str, Look]) -> list[Panel]:
    """Return what there is to see of a shot.

    Args:
        image: the photo, uint8 [H, W, 3].
        report: what the camera learnt.
        jpeg: the photo as JPEG.
        untouched: what the workers say of the photo and its JPEG.
    """
    shown = [Panel(ORIGINAL, f"{len(report.shot.file):,} bytes as it came", image, untouched[ORIGINAL])]
    for path in PATHS:
        taken = report.taken[path]
        title = f"{path}: fallback to main" if taken.route.fallback else path
        shown.append(Panel(title, facts(image, taken.image, len(report.bitstream)), taken.image, taken.look))
    if jpeg:
        told = facts(image, jpeg.image, jpeg.size)
        shown.append(Panel(f"{JPEG}, quality {jpeg.quality}", told, jpeg.image, untouched[JPEG]))
    return shown


def facts(image: Image, other: Image, size: int) -> str:
    """Return bytes, bits per pixel and PSNR as text."""
    bpp = 8 * size / (image.shape[0] * image.shape[1])
    return f"{size:,} bytes, {bpp:.3f} bpp, {psnr(image, other):.2f} dB"


def write_pictures(folder: Path, report: Report, shown: Sequence[Panel]) -> list[Path]:
    """Write the bitstream, each path's picture, and all of them side by side; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    name = report.shot.name
    stream = folder / f"{name}.mpa"
    stream.write_bytes(report.bitstream)
    files = [stream]
    for path, taken in report.taken.items():
        files.append(folder / f"{name}-{path}.png")
        files[-1].write_bytes(write_png(taken.image))
    files.append(folder / f"{name}-side-by-side.png")
    files[-1].write_bytes(write_png(np.asarray(side_by_side(shown))))
    return files


def side_by_side(shown: Sequence[Panel]) -> PillowImage.Image:
    """Return the panels as one picture, three in a row."""
    height, width = shown[0].image.shape[:2]
    lines = max(len(column) for panel in shown for column in _columns(panel))
    drawn = max(len(_drawn(panel)) for panel in shown)
    cell = _TITLE + height + drawn * (height + _GAP // 2) + lines * _LINE + 2 * _GAP
    rows = -(-len(shown) // _COLUMNS)
    columns = min(_COLUMNS, len(shown))
    canvas = PillowImage.new("RGB", (columns * (width + _GAP) + _GAP, rows * cell + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    title, small = ImageFont.load_default(24), ImageFont.load_default(18)
    for number, panel in enumerate(shown):
        left = _GAP + number % _COLUMNS * (width + _GAP)
        top = _GAP + number // _COLUMNS * cell
        draw.text((left, top), panel.title, "black", font=title)
        draw.text((left, top + 30), panel.facts, "#444444", font=small)
        top += _TITLE
        canvas.paste(PillowImage.fromarray(panel.image), (left, top))
        top += height
        for picture in _drawn(panel):
            top += _GAP // 2
            canvas.paste(PillowImage.fromarray(picture), (left, top))
            top += height
        columns_below = [column for column in _columns(panel) if column]
        for across, column in enumerate(columns_below):
            x = left + across * width // len(columns_below)
            for down, (text, colour) in enumerate(column):
                y = top + 4 + down * _LINE
                if colour:
                    draw.rectangle((x, y + 4, x + 13, y + 17), colour)
                draw.text((x + 20 * bool(colour), y), _fitting(text, width // len(columns_below)), "black", font=small)
    return canvas


def _drawn(panel: Panel) -> list[Image]:
    """Return what the workers found, drawn over the picture."""
    return [picture for picture in (panel.look.overlay, panel.look.boxed) if picture is not None]


def _columns(panel: Panel) -> list[list[tuple[str, str]]]:
    """Return what stands below a picture, classes and labels: text, and the colour of a patch before it."""
    classes = sorted((one for one in panel.look.classes if one.share), key=lambda one: -one.share)[:_SHOWN_CLASSES]
    return [
        [(f"{one.share:.1%} {one.name or one.index}", f"#{one.colour:06x}") for one in classes],
        [(f"{score:.1%} {name}", "") for name, score in panel.look.labels],
    ]


def _fitting(text: str, width: int) -> str:
    room = max(8, width // 10)  # characters, at 10 pixels each
    return text if len(text) <= room else text[: room - 1] + "…"
