"""From answers to scores: sums over pictures that a weighting, such as a bootstrap's, may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_lab.evaluation.task_run import TaskRun

AGREEMENT_TARGETS = (2.0, 5.0, 10.0)
"""A classifier's answers change more often than its accuracy does: losses and gains cancel."""

MILLION = 1e6

Floats = npt.NDArray[np.float64]


class Score(NamedTuple):
    """A score in percent that sums over pictures decide.

    Attributes:
        name: for files.
        label: for people.
        targets: points lost at which rates are compared.
        original: float64 [P, D], what each picture's original adds to the sums.
        lines: float64 [P, K, D] for each line, what its reconstructions add.
        finish: sums [..., D] -> percent [...].
    """

    name: str
    label: str
    targets: tuple[float, ...]
    original: Floats
    lines: tuple[Floats, ...]
    finish: Callable[[Floats], Floats]

    def of_original(self, weights: Floats) -> Floats:
        """Return the originals' score, [R], under picture weights [R, P]."""
        return self.finish(weights @ self.original)

    def of_line(self, number: int, weights: Floats) -> Floats:
        """Return a line's score at its settings, [R, K], under picture weights [R, P]."""
        added = self.lines[number]
        return self.finish(np.tensordot(weights, added, (1, 0)))

    def loss(self, number: int, weights: Floats) -> Floats:
        """Return how many points a line loses against the originals, [R, K]."""
        return self.of_original(weights)[:, None] - self.of_line(number, weights)


def share(sums: Floats) -> Floats:
    """Return percent of [..., (hits, tries)]."""
    out: Floats = 100.0 * sums[..., 0] / sums[..., 1]
    return out


def mean_iou(sums: Floats) -> Floats:
    """Return the mean intersection over union, percent, of confusion counts [..., n * n], truth by answer.

    Classes that neither the truth nor an answer holds are left out.
    """
    classes = round(sums.shape[-1] ** 0.5)
    counts = sums.reshape(*sums.shape[:-1], classes, classes)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    union = counts.sum(-1) + counts.sum(-2) - hits
    known = union > 0
    ratio = np.divide(hits, union, out=np.zeros_like(hits), where=known)
    out: Floats = 100.0 * ratio.sum(-1) / np.maximum(known.sum(-1), 1)
    return out


def classification_scores(run: TaskRun, judge: int, targets: tuple[float, ...]) -> list[Score]:
    """Return top-1 against the labels, and agreement with the answer on the original."""
    labels = np.asarray([int(case.truth) for case in run.cases])
    own = run.originals[judge][:, 0]
    records = [answers.records[judge][..., 0] for answers in run.answers]
    return [
        Score(
            "top1",
            "top-1",
            targets,
            _hits(own == labels),
            tuple(_hits(best == labels[:, None]) for best in records),
            share,
        ),
        Score(
            "agreement",
            "same answer as on the original",
            AGREEMENT_TARGETS,
            np.ones((len(own), 2)),
            tuple(_hits(best == own[:, None]) for best in records),
            share,
        ),
    ]


def segmentation_scores(run: TaskRun, judge: int, targets: tuple[float, ...]) -> list[Score]:
    """Return mIoU against the masks, and the share of pixels answered as on the original.

    A record is the confusion counts [n * n] followed by the pixels that agree and the pixels asked.
    """
    records = [answers.records[judge].astype(np.float64) for answers in run.answers]
    own = run.originals[judge].astype(np.float64)
    return [
        Score("miou", "mIoU", targets, own[..., :-2], tuple(counts[..., :-2] for counts in records), mean_iou),
        Score(
            "agreement",
            "pixels answered as on the original",
            targets,
            own[..., -2:],
            tuple(counts[..., -2:] for counts in records),
            share,
        ),
    ]


def mean(sums: Floats) -> Floats:
    """Return the mean of [..., (sum, count)]."""
    out: Floats = sums[..., 0] / sums[..., 1]
    return out


def psnr_score(run: TaskRun) -> Score:
    """Return the mean PSNR, decibels; that of the originals is nowhere used."""
    lines = tuple(_counted(answers.psnr_db) for answers in run.answers)
    return Score("psnr", "PSNR (dB)", (), np.zeros((len(run.cases), 2)), lines, mean)


def appearance_score(run: TaskRun, judge: int) -> Score:
    """Return the mean of a judge that speaks in millionths."""
    lines = tuple(_counted(answers.records[judge][..., 0] / MILLION) for answers in run.answers)
    own = run.judges[judge]
    return Score(own.name, own.label, (), _counted(run.originals[judge][:, 0] / MILLION), lines, mean)


def _counted(values: Floats) -> Floats:
    """Return [..., (value, 1)]."""
    return np.stack([values, np.ones_like(values)], -1)


def _hits(found: npt.NDArray[np.bool_]) -> Floats:
    """Return [..., (hit, 1)]."""
    return _counted(found.astype(np.float64))
