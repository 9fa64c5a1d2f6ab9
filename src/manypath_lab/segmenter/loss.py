"""What the segmenter's training minimises: weighted cross-entropy and what overlap is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from manypath_lab.segmenter.data import VOID


def class_weights(masks: Sequence[npt.NDArray[np.uint8]], classes: int, power: float) -> Tensor:
    """Return a weight per class, float32 [classes]: share of pixels to the power of ``-power``, 1 on average."""
    counts = sum(
        (np.bincount(mask.ravel(), minlength=VOID + 1)[:classes] for mask in masks), np.zeros(classes, dtype=np.int64)
    )
    shares = np.maximum(counts, 1) / max(1, counts.sum())
    weights = shares**-power
    return torch.from_numpy(weights / (weights * shares).sum()).float()


def cross_entropy(logits: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean over pixels that have a class; 0 where there are none.

    Args:
        logits: float32 [B, classes, H, W].
        masks: int64 [B, H, W], ``VOID`` is ignored.
        weights: float32 [classes].
    """
    total = F.cross_entropy(logits, masks, weights, ignore_index=VOID, reduction="sum")
    known = masks.clamp(max=len(weights) - 1)
    return total / (weights[known] * (masks != VOID)).sum().clamp_min(1.0)


def missing_overlap(logits: Tensor, masks: Tensor) -> Tensor:
    """Return 1 minus the soft intersection over union, averaged over the classes that occur in the batch.

    Args:
        logits: float32 [B, classes, H, W].
        masks: int64 [B, H, W], ``VOID`` is ignored.
    """
    classes = logits.shape[1]
    known = (masks != VOID).unsqueeze(1)
    truth = F.one_hot(masks, VOID + 1)[..., :classes].permute(0, 3, 1, 2).to(logits.dtype)
    share = logits.softmax(1) * known
    hits = (share * truth).sum((0, 2, 3))
    union = (share + truth).sum((0, 2, 3)) - hits
    present = truth.sum((0, 2, 3)) > 0
    if not bool(present.any()):
        return logits.sum() * 0.0
    return 1.0 - (hits[present] / union[present]).mean()
