"""The frozen detector as a teacher: how far what it sees in a reconstruction is from what it sees in the original.

No labels: its own answer on the original is the target. Three distances are added: of the classes' scores, of the
distributions of the boxes' sides where the teacher is sure that there is a box, and of the pyramid's features, which
still teach where nothing is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from manypath_lab.detector.network import BINS, LARGEST_STRIDE, STRIDES, DetectorMaps
from manypath_lab.detector.weights import load_detector
from manypath_lab.training.task_networks import Answer, TaskNetwork

SURE = 0.2
"""Score, of a cell's best class on the original, from which the cell's box counts."""
FLOOR_CELLS = 4.0
"""Added to the cells that a picture's sum is divided by: one without objects must not count more than one with."""
BINS_WEIGHT, NECK_WEIGHT = 0.5, 1.0
"""Beside the scores' distance; each of the three is a root, and they are of like size at low rates."""
_FLOOR = 1e-3  # below which a divergence counts as noise, as for every other network's answer


class DetectorTeacher(TaskNetwork):
    """Answers as ``DetectorMaps``, flat: logits of each stride, then bins, then the neck's features.

    Args:
        weights: of the detector; the shipped ones by default.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__(load_detector(weights))

    def forward(self, x: Tensor) -> Answer:
        """Return nine maps for pictures, float [B, 3, H, W] in [0, 1]; sides are filled up with black."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % LARGEST_STRIDE, 0, -height % LARGEST_STRIDE))
        maps: DetectorMaps = self.network(x)
        return [*maps.logits, *maps.bins, *maps.neck]

    def distance(self, answer: Answer, target: Answer) -> Tensor:
        """Return how far an answer is from the one on the original, a mean over samples."""
        scores, sides, neck = (_root(part).mean() for part in distances(answer, target))
        return scores + BINS_WEIGHT * sides + NECK_WEIGHT * neck


def distances(answer: Answer, target: Answer) -> tuple[Tensor, Tensor, Tensor]:
    """Return the divergences of scores, of sides and the relative error of features, [B] each.

    Args:
        answer: on reconstructions, as ``DetectorTeacher.forward`` gives it.
        target: on originals.
    """
    maps = len(STRIDES)
    logits, target_logits = (_cells(part[:maps]) for part in (answer, target))  # [B, cells, classes]
    bins, target_bins = (_cells(part[maps : 2 * maps]) for part in (answer, target))  # [B, cells, 4 * BINS]
    sure = target_logits.sigmoid().amax(-1)  # [B, cells]
    sure = torch.where(sure > SURE, sure, torch.zeros_like(sure))
    cells = sure.sum(1) + FLOOR_CELLS
    scores = _score_divergence(logits, target_logits).sum((1, 2)) / cells
    sides = (sure * _side_divergence(bins, target_bins)).sum(1) / cells
    errors = [
        (ours - theirs).square().flatten(1).mean(1) / theirs.square().flatten(1).mean(1).clamp_min(1e-8)
        for ours, theirs in zip(answer[2 * maps :], target[2 * maps :], strict=True)
    ]
    return scores, sides, torch.stack(errors).mean(0)


def _score_divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Return Kullback-Leibler divergences of single scores in nats, weighted by the larger of the two scores.

    Unweighted, the sum over a hundred thousand scores near zero would drown the few that become boxes.
    """
    probabilities = target.sigmoid()
    divergence = F.binary_cross_entropy_with_logits(logits, probabilities, reduction="none") - (
        F.binary_cross_entropy_with_logits(target, probabilities, reduction="none")
    )
    return torch.maximum(probabilities, logits.detach().sigmoid()) * divergence.clamp_min(0.0)


def _side_divergence(bins: Tensor, target: Tensor) -> Tensor:
    """Return the mean divergence of a box's four sides, [B, cells]."""
    ours, theirs = (part.reshape(*part.shape[:2], 4, BINS).log_softmax(-1) for part in (bins, target))
    divergence: Tensor = (theirs.exp() * (theirs - ours)).sum(-1).clamp_min(0.0).mean(-1)
    return divergence


def _cells(maps: Sequence[Tensor]) -> Tensor:
    """Return [B, cells of all maps, channels] of [B, channels, h, w]."""
    return torch.cat([part.flatten(2).transpose(1, 2) for part in maps], 1)


def _root(divergence: Tensor) -> Tensor:
    """Return a distance, not its square, so that the last points at high quality still count."""
    distance: Tensor = (divergence + _FLOOR).sqrt() - _FLOOR**0.5
    return distance
