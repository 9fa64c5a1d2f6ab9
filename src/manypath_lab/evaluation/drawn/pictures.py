"""The drawn pictures themselves: the same on every machine, each with the part that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from manypath_lab.evaluation.pictures import Picture, Pixels

SIDE = 256
TIMESTAMP = "2026-03-14 07:31:58"
LINES = (
    "The quick brown fox jumps over the lazy dog 0123456789",
    "Packing mosquitoes, five dozen liquor jugs; boxing wizards",
    "Invoice 4711/08    3 pieces    128.40    (net 7 days)",
)
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16.0
FLAT = (
    (224, 112, 16),
    (184, 148, 210),
    (40, 200, 214),
    (208, 36, 36),
    (24, 92, 40),
    (128, 128, 128),
    (12, 12, 16),
    (250, 248, 240),
)
"""Orange, lilac, cyan, red, dark green, grey, near black and paper: colours that blotches show on first."""

Region = tuple[slice, slice]
EVERYWHERE: Region = (slice(None), slice(None))


class DrawnPicture(NamedTuple):
    """A picture and what is looked at.

    Attributes:
        name: short name.
        pixels: uint8 [H, W, 3].
        region: rows and columns that are measured; both have a multiple of 8 pixels where ``flat``.
        flat: without edges, so that blotches and grids can be told from the picture.
    """

    name: str
    pixels: Pixels
    region: Region = EVERYWHERE
    flat: bool = False


def drawn_pictures(photos: Sequence[Picture] = ()) -> list[DrawnPicture]:
    """Return the sheet's pictures: nine that are drawn, then two of each photo.

    Args:
        photos: of at least 160x64 pixels; each is shown with a timestamp, of which only its box is measured, and
            as at night.
    """
    fixed = [
        DrawnPicture("checkerboard of one pixel", _two_colours(_checkerboard())),
        DrawnPicture("ordered dither", _two_colours(_ramp() > np.tile(BAYER, (SIDE // 4, SIDE // 4)))),
        DrawnPicture("red text on blue", _page((0, 0, 255), (255, 0, 0), 10)),
        DrawnPicture("black text on white", _page((255, 255, 255), (0, 0, 0), 13)),
        DrawnPicture("white text on black", _page((0, 0, 0), (255, 255, 255), 13)),
        DrawnPicture("ramp of greys", _blend((0, 0, 0), (255, 255, 255)), flat=True),
        DrawnPicture("sky", _blend((58, 110, 196), (196, 220, 246)), flat=True),
        DrawnPicture("dusk", _blend((20, 14, 38), (232, 118, 48)), flat=True),
        DrawnPicture("flat colours", _patches(), flat=True),
    ]
    return [*fixed, *(variant for photo in photos for variant in (_timestamped(photo), _at_night(photo)))]


def _two_colours(light: npt.NDArray[np.bool_]) -> Pixels:
    return np.where(light[..., None], 255, 0).astype(np.uint8).repeat(3, -1)


def _checkerboard() -> npt.NDArray[np.bool_]:
    rows, columns = np.indices((SIDE, SIDE))
    return np.asarray((rows + columns) % 2 == 0)


def _ramp() -> npt.NDArray[np.float64]:
    """Return [SIDE, SIDE], rising from 0 to 1 from left to right, a little tilted."""
    rows, columns = np.indices((SIDE, SIDE)) / (SIDE - 1)
    return np.asarray((columns + 0.25 * rows) / 1.25)


def _blend(first: Sequence[int], last: Sequence[int]) -> Pixels:
    start, end = np.array(first, dtype=np.float64), np.array(last, dtype=np.float64)
    return np.asarray(np.rint(start + (end - start) * _ramp()[..., None]), dtype=np.uint8)


def _patches() -> Pixels:
    across = SIDE // 4
    rows = [np.concatenate([_patch(colour, across) for colour in FLAT[top : top + 4]], 1) for top in (0, 4)]
    return np.concatenate(rows, 0)


def _patch(colour: Sequence[int], width: int) -> Pixels:
    return np.tile(np.array(colour, dtype=np.uint8), (SIDE // 2, width, 1))


def _page(paper: tuple[int, int, int], ink: tuple[int, int, int], height: int) -> Pixels:
    canvas = Image.new("RGB", (SIDE, SIDE), paper)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(height)
    for line, top in enumerate(range(4, SIDE - height, round(height * 1.6))):
        draw.text((4, top), LINES[line % len(LINES)], fill=ink, font=font)
    return np.asarray(canvas)


def _timestamped(photo: Picture) -> DrawnPicture:
    """Return a photo with a white line in its lower left corner, as a recorder writes it."""
    canvas = Image.fromarray(photo.pixels)
    size = max(10, canvas.height // 24)
    place = (8, canvas.height - size - 12)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(canvas)
    draw.text(place, TIMESTAMP, fill=(255, 255, 255), font=font)
    left, top, right, bottom = (int(edge) for edge in draw.textbbox(place, TIMESTAMP, font=font))
    return DrawnPicture(f"timestamp on {photo.name}", np.asarray(canvas), (slice(top, bottom), slice(left, right)))


def _at_night(photo: Picture) -> DrawnPicture:
    """Return a photo with a sixth of its light, a steeper curve and a sensor's noise of a fixed seed."""
    light = (photo.pixels / 255.0) ** 1.6 / 6.0
    noise = np.random.default_rng(7).normal(0.0, 0.008, light.shape) * np.sqrt(light + 0.02)
    return DrawnPicture(f"{photo.name} at night", np.rint(np.clip(light + noise, 0, 1) * 255.0).astype(np.uint8))
