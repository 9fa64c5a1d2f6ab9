"""How many bits a picture may take: a quality, or a budget in bytes or in bits per pixel."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from manypath.arguments import as_number
from manypath.bitstream import HEADER_BYTES
from manypath.errors import BudgetError, EffortError, RequestError
from manypath.quality import DEFAULT_QUALITY, LEVELS, QUALITY_STEPS, quality_to_code

MOST_BYTES = 2**62  # of a budget: more is the same


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
    """How many bits an encoder may spend: one of three ways to say it, quality 4 if none is given.

    Attributes:
        quality: 1.0..8.0 in steps of 1/32, 8 = highest rate.
        max_bytes: the stream has at most this many bytes, and at least 95 % of them where the range allows.
        bpp: the same in bits per pixel.
        effort: time spent on better latents, 0..3; at a quality it saves bits, at a budget the picture gains.

    Raises:
        QualityError: the quality is no number in 1..8.
        BudgetError: the budget is no positive, finite number.
        EffortError: the effort is not 0, 1, 2 or 3.
        RequestError: more than one of them is given.
    """

    MIN_QUALITY: ClassVar[float] = 1.0
    MAX_QUALITY: ClassVar[float] = float(LEVELS)
    QUALITY_STEP: ClassVar[float] = 1 / QUALITY_STEPS
    MOST_EFFORT: ClassVar[int] = 3

    quality: float | None = None
    max_bytes: int | None = None
    bpp: float | None = None
    effort: int = 0

    def __post_init__(self) -> None:
        """Check what is given."""
        given = [name for name in ("quality", "max_bytes", "bpp") if getattr(self, name) is not None]
        if len(given) > 1:
            raise RequestError(f"give one of quality, max_bytes and bpp, not several; got {' and '.join(given)}")
        if self.quality is not None:
            quality_to_code(self.quality)
        for value in (self.max_bytes, self.bpp):
            if value is not None:
                _positive(value)
        if type(self.effort) is not int or not 0 <= self.effort <= self.MOST_EFFORT:
            raise EffortError(f"effort must be a whole number from 0 to {self.MOST_EFFORT}, got {self.effort!r:.80}")

    @property
    def is_budget(self) -> bool:
        """Whether bytes are bounded, and the quality follows."""
        return self.max_bytes is not None or self.bpp is not None

    @property
    def quality_code(self) -> int:
        """Return the code of the quality."""
        return quality_to_code(DEFAULT_QUALITY if self.quality is None else self.quality)

    def bytes_for(self, width: int, height: int) -> int:
        """Return the budget of a picture in bytes.

        Raises:
            BudgetError: it is smaller than a header, or has no end.
        """
        most = _positive(self.max_bytes if self.bpp is None else _positive(self.bpp) * width * height / 8)
        if most < HEADER_BYTES:
            raise BudgetError(
                f"the budget of {most:.0f} bytes is too small: the header alone has {HEADER_BYTES}; give more"
            )
        return int(min(most, MOST_BYTES))


def _positive(value: object) -> float:
    number = as_number(value, "a budget", BudgetError)
    if not 0 < number < math.inf:  # also refuses NaN
        raise BudgetError(f"a budget must be a positive, finite number of bytes or bits per pixel, got {value!r:.80}")
    return number
