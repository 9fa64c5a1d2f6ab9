"""The draw of qualities: every sample of a step has its own, a trained level or one between two."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from manypath.quality import LEVELS, QUALITY_CODES, QUALITY_STEPS

_MIDDLE = LEVELS * QUALITY_STEPS // 2 - QUALITY_STEPS // 2  # quality 4.5


def draw_codes(random: np.random.Generator, batch: int, fractions: float, upper: float = 0.0) -> Tensor:
    """Draw a quality code per sample, int64 [batch].

    Args:
        random: decides.
        batch: how many.
        fractions: chance of any code, rather than a level's.
        upper: chance of a code that is drawn from quality 4.5 upwards.
    """
    levels = random.integers(0, LEVELS, batch) * QUALITY_STEPS
    anything = random.integers(0, QUALITY_CODES, batch)
    codes = np.where(random.random(batch) < fractions, anything, levels)
    if upper:
        raised = (random.random(batch) < upper) & (codes < _MIDDLE)
        codes = np.where(raised, codes + _MIDDLE, codes)
    return torch.from_numpy(codes)
