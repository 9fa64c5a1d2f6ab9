"""Another codec's best file that is no larger than ours."""

from __future__ import annotations

from typing import NamedTuple

from manypath_lab.evaluation.codecs.codec import Baseline
from manypath_lab.evaluation.pictures import Pixels

QUALITIES = range(1, 101)


class Rival(NamedTuple):
    """A file of another codec.

    Attributes:
        bytes: of the file.
        image: uint8 [H, W, 3], decoded.
        fits: False where even the lowest quality takes more bytes than were allowed; then this is the lowest one.
    """

    bytes: int
    image: Pixels
    fits: bool


def best_within(baseline: Baseline, pixels: Pixels, allowed: int) -> Rival:
    """Return the file at the highest quality that takes at most ``allowed`` bytes.

    Sizes rise with quality but for a byte here and there, so that the search halves the range each time.
    """
    low, high, best = QUALITIES.start, QUALITIES.stop - 1, None
    while low <= high:
        middle = (low + high) // 2
        data = baseline.encode(pixels, middle)
        if len(data) <= allowed:
            best, low = data, middle + 1
        else:
            high = middle - 1
    fits = best is not None
    data = best if best is not None else baseline.encode(pixels, QUALITIES.start)
    return Rival(len(data), baseline.decode(data), fits)
