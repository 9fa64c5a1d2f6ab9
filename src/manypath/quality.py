"""Quality and its codes: the dial of the rate, and what a header says of it."""

from __future__ import annotations

import math

from manypath.arguments import as_number
from manypath.errors import QualityError

LEVELS = 8  # trained rate levels, quality 1..8
QUALITY_STEPS = 32  # quality codes per level
QUALITY_CODES = (LEVELS - 1) * QUALITY_STEPS + 1
DEFAULT_QUALITY = 4.0


def quality_to_code(quality: float) -> int:
    """Return the code 0..224 nearest to ``quality``.

    Raises:
        QualityError: not a number in [1, 8].
    """
    value = as_number(quality, "quality", QualityError)
    if not 1.0 <= value <= LEVELS:  # also refuses NaN
        raise QualityError(f"quality must be in [1, {LEVELS}], got {quality!r:.80}")
    return math.floor((value - 1.0) * QUALITY_STEPS + 0.5)


def code_to_quality(code: int) -> float:
    """Return the quality 1.0..8.0 that a code stands for."""
    return 1.0 + code / QUALITY_STEPS
