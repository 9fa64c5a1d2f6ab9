"""From records to figures: sums over pictures that a weighting, such as a bootstrap's, may change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from manypath_lab.evaluation.judges.judge import Floats, Judge, Measure
from manypath_lab.evaluation.run import Run


class Score(NamedTuple):
    """One measure of one judge over a run.

    Attributes:
        judge: who was asked.
        measure: what the sums become.
        original: float64 [P, D], what each picture's original adds.
        lines: float64 [P, K, D] for each line, what its reconstructions add.
    """

    judge: Judge
    measure: Measure
    original: Floats
    lines: tuple[Floats, ...]

    def of_original(self, weights: Floats | None = None) -> Floats:
        """Return the originals' figure, [R], under picture weights [R, P]; every picture once by default."""
        return self.measure.finish(self._weights(weights) @ self.original)

    def of_line(self, number: int, weights: Floats | None = None) -> Floats:
        """Return a line's figures at its settings, [R, K], under picture weights [R, P]."""
        return self.measure.finish(np.tensordot(self._weights(weights), self.lines[number], (1, 0)))

    def loss(self, number: int, weights: Floats | None = None) -> Floats:
        """Return how much a line loses against the originals, [R, K]."""
        return self.of_original(weights)[:, None] - self.of_line(number, weights)

    def _weights(self, weights: Floats | None) -> Floats:
        return np.ones((1, len(self.original))) if weights is None else weights


def scores(run: Run) -> list[Score]:
    """Return every measure of every judge; one that cannot be said of some picture is left out."""
    table = []
    for number, judge in enumerate(run.judges):
        for measure in judge.measures:
            original = run.originals[number][:, measure.columns]
            lines = tuple(track.records[number][..., measure.columns] for track in run.tracks)
            if np.isfinite(original).all() and all(np.isfinite(line).all() for line in lines):
                table.append(Score(judge, measure, original, lines))
    return table
