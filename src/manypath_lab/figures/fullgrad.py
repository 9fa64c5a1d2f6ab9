"""``figure fullgrad``: what the classifier looks at on each reconstruction, by the library grad-cam's FullGrad."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.figures.answers import Classifier, classifier_window, prepare
from manypath_lab.figures.columns import (
    GAP,
    HEADING,
    colours_of,
    column,
    column_width,
    draw_heading,
    draw_picture,
    in_percent,
    shortened,
)
from manypath_lab.figures.saliency import full_gradient
from manypath_lab.figures.sheet import INK, TOP, WIDTH, Map, Sheet, Spot, write_json, write_maps
from manypath_lab.figures.subject import Subject, View, encode, served_paths, views

if TYPE_CHECKING:
    from manypath.codec import Codec

OVERLAY = 0.5  # share of the colours; the rest is the picture (mpa.md, section 6)
COLOURS = "jet"
_BAR = 0.75  # inches below the pictures
_LETTER = 0.087  # inches


class FullGradData(NamedTuple):
    """What the figure shows.

    Attributes:
        subject: the picture and its stream.
        views: one reconstruction per path.
        class_index: the class that the maps explain.
        label: its name.
        probabilities: of that class, on the original first, then per path.
        maps: float32 [224, 224] in 0..1, in the same order.
    """

    subject: Subject
    views: list[View]
    class_index: int
    label: str
    probabilities: list[float]
    maps: list[Map]


def compute(
    codec: Codec,
    image: Pixels,
    name: str,
    *,
    quality: float,
    classifier: Classifier,
    paths: Sequence[str] = (),
    class_index: int | None = None,
) -> FullGradData:
    """Encode once, decode by each path, ask where the classifier looks for one class.

    Args:
        codec: the model.
        image: uint8 [H, W, 3].
        name: of the picture.
        quality: 1 to 8.
        classifier: whose maps are drawn.
        paths: to show; default: all that the model serves.
        class_index: the true class, if it is known; default: the classifier's answer on the original.

    Raises:
        RequestError: the picture, quality or path cannot be.
    """
    subject = encode(codec, image, name, quality)
    reconstructions = views(codec, subject, [(path, 1.0) for path in served_paths(codec, paths)])
    shown = [image, *(view.image for view in reconstructions)]
    probabilities = classifier.probabilities(shown)
    target = int(probabilities[0].argmax()) if class_index is None else class_index
    confidence = [float(one[target]) for one in probabilities]
    maps = [full_gradient(classifier.network, prepare(one), target)[0] for one in shown]
    return FullGradData(subject, reconstructions, target, classifier.label(target), confidence, maps)


def overlay(image: Pixels, importance: Map, colours: str = COLOURS) -> Pixels:
    """Return the square that the classifier sees, with the map's colours at half weight."""
    left, top, side = classifier_window(*image.shape[:2])
    square = image[top : top + side, left : left + side].astype(np.float32)
    large = np.asarray(Image.fromarray(importance).resize((side, side), Image.Resampling.BICUBIC)).clip(0.0, 1.0)
    heat = colormaps[colours](large)[:, :, :3] * 255.0
    blend: Pixels = np.round((1 - OVERLAY) * square + OVERLAY * heat).astype(np.uint8)
    return blend


def draw(data: FullGradData, colours: str = COLOURS) -> Sheet:
    """Return the figure: pictures as the classifier sees them, and below each where it looks."""
    subject = data.subject
    count = len(data.views) + 1
    width = column_width(count)
    bottom = TOP + HEADING + 2 * width + 2 * GAP
    title = f"Where the classifier looks for “{shortened(data.label, 30)}”"
    sheet = Sheet(bottom + _BAR, title, subject.subtitle(f"{subject.bpp:.3f} bpp", "FullGrad of EfficientNet-Lite0"))
    names = ["original", *(view.path for view in data.views)]
    images = [subject.image, *(view.image for view in data.views)]
    columns = zip(names, images, data.maps, data.probabilities, [INK, *colours_of(names[1:])], strict=True)
    for number, (name, image, importance, probability, colour) in enumerate(columns):
        spot = column(number, count, TOP)
        label = shortened(data.label, int(width / _LETTER) - 7)
        draw_heading(sheet, spot, name, f"{label}: {in_percent(probability)}", colour)
        left, top, side = classifier_window(*image.shape[:2])
        draw_picture(sheet, spot.down(HEADING), image[top : top + side, left : left + side])
        draw_picture(sheet, spot.down(HEADING + width + GAP), overlay(image, importance, colours))
    scale = ScalarMappable(Normalize(0.0, 1.0), colours)
    words = ("matters least", "matters most to the answer")
    sheet.colour_bar(Spot(WIDTH / 2 - 1.9, bottom + 0.08, 3.2), scale, words, ticks=[0, 0.5, 1])
    return sheet


def facts(data: FullGradData) -> dict[str, Any]:
    """Return the figures behind the figure; the maps themselves are in the NPZ."""
    names = ["original", *(view.path for view in data.views)]
    errors = [None, *(view.psnr_db for view in data.views)]
    columns = [
        {
            "path": name,
            "psnr_db": error,
            "probability": probability,
            "correlation_with_original": float(np.corrcoef(one.ravel(), data.maps[0].ravel())[0, 1]),
        }
        for name, error, probability, one in zip(names, errors, data.probabilities, data.maps, strict=True)
    ]
    answer = {"class_index": data.class_index, "label": data.label}
    return {"figure": "fullgrad", **data.subject.facts(), **answer, "columns": columns}


def write(data: FullGradData, file: pathlib.Path, colours: str = COLOURS) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(data, colours).save(file)
    write_json(file, facts(data))
    names = ["original", *(view.path for view in data.views)]
    write_maps(file, dict(zip(names, data.maps, strict=True)))
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]
