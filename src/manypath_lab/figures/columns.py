"""A row of columns, one per picture: a coloured heading, then whatever is stacked below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.figures.answers import Answer
from manypath_lab.figures.sheet import BODY, INK, MARGIN, QUIET, RULE, SMALL, WIDTH, Sheet, Spot, path_colour
from manypath_lab.figures.subject import Window

GAP = 0.14  # inches between columns and between the pictures of one
HEADING = 0.66  # inches: a name and a line of figures
_LINE = 0.27  # inches, one of the classifier's answers
_LETTER = 0.087  # inches, a letter of SMALL on average


def column_width(count: int) -> float:
    """Return how wide each of ``count`` columns is, inches."""
    return (WIDTH - 2 * MARGIN - GAP * (count - 1)) / count


def column(number: int, count: int, top: float) -> Spot:
    """Return where column ``number`` is at a height."""
    width = column_width(count)
    return Spot(MARGIN + number * (width + GAP), top, width)


def answers_height(count: int) -> float:
    """Return how high a list of answers is, inches."""
    return _LINE * count


def draw_heading(sheet: Sheet, spot: Spot, name: str, figures: str, colour: str = INK) -> None:
    """Write a column's name and its figures."""
    sheet.text(spot.left, spot.top + 0.16, name, size=BODY + 1, color=colour, weight="bold", va="center")
    sheet.text(spot.left, spot.top + 0.43, figures, size=SMALL, color=QUIET, va="center")


def draw_picture(sheet: Sheet, spot: Spot, image: Pixels, window: Window | None = None) -> None:
    """Show a picture, with a frame around a window if given."""
    axes = sheet.picture(spot, image)
    if window is not None:
        corner = (window.left - 0.5, window.top - 0.5)
        for line, colour in ((3.0, "black"), (1.5, "white")):
            axes.add_patch(Rectangle(corner, window.width, window.height, fill=False, linewidth=line, edgecolor=colour))


def draw_detail(sheet: Sheet, spot: Spot, image: Pixels, window: Window) -> None:
    """Show the inside of a window, each pixel a square."""
    sheet.picture(spot, window.cut(image), interpolation="nearest")


def draw_answers(sheet: Sheet, spot: Spot, answers: Sequence[Answer], expected: int, colour: str) -> None:
    """List classes with bars behind them; the class ``expected`` has the column's colour."""
    axes = sheet.axes(spot, answers_height(len(answers)))
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(len(answers), 0.0)
    axes.axis("off")
    letters = int(spot.width / _LETTER) - 6
    for line, answer in enumerate(answers):
        same = answer.class_index == expected
        shade = to_rgba(colour, 0.45) if same else to_rgba(RULE)
        for width, fill in ((1.0, to_rgba("#f4f4f4")), (answer.probability, shade)):
            axes.add_patch(Rectangle((0.0, line + 0.08), width, 0.84, color=fill, linewidth=0))
        text: dict[str, Any] = {"fontsize": SMALL, "color": INK, "va": "center"}
        text["weight"] = "bold" if same else "normal"
        axes.text(0.03, line + 0.53, shortened(answer.label, letters), **text)
        axes.text(0.97, line + 0.53, in_percent(answer.probability), ha="right", **text)


def draw_row_title(sheet: Sheet, top: float, text: str) -> None:
    """Say what the row below ``top`` shows."""
    sheet.text(MARGIN, top + 0.22, text, size=SMALL, color=QUIET, va="center", style="italic")


def shortened(text: str, letters: int) -> str:
    """Return a text that is cut with an ellipsis where it is too long."""
    return text if len(text) <= letters else text[: max(1, letters - 1)].rstrip() + "…"


def in_percent(share: float) -> str:
    """Return a share as a person says it: never 0 or 100 unless it is."""
    if 0.0 < share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1.0 else f"{100 * share:.0f} %"


def in_bytes(count: int) -> str:
    """Return a size as a person says it."""
    return f"{count / 1000:.1f} kB" if count >= 1000 else f"{count} bytes"


def colours_of(paths: Sequence[str]) -> list[str]:
    """Return each path's colour; a model's own sides take theirs in turn."""
    colours, others = [], 0
    for path in paths:
        colours.append(path_colour(path, others))
        others += colours[-1] != path_colour(path, others + 1)
    return colours
