"""Drawn pictures for training: text, edges, checkerboards, dither, what no photograph holds."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Random = np.random.Generator
Square = npt.NDArray[np.uint8]  # [side, side, 3]

GLYPHS = string.ascii_letters + string.digits + "  .,:;-/()%#@&"
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16.0


def _colour(random: Random) -> tuple[int, int, int]:
    """Return black, white, a grey, a full primary or secondary, or any colour."""
    kind = random.integers(5)
    if kind == 0:
        level = int(random.choice([0, 255]))
        return level, level, level
    if kind == 1:
        level = int(random.integers(256))
        return level, level, level
    if kind == 2:
        red, green, blue = (int(255 * bit) for bit in random.integers(0, 2, 3))
        return red, green, blue
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    return red, green, blue


def _text(random: Random) -> str:
    if random.random() < 0.3:
        year, month, day, hour, minute, second = (
            int(random.integers(low, high)) for low, high in ((1990, 2040), (1, 13), (1, 29), (0, 24), (0, 60), (0, 60))
        )
        return f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
    return "".join(random.choice(list(GLYPHS), size=int(random.integers(3, 40))))


def _font(random: Random, largest: int = 40) -> Any:
    return ImageFont.load_default(float(np.exp(random.uniform(np.log(8.0), np.log(float(largest))))))


def write_text(random: Random, square: Square, *, lines: int = 1, largest: int = 24) -> Square:
    """Return a picture with lines of text drawn in, each in a colour of its own, some with an outline."""
    canvas = Image.fromarray(square)
    draw = ImageDraw.Draw(canvas)
    side = canvas.width
    for _ in range(lines):
        place = (float(random.integers(-side // 4, side)), float(random.integers(0, side)))
        stroke = int(random.random() < 0.2)
        draw.text(
            place,
            _text(random),
            fill=_colour(random),
            font=_font(random, largest),
            stroke_width=stroke,
            stroke_fill=_colour(random),
        )
    return np.asarray(canvas)


def _flat(random: Random, side: int) -> Square:
    return np.broadcast_to(np.array(_colour(random), dtype=np.uint8), (side, side, 3)).copy()


def _page(random: Random, side: int) -> Square:
    page = np.full((side, side, 3), 255, dtype=np.uint8) if random.random() < 0.5 else _flat(random, side)
    canvas = Image.fromarray(page)
    draw = ImageDraw.Draw(canvas)
    font = _font(random, 28)
    height = float(font.size) * 1.2
    ink = (0, 0, 0) if random.random() < 0.5 else _colour(random)
    for row in range(int(side / height) + 1):
        draw.text((float(random.integers(0, 8)), row * height), _text(random) + _text(random), fill=ink, font=font)
    return np.asarray(canvas)


def _shapes(random: Random, side: int) -> Square:
    canvas = Image.fromarray(_flat(random, side))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(random.integers(3, 20))):
        left, top, right, bottom = (int(value) for value in random.integers(0, side, 4))
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        kind = random.integers(3)
        if kind == 0:
            draw.rectangle(box, fill=_colour(random))
        elif kind == 1:
            draw.ellipse(box, fill=_colour(random))
        else:
            draw.line((left, top, right, bottom), fill=_colour(random), width=int(random.integers(1, 5)))
    return np.asarray(canvas)


def _two_colours(random: Random, mask: npt.NDArray[np.bool_]) -> Square:
    dark, light = (np.array(_colour(random), dtype=np.uint8) for _ in range(2))
    return np.where(mask[..., None], light, dark)


def _checkerboard(random: Random, side: int) -> Square:
    cell = int(random.integers(1, 5))
    rows, columns = np.indices((side, side)) // cell
    return _two_colours(random, (rows + columns) % 2 == 0)


def _stripes(random: Random, side: int) -> Square:
    rows, columns = np.indices((side, side))
    period = random.uniform(2.0, 16.0)
    angle = float(random.choice([0.0, 0.5, random.random()])) * np.pi
    return _two_colours(random, ((rows * np.sin(angle) + columns * np.cos(angle)) % period) < period / 2)


def _ramp(random: Random, side: int) -> npt.NDArray[np.float64]:
    rows, columns = np.indices((side, side)) / side
    angle = random.random() * 2 * np.pi
    ramp = rows * np.sin(angle) + columns * np.cos(angle)
    return np.asarray((ramp - ramp.min()) / (ramp.max() - ramp.min()))


def _gradient(random: Random, side: int) -> Square:
    ramp = _ramp(random, side)[..., None]
    first, last = (np.array(_colour(random), dtype=np.float64) for _ in range(2))
    return np.asarray(np.rint(first + (last - first) * ramp), dtype=np.uint8)


def _dither(random: Random, side: int) -> Square:
    threshold = np.tile(BAYER, (side // 4 + 1, side // 4 + 1))[:side, :side]
    return _two_colours(random, _ramp(random, side) > threshold)


def _grid(random: Random, side: int) -> Square:
    rows, columns = np.indices((side, side))
    period, width = int(random.integers(4, 33)), int(random.integers(1, 3))
    return _two_colours(random, (rows % period < width) | (columns % period < width))


def _salt_and_pepper(random: Random, side: int) -> Square:
    return _two_colours(random, random.random((side, side)) < random.uniform(0.01, 0.5))


KINDS: tuple[Callable[[Random, int], Square], ...] = (
    _page,
    _page,
    _shapes,
    _shapes,
    _gradient,
    _checkerboard,
    _stripes,
    _dither,
    _grid,
    _salt_and_pepper,
)


def draw_picture(random: Random, side: int) -> Square:
    """Return a drawn picture, uint8 [side, side, 3]; half of them with a few lines of text on top."""
    square = KINDS[random.integers(len(KINDS))](random, side)
    if random.random() < 0.5:
        square = write_text(random, square, lines=int(random.integers(1, 4)), largest=40)
    return square
