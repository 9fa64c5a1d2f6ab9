"""Meeting a byte budget: a search over quality codes that trusts real bytes only.

The logarithm of a stream's size is nearly linear in the quality code, so a false-position search with a bisection
guard needs few encodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from manypath.config import QUALITY_CODES
from manypath.errors import BudgetError

GOOD_SHARE = 0.95  # of the budget used: good enough to stop
OCTAVES_PER_CODE = 3.6 / QUALITY_CODES  # first guess of the slope: bytes grow about 12-fold from quality 1 to 8


def fit(encode: Callable[[int], bytes], budget: int, first: int) -> bytes:
    """Return the largest stream found that is at most ``budget`` bytes.

    It uses at least 95 % of the budget, or is the best quality, or the next finer quality code does not fit.

    Args:
        encode: quality code -> bitstream.
        budget: bytes.
        first: quality code to try first.

    Raises:
        BudgetError: even the lowest quality needs more; the message says how much.
    """
    fits, too_big = -1, QUALITY_CODES
    best: bytes | None = None
    sizes: dict[int, float] = {}
    code = min(max(first, 0), QUALITY_CODES - 1)
    smallest = 0
    while too_big - fits > 1:
        stream = encode(code)
        sizes[code] = math.log2(len(stream))
        if len(stream) <= budget:
            fits = code
            if best is None or len(stream) > len(best):
                best = stream
            if len(stream) >= GOOD_SHARE * budget:
                break
        else:
            too_big = code
            smallest = len(stream)
        code = _next(sizes, math.log2(GOOD_SHARE * budget + (1 - GOOD_SHARE) * budget / 2), fits, too_big, code)
    if best is None:
        raise BudgetError(f"the budget of {budget} bytes is too small: the lowest quality needs {smallest} bytes")
    return best


def _next(sizes: dict[int, float], target: float, fits: int, too_big: int, last: int) -> int:
    """Aim at ``target`` (log2 bytes), strictly between the code that fits and the one that does not."""
    if fits in sizes and too_big in sizes:
        slope = max((sizes[too_big] - sizes[fits]) / (too_big - fits), 1e-4)
        guess = fits + (target - sizes[fits]) / slope
        if len(sizes) > 5:  # the curve bends: halve what is left
            guess = (fits + too_big) / 2
    else:
        guess = last + (target - sizes[last]) / OCTAVES_PER_CODE
    return min(max(round(guess), fits + 1), too_big - 1)


def first_code(bpp: float) -> float:
    """Return a first guess of the quality code for a rate: 0.1 bpp at quality 1, 12 times as much at 8."""
    return math.log2(max(bpp, 1e-9) / 0.1) / OCTAVES_PER_CODE
