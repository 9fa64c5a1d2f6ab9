"""How far the boxes found in one picture are those found in another: matching, F1, average precision.

No labels are needed: what a detector finds in the original is the truth for what it finds in a reconstruction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_lab.detector.boxes import Boxes

Floats = npt.NDArray[np.float64]

THRESHOLD = 0.3
"""Score above which a box counts as found, in the original and in the reconstruction."""
OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Least intersections over union of COCO's average precision: 0.5, 0.55 .. 0.95."""
SMALL = 32.0**2
"""Square pixels below which COCO calls an object small."""
_RECALLS = np.linspace(0.0, 1.0, 101) - 1e-12  # where COCO reads the precision; a third of three reaches 1


class Counts(NamedTuple):
    """Boxes of one picture against those of another.

    Attributes:
        both: pairs.
        missed: boxes of the original alone.
        extra: boxes of the reconstruction alone.
    """

    both: int
    missed: int
    extra: int


def overlaps(a: Boxes, b: Boxes) -> Floats:
    """Return intersections over union, float64 [len(a), len(b)]; 0 where an area is 0."""
    first, second = a.corners.astype(np.float64)[:, None], b.corners.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    total = a.areas.astype(np.float64)[:, None] + b.areas.astype(np.float64)[None] - shared
    ratio: Floats = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)
    return ratio


def match(predicted: Boxes, target: Boxes, overlap: float = OVERLAPS[0]) -> npt.NDArray[np.int64]:
    """Pair each predicted box, best first, with the target of its class that it overlaps most and that is still free.

    Args:
        predicted: best first.
        target: in any order.
        overlap: least intersection over union of a pair.

    Returns:
        int64 [len(predicted)]: the index of its target, or -1.
    """
    partner = np.full(len(predicted.scores), -1, dtype=np.int64)
    if not len(target.scores):
        return partner
    worth = overlaps(predicted, target)
    worth[predicted.classes[:, None] != target.classes[None]] = -1.0
    for row in range(len(partner)):
        best = int(worth[row].argmax())
        if worth[row, best] >= overlap:
            partner[row] = best
            worth[:, best] = -1.0
    return partner


def count(predicted: Boxes, target: Boxes, *, small_only: bool = False) -> Counts:
    """Compare the boxes above ``THRESHOLD`` of two pictures.

    Args:
        predicted: in the reconstruction.
        target: in the original.
        small_only: count pairs and misses by the target's area, extra boxes by their own.
    """
    predicted, target = predicted.above(THRESHOLD), target.above(THRESHOLD)
    partner = match(predicted, target)
    paired = np.zeros(len(target.scores), dtype=bool)
    paired[partner[partner >= 0]] = True
    extra = partner < 0
    if not small_only:
        return Counts(int(paired.sum()), int((~paired).sum()), int(extra.sum()))
    little = target.areas < SMALL
    return Counts(
        int((paired & little).sum()), int((~paired & little).sum()), int((extra & (predicted.areas < SMALL)).sum())
    )


def f1(counts: Floats) -> Floats:
    """Return 2 both / (2 both + missed + extra), 0..1, of sums [..., (both, missed, extra)]; 1 where all are 0."""
    both = 2.0 * counts[..., 0]
    total = both + counts[..., 1] + counts[..., 2]
    ratio: Floats = np.divide(both, total, out=np.ones_like(total), where=total > 0)
    return ratio


def average_precision(hits: Floats, boxes: Floats, target: Floats) -> Floats:
    """Return the mean over 101 recalls of the best precision at that recall or more, 0..1, as COCO reads it.

    Args:
        hits: pairs by step of the score, the highest step first, [..., L].
        boxes: all found boxes by the same steps, [..., L].
        target: how many boxes there are to be found, [...].

    Returns:
        [...]; 1 where there is none.
    """
    right = np.cumsum(hits, -1)
    recall = right / np.maximum(target, 1.0)[..., None]
    precision = right / np.maximum(np.cumsum(boxes, -1), 1.0)
    reached = recall[..., None, :] >= _RECALLS[:, None]  # [..., 101, L]
    best = np.where(reached, precision[..., None, :], 0.0).max(-1)
    mean: Floats = np.where(target > 0, best.mean(-1), 1.0)
    return mean
