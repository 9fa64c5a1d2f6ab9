"""What a judge is: it looks at reconstructions and leaves records, whose sums over pictures are figures.

A record is a vector of float64 that can be added up. Each measure of the judge says which part of the vector it is
made of and how the sums become a figure. So any figure can be taken anew for any weighting of the pictures, as a
bootstrap needs it, and is kept in one cache whatever the judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case

Floats = npt.NDArray[np.float64]

Record = Floats
"""What one look at one picture adds to the sums, float64 [D]; NaN where the judge cannot say."""


class Measure(NamedTuple):
    """A figure that a judge's records add up to.

    Attributes:
        name: for files.
        label: for people, with its unit.
        columns: the part of a record that it is made of.
        finish: sums [..., D] -> figure [...].
        digits: after the point, in tables.
        lower: smaller is better.
        drops: for an accuracy in percent: points lost at which rates are compared; else empty.
        decibels: the scale on which Bjontegaard's rate is taken, rising with likeness; or None.
        axis: what that scale is called, or ``label``.
    """

    name: str
    label: str
    columns: slice
    finish: Callable[[Floats], Floats]
    digits: int = 2
    lower: bool = False
    drops: tuple[float, ...] = ()
    decibels: Callable[[float], float] | None = None
    axis: str = ""


class Judge(Protocol):
    """Anything that answers on reconstructions."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def label(self) -> str:
        """Name for people."""

    @property
    def version(self) -> str:
        """Everything that decides a record: weights, preparation of the picture, layout."""

    @property
    def measures(self) -> Sequence[Measure]:
        """The figures, the most telling first."""

    def question(self, case: Case) -> str:
        """Return what of the case, beside the picture, decides the record; part of the key of kept records."""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return a record of each image, a reconstruction of the case beside it (or its original itself)."""


def mean(sums: Floats) -> Floats:
    """Return the mean of [..., (sum, count)]."""
    out: Floats = sums[..., 0] / sums[..., 1]
    return out


def share(sums: Floats) -> Floats:
    """Return percent of [..., (hits, tries)]."""
    return 100.0 * mean(sums)


def counted(value: float | None) -> Record:
    """Return (value, 1), or NaN for a picture of which a judge cannot say anything."""
    return np.asarray([np.nan if value is None else value, 1.0])
