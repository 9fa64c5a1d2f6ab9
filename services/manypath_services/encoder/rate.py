"""How many bits a request wants to spend, and what became of it."""

from __future__ import annotations

from typing import NamedTuple

from manypath import BudgetError, EffortError, StreamInfo
from manypath_api.v1 import codec_pb2 as pb

# times the work of one encoding, about
_SEARCH = 3  # the search for a budget keeps what it can
_EFFORTS = (1, 4, 9, 22)  # see benchmarks.effort


class Rate(NamedTuple):
    """At most one of the first three is given; none is the codec's default quality."""

    quality: float | None = None
    max_bytes: int | None = None
    target_bpp: float | None = None
    effort: int = 0

    @property
    def is_budget(self) -> bool:
        """Whether the quality is searched for."""
        return self.max_bytes is not None or self.target_bpp is not None

    @property
    def work(self) -> int:
        """How many times the work of one encoding without effort this is, about."""
        return (_SEARCH if self.is_budget else 1) * _EFFORTS[self.effort]

    def check_pixels(self, pixels: int) -> None:
        """Refuse a budget of no byte.

        Raises:
            BudgetError: it is one.
        """
        if self.target_bpp is not None and self.target_bpp * pixels < 8:
            raise BudgetError(f"target_bpp must allow at least 1 byte, got {self.target_bpp}")


def read_rate(rate: pb.Rate, max_effort: int) -> Rate:
    """Return what a message asks for.

    Raises:
        BudgetError: it allows no byte.
        EffortError: this encoder takes less effort.
    """
    if rate.effort > max_effort:
        raise EffortError(f"this encoder takes efforts from 0 to {max_effort}, got {rate.effort}; ask for less")
    kind = rate.WhichOneof("target")
    if kind is None:
        return Rate(effort=rate.effort)
    if kind == "max_bytes" and rate.max_bytes == 0:
        raise BudgetError("max_bytes must be at least 1, got 0")
    return Rate(**{kind: getattr(rate, kind)}, effort=rate.effort)


def budget_message(rate: Rate, info: StreamInfo) -> pb.Budget | None:
    """Return what was asked and used; None where there was no budget."""
    if rate.max_bytes is not None:
        return pb.Budget(asked_bytes=rate.max_bytes, used_bytes=info.bytes)
    if rate.target_bpp is not None:
        asked = min(int(rate.target_bpp * info.width * info.height / 8), 2**63)
        return pb.Budget(asked_bytes=asked, used_bytes=info.bytes)
    return None
