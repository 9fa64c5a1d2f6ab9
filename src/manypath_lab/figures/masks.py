"""What the frozen segmenter says of pictures, and how that is drawn over them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.patches import Rectangle

from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.figures.sheet import BODY, INK, SMALL, Sheet, Spot, flow, height_of

AGREEMENT = 0.34  # inches below a mask, for a line of text
_LEGEND_LINE = 0.3  # inches
_OVERLAY = 0.6  # share of a class' colour


class Masks(NamedTuple):
    """The segmenter's masks of several pictures, the original's first.

    Attributes:
        masks: per picture uint8 [H, W], class indices.
        classes: names by index.
        palette: uint8 [classes, 3], RGB.
    """

    masks: list[npt.NDArray[np.uint8]]
    classes: tuple[str, ...]
    palette: npt.NDArray[np.uint8]

    @property
    def agreement(self) -> list[float]:
        """Per picture, the share of pixels that have the class that they have on the first."""
        return [float(np.mean(mask == self.masks[0])) for mask in self.masks]

    @property
    def present(self) -> list[int]:
        """Classes that cover at least 1 % of any mask, the largest on the first picture first."""
        counts = np.stack([np.bincount(mask.ravel(), minlength=len(self.classes)) for mask in self.masks])
        seen = np.flatnonzero((counts / self.masks[0].size).max(0) >= 0.01)
        return sorted((int(index) for index in seen), key=lambda index: -int(counts[0, index]))


class Segmenter:
    """The network, loaded once.

    Args:
        file: its weights; the project's own by default.
    """

    def __init__(self, file: pathlib.Path | None = None) -> None:
        from manypath_lab.segmenter.weights import CLASSES, PALETTE, load_segmenter

        self.network = load_segmenter(file).eval().requires_grad_(False)
        self.classes = tuple(str(name) for name in CLASSES)
        self.palette = np.asarray(PALETTE, dtype=np.uint8)[: len(self.classes), :3]

    @torch.inference_mode()
    def look(self, images: Sequence[Pixels]) -> Masks:
        """Return the masks of uint8 [H, W, 3] pictures of one size."""
        masks = []
        for image in images:
            x = torch.tensor(image).permute(2, 0, 1)[None].float() / 255.0  # [1, 3, H, W]
            masks.append(self.network(x)[0].argmax(0).to(torch.uint8).numpy())
        return Masks(masks, self.classes, self.palette)


def overlay(image: Pixels, mask: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> Pixels:
    """Return the picture in grey, coloured by class, with white borders between classes for who sees few colours."""
    grey = image.astype(np.float32).mean(-1, keepdims=True)
    blend: Pixels = np.round((1 - _OVERLAY) * grey + _OVERLAY * palette[mask]).astype(np.uint8)
    blend[:, 1:][mask[:, 1:] != mask[:, :-1]] = 255
    blend[1:][mask[1:] != mask[:-1]] = 255
    return blend


def mask_height(image: Pixels, width: float) -> float:
    """Return how high a mask with its line of text is, inches."""
    return height_of(image, width) + AGREEMENT


def draw_mask(sheet: Sheet, spot: Spot, image: Pixels, masks: Masks, number: int) -> None:
    """Draw one picture's mask over it, and how far it agrees with the first."""
    sheet.picture(spot, overlay(image, masks.masks[number], masks.palette))
    text = f"{100 * masks.agreement[number]:.1f} % the same" if number else "the original's mask"
    sheet.text(spot.left, spot.top + height_of(image, spot.width) + 0.2, text, size=SMALL, va="center")


def legend_height(masks: Masks) -> float:
    """Return how high the legend is, inches."""
    return _LEGEND_LINE * _legend_places(masks)[1] + 0.1


def draw_legend(sheet: Sheet, masks: Masks, top: float) -> None:
    """Name the colours of the classes that are there."""
    for index, (left, line) in zip(masks.present, _legend_places(masks)[0], strict=True):
        middle = top + (line + 0.5) * _LEGEND_LINE
        axes = sheet.axes(Spot(left, middle - 0.08, 0.22), 0.16)
        axes.axis("off")
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=masks.palette[index] / 255.0, edgecolor=INK, linewidth=0.5))
        sheet.text(left + 0.3, middle, masks.classes[index], size=BODY - 1, va="center")


def _legend_places(masks: Masks) -> tuple[list[tuple[float, int]], int]:
    return flow([0.3 + 0.095 * len(masks.classes[index]) for index in masks.present])
