"""Curves: a line's figures over its rate, averaged over pictures."""

from __future__ import annotations

from typing import NamedTuple

from manypath_lab.evaluation.codecs.codec import Line
from manypath_lab.evaluation.run import Run
from manypath_lab.evaluation.score import Score


class Point(NamedTuple):
    """One setting of a codec, averaged over the pictures.

    Attributes:
        quality: the codec's own setting.
        bpp: mean over pictures of real bits per unpadded pixel.
        value: the figure.
    """

    quality: float
    bpp: float
    value: float


class Curve(NamedTuple):
    """One measure of one line, in rising order of rate.

    Attributes:
        line: whose it is.
        points: one per setting.
        published: quoted from elsewhere, not measured in this run.
    """

    line: Line
    points: tuple[Point, ...]
    published: bool = False


def measured(run: Run, score: Score) -> list[Curve]:
    """Return a curve per line of a run."""
    return [
        Curve(
            track.line,
            tuple(
                Point(quality, float(bpp), float(value))
                for quality, bpp, value in zip(
                    track.qualities, track.bpp.mean(0), score.of_line(number)[0], strict=True
                )
            ),
        )
        for number, track in enumerate(run.tracks)
    ]
