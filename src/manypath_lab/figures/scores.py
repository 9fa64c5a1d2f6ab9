"""``figure scores``: what each stage's predictor finds important, in the encoder and on each of the decoder's paths.

As in the paper's figures: the encoder's maps are shown as they are, bright where a stage prefers the high-quality path;
the decoder's are inverted, bright where a stage prefers the side path.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from manypath.errors import PathError
from manypath_lab.figures.columns import GAP, colours_of
from manypath_lab.figures.sheet import (
    BODY,
    INK,
    MARGIN,
    QUIET,
    SMALL,
    TOP,
    WIDTH,
    Map,
    Sheet,
    Spot,
    height_of,
    write_json,
    write_maps,
)
from manypath_lab.figures.subject import Subject, View, encode, side_paths, views

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels

_WORDS = 1.75  # inches left of the maps, for what a row is
_HEADS = 0.4  # inches above the maps
_BAR = 0.75  # inches below them


class ScoresData(NamedTuple):
    """What the figure shows.

    Attributes:
        subject: the picture and its stream.
        encoder: one map a stage, float32 [ceil(H/8), ceil(W/8)]: 1 prefers the high-quality path.
        decoder: per side path its reconstruction, whose scores say 1 where a stage prefers the main path.
    """

    subject: Subject
    encoder: tuple[Map, ...]
    decoder: list[View]

    @property
    def shown(self) -> list[tuple[str, tuple[Map, ...]]]:
        """The maps as they are drawn: the encoder's as they are, the decoder's inverted."""
        inverted = [(view.path, tuple(1.0 - scores for scores in view.scores)) for view in self.decoder]
        return [("encoder", self.encoder), *inverted]


def compute(
    codec: Codec, image: Pixels, name: str, *, quality: float, paths: Sequence[str] = (), task_share: float = 0.5
) -> ScoresData:
    """Encode and decode a picture, and keep what the predictors say.

    Raises:
        RequestError: the picture, quality or share cannot be.
        PathError: a path has no predictors: the main one, or one that the model does not have.
    """
    sides = side_paths(codec, paths)
    if paths and not sides:
        raise PathError(f"the main path has no scores: all of it is main; model {codec.name} has {_listed(codec)}")
    subject = encode(codec, image, name, quality)
    decoder = views(codec, subject, [(path, task_share) for path in sides], scores=True) if sides else []
    return ScoresData(subject, codec.encode_scores(image, quality), decoder)


def draw(data: ScoresData) -> Sheet:
    """Return the figure: a row for the encoder and one per side path, a column per stage."""
    subject, rows = data.subject, data.shown
    stages = max(len(maps) for _, maps in rows)
    width = (WIDTH - 2 * MARGIN - _WORDS - GAP * stages) / (stages + 1)
    whole = height_of(subject.image, width)
    bottom = TOP + _HEADS + len(rows) * (whole + GAP)
    sheet = Sheet(bottom + _BAR, "What each stage finds important", subject.subtitle(*_share(data)))
    images = [subject.image, *(view.image for view in data.decoder)]
    colours = [INK, *colours_of([view.path for view in data.decoder])]
    lefts = [MARGIN + _WORDS + number * (width + GAP) for number in range(stages + 1)]
    for left, head in zip(lefts, ("picture", *(f"stage {number + 1}" for number in range(stages))), strict=True):
        sheet.text(left, TOP + 0.2, head, size=BODY, va="center", color=QUIET)
    norm = Normalize(0.0, 1.0)
    for row, ((name, maps), image, colour) in enumerate(zip(rows, images, colours, strict=True)):
        top = TOP + _HEADS + row * (whole + GAP)
        _draw_words(sheet, top, name, colour)
        sheet.picture(Spot(lefts[0], top, width), image)
        for left, scores in zip(lefts[1:], maps, strict=False):
            # The maps cover whole tokens; the picture may end inside the last one, by less than a token.
            axes = sheet.axes(Spot(left, top, width), whole)
            axes.imshow(scores, cmap="gray", norm=norm, interpolation="nearest", aspect="auto")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(color=QUIET, linewidth=0.6)
    words = ("score", "1: wants the path that its row calls bright")
    sheet.colour_bar(Spot(lefts[1], bottom + 0.08, width), ScalarMappable(norm, "gray"), words, ticks=[0, 0.5, 1])
    return sheet


def _draw_words(sheet: Sheet, top: float, name: str, colour: str) -> None:
    sheet.text(MARGIN, top + 0.02, name, size=BODY, weight="bold", color=colour)
    words = "bright wants the\nhigh-quality path,\ndark the cheap one"
    if name != "encoder":
        words = "decoder: bright\nwants this path,\ndark the main one"
    sheet.text(MARGIN, top + 0.3, words, size=SMALL, color=QUIET, linespacing=1.35)


def _share(data: ScoresData) -> tuple[str, ...]:
    return (f"{100 * data.decoder[0].task_share:.0f} % of tokens on the side path",) if data.decoder else ()


def _listed(codec: Codec) -> str:
    return ", ".join(side_paths(codec)) or "no side path"


def facts(data: ScoresData) -> dict[str, Any]:
    """Return the figures behind the figure; the maps themselves are in the NPZ."""
    rows = [
        {
            "row": name,
            "task_share": None if name == "encoder" else data.decoder[0].task_share,
            "mean_shown": [float(one.mean()) for one in maps],
            "deviation_shown": [float(one.std()) for one in maps],
        }
        for name, maps in data.shown
    ]
    return {"figure": "scores", **data.subject.facts(), "rows": rows}


def write(data: ScoresData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data (the maps as drawn: the decoder's inverted); return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    write_maps(file, {f"{name}_stage{n + 1}": one for name, maps in data.shown for n, one in enumerate(maps)})
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]
