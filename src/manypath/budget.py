"""Meeting a byte budget: a search over quality codes that trusts real bytes only.

The logarithm of a stream's size is nearly linear in the quality code, and where the line lies can be told from the
picture's edges. So a search begins close to its end: false position with a bisection guard.

Most of an encode is its analysis, and the latents of one quality code serve those near it (``serves``): within 8 codes
they gave a picture at most 0.05 dB, mostly 0.02 dB, from what the code's own latents give at the same rate (Kodak 1, 8,
13 and 23, three codes each).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from manypath.errors import BudgetError
from manypath.image import Image
from manypath.quality import QUALITY_CODES

GOOD_SHARE = 0.95  # of the budget used: good enough to stop
REUSE = 8  # codes, a quarter of a level
_OCTAVES_PER_CODE = 0.0165  # bytes grow about 12-fold from quality 1 to 8
_SLOPES = (_OCTAVES_PER_CODE / 2, 2 * _OCTAVES_PER_CODE)
# Least squares on 48 training pictures: log2(bpp) at the middle code from the logarithms of the mean differences of
# neighbouring pixels, on the picture and at half its size. The error's standard deviation is 0.27 octaves.
_MIDDLE_CODE, _FULL, _HALF, _CONSTANT = 96, 0.43, 0.51, -5.56
_LOOKED_AT = 2**22  # pixels; of larger pictures the guess sees the rows in the middle


def serves(analysed: int, code: int) -> bool:
    """Return whether latents analysed for one code may be coded at another; the best and the worst have their own."""
    return analysed == code or (abs(analysed - code) <= REUSE and 0 < code < QUALITY_CODES - 1)


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
    target = math.log2((1 + GOOD_SHARE) / 2 * budget)
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
        code = _next(sizes, target, fits, too_big, code)
    if best is None:
        raise BudgetError(f"the budget of {budget} bytes is too small: the lowest quality needs {smallest} bytes")
    return best


def _next(sizes: dict[int, float], target: float, fits: int, too_big: int, last: int) -> int:
    """Aim at ``target`` (log2 bytes), strictly between the code that fits and the one that does not."""
    others = [code for code in sizes if code != last]
    slope = _OCTAVES_PER_CODE
    if others:
        near = min(others, key=lambda code: abs(code - last))
        slope = min(max((sizes[near] - sizes[last]) / (near - last), _SLOPES[0]), _SLOPES[1])
    guess = last + (target - sizes[last]) / slope
    if len(sizes) > 4 and fits in sizes and too_big in sizes:  # the curve bends: halve what is left
        guess = (fits + too_big) / 2
    return min(max(round(guess), fits + 1), too_big - 1)


def first_code(image: Image, budget: int) -> int:
    """Return a first guess of the quality code for a picture, uint8 [H, W, 3], and a budget in bytes."""
    height, width = image.shape[:2]
    rows = max(1, min(height, _LOOKED_AT // width))
    top = (height - rows) // 2
    green = image[top : top + rows, :, 1].astype(np.int16)
    half = green[: rows // 2 * 2, : width // 2 * 2]
    half = (half[::2, ::2] + half[1::2, ::2] + half[::2, 1::2] + half[1::2, 1::2]) >> 2
    middle = _FULL * math.log2(_roughness(green)) + _HALF * math.log2(_roughness(half)) + _CONSTANT
    bpp = 8 * budget / (height * width)
    guess = _MIDDLE_CODE + (math.log2(bpp) - middle) / _OCTAVES_PER_CODE
    return round(min(max(guess, 0), QUALITY_CODES - 1))


def _roughness(plane: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> float:
    """Return the mean difference of neighbours, down and right added up; a flat plane counts as nearly flat."""
    total = 0.1
    for axis in (0, 1):
        if plane.shape[axis] > 1 and plane.size:
            total += float(np.abs(np.diff(plane, axis=axis)).mean())
    return total
