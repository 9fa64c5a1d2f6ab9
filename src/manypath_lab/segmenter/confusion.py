"""How good masks are: intersection over union per class, summed over all pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from manypath.errors import ImageError


class Confusion:
    """Counts of (true class, answered class) over any number of pictures.

    Attributes:
        counts: int64 [classes, classes], rows are true classes.
    """

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), dtype=np.int64)

    def add(self, truth: npt.NDArray[np.integer[Any]], answer: npt.NDArray[np.integer[Any]]) -> None:
        """Count one or more masks of the same shape; true labels from ``classes`` on are left out.

        Raises:
            ImageError: the shapes differ, or an answer is no class.
        """
        classes = len(self.counts)
        if truth.shape != answer.shape:
            raise ImageError(f"the masks must have one shape; got {truth.shape} and {answer.shape}")
        known = truth < classes
        rows, columns = truth[known].astype(np.int64), answer[known].astype(np.int64)
        if columns.size and (columns.min() < 0 or columns.max() >= classes):
            raise ImageError(f"answers must be in 0..{classes - 1}; got {columns.min()} to {columns.max()}")
        self.counts += np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)

    def iou(self) -> npt.NDArray[np.float64]:
        """Return the intersection over union per class, float64 [classes]; NaN for one that never occurs."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - np.diag(self.counts)
        return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)

    def mean_iou(self) -> float:
        """Return the mean over the classes that occur."""
        return float(np.nanmean(self.iou()))

    def accuracy(self) -> float:
        """Return the share of labelled pixels that are right."""
        return float(np.trace(self.counts) / max(1, self.counts.sum()))
