"""The sheet that every figure is drawn on: inches from the top left, one set of sizes and colours.

A sheet is 12 inches wide and 1920 pixels: a slide's width, and legible at half of it, as a README shows it.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from manypath.paths import DecodePath

WIDTH = 12.0  # inches
MARGIN = 0.35  # inches, left and right of everything
TOP = 1.2  # inches that title and subtitle take
DPI = 160

TITLE, BODY, SMALL = 20.0, 13.0, 11.5  # points; 11.5 are 11 pixels in a README 830 pixels wide
INK, QUIET, RULE = "#222222", "#555555", "#dddddd"

# Colours that colour-blind people can tell apart and that no baseline has in the evaluation's charts; perceptual's is
# what those use for a single curve of ours.
_PATH_COLOURS = {
    DecodePath.PERCEPTUAL.value: "#D55E00",
    DecodePath.MSE.value: "#5D3A9B",
    DecodePath.CLASSIFICATION.value: "#009E73",
    DecodePath.SEGMENTATION.value: "#882255",
    DecodePath.DETECTION.value: "#999933",
}
_OWN_COLOURS = ("#000000", "#8C6D1F", "#44708A")

Map = npt.NDArray[np.float32]


class Spot(NamedTuple):
    """Where something is drawn: its left and top edge and its width, inches from the sheet's top left."""

    left: float
    top: float
    width: float

    def down(self, inches: float) -> Spot:
        """Return the spot that lies so much lower."""
        return self._replace(top=self.top + inches)


class Sheet:
    """A white page with a title and a subtitle.

    Args:
        height: inches, all of it.
        title: what the figure shows; one line.
        subtitle: of which picture, at which setting; one line.
    """

    def __init__(self, height: float, title: str, subtitle: str) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
        self.text(MARGIN, 0.5, title, size=TITLE, weight="bold", va="center")
        self.text(MARGIN, 0.9, subtitle, size=BODY, color=QUIET, va="center")

    def axes(self, spot: Spot, height: float) -> Axes:
        """Return axes in a box."""
        box = (
            spot.left / WIDTH,
            1.0 - (spot.top + height) / self.height,
            spot.width / WIDTH,
            height / self.height,
        )
        return self.figure.add_axes(box)

    def picture(self, spot: Spot, pixels: npt.NDArray[Any], **options: Any) -> Axes:
        """Show pixels [H, W, ...] without ticks, as high as their shape asks for."""
        axes = self.axes(spot, height_of(pixels, spot.width))
        options.setdefault("interpolation", "antialiased")
        axes.imshow(pixels, aspect="auto", **options)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def chart(self, spot: Spot, height: float) -> Axes:
        """Return axes for curves: quiet frame, horizontal rules."""
        axes = self.axes(spot, height)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(QUIET)
        axes.grid(axis="y", color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=SMALL, colors=INK)
        return axes

    def text(self, left: float, top: float, text: str, *, size: float = BODY, color: str = INK, **options: Any) -> None:
        """Write text at a point."""
        options.setdefault("va", "top")
        self.figure.text(left / WIDTH, 1.0 - top / self.height, text, fontsize=size, color=color, **options)

    def colour_bar(self, spot: Spot, scale: ScalarMappable, words: tuple[str, str], **options: Any) -> Axes:
        """Draw a horizontal colour bar with a word at each end; it takes 0.55 inches below the spot's top."""
        axes = self.axes(spot, 0.16)
        self.figure.colorbar(scale, cax=axes, orientation="horizontal", **options).outline.set_linewidth(0.0)
        axes.tick_params(labelsize=SMALL, colors=INK, length=3)
        ends = ((spot.left - 0.12, "right"), (spot.left + spot.width + 0.12, "left"))
        for (x, side), word in zip(ends, words, strict=True):
            self.text(x, spot.top + 0.08, word, size=SMALL, color=QUIET, ha=side, va="center")
        return axes

    def save(self, file: pathlib.Path) -> None:
        """Write the PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(file, dpi=DPI, metadata={"Software": None})


def flow(widths: Sequence[float], gap: float = 0.25) -> tuple[list[tuple[float, int]], int]:
    """Set words in lines: return each one's (left edge in inches, line), and how many lines there are."""
    places, left, line = [], MARGIN, 0
    for width in widths:
        if left + width > WIDTH - MARGIN and left > MARGIN:
            left, line = MARGIN, line + 1
        places.append((left, line))
        left += width + gap
    return places, line + 1


def height_of(pixels: npt.NDArray[Any], width: float) -> float:
    """Return how high a picture [H, W, ...] is that is ``width`` wide."""
    return width * pixels.shape[0] / pixels.shape[1]


def path_colour(name: str, number: int = 0) -> str:
    """Return a path's colour, the same in every figure; a model's own side of that ``number`` takes what is left."""
    return _PATH_COLOURS.get(name, _OWN_COLOURS[number % len(_OWN_COLOURS)])


def beside(file: pathlib.Path, suffix: str) -> pathlib.Path:
    """Return the file of data that lies beside a PNG."""
    return file.with_suffix(suffix)


def write_json(file: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Write the figures behind a PNG as JSON beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside(file, ".json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_maps(file: pathlib.Path, maps: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write the arrays behind a PNG as NPZ beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(beside(file, ".npz"), **maps)
