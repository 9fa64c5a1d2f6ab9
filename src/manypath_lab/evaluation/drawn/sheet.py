"""The drawn pictures side by side: the original, ours, and each other codec's at the same bytes."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from manypath_lab.evaluation.drawn.pictures import DrawnPicture
from manypath_lab.evaluation.pictures import Pixels

CROP = 128  # pixels of the picture, shown twice as large
SCALE = 2
GAP, CAPTION = 8, 20  # pixels


class Strip(NamedTuple):
    """One row of the sheet.

    Attributes:
        drawn: the picture.
        images: (caption, uint8 [H, W, 3]) of each column, the original first.
    """

    drawn: DrawnPicture
    images: Sequence[tuple[str, Pixels]]


def save_sheet(strips: Sequence[Strip], title: str, file: pathlib.Path) -> None:
    """Write a PNG with a row per picture, each pixel shown as four, nothing interpolated."""
    cell = CROP * SCALE
    columns = max(len(strip.images) for strip in strips)
    width = columns * (cell + GAP) + GAP
    canvas = Image.new("RGB", (width, 2 * CAPTION + len(strips) * (cell + CAPTION + GAP)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    draw.text((GAP, GAP), title, fill="black", font=font)
    for number, strip in enumerate(strips):
        top = 2 * CAPTION + number * (cell + CAPTION + GAP)
        for column, (caption, image) in enumerate(strip.images):
            left = GAP + column * (cell + GAP)
            draw.text((left, top), caption, fill="black", font=font)
            enlarged = Image.fromarray(_crop(strip.drawn, image))
            canvas.paste(enlarged.resize((cell, cell), Image.Resampling.NEAREST), (left, top + CAPTION))
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(file, optimize=True)


def _crop(drawn: DrawnPicture, image: Pixels) -> Pixels:
    """Return a square around the middle of what is measured."""
    middles = []
    for part, side in zip(drawn.region, image.shape[:2], strict=True):
        start, stop, _ = part.indices(side)
        middles.append(min(max((start + stop - CROP) // 2, 0), max(side - CROP, 0)))
    top, left = middles
    square = image[top : top + CROP, left : left + CROP]
    missing = [(0, CROP - side) for side in square.shape[:2]]
    return np.pad(square, [*missing, (0, 0)], constant_values=255)
