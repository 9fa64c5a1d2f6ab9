"""Which sequence numbers of a session were seen: all up to one, and ranges above it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple, Self

from manypath_camera.errors import SequenceError

MAX_SEQUENCE = 2**62
MAX_RANGES = 65_536  # a sender that leaves more holes than that is not one of ours; each takes about 100 bytes


class SequenceRange(NamedTuple):
    """Sequence numbers from ``first`` to ``last``, both included."""

    first: int
    last: int


class SequenceSet:
    """A set of sequence numbers, which begin at 1, as a prefix and ranges.

    A receiver keeps one for each session: what is in it was delivered and is not delivered again. Live frames overtake
    a backlog, so numbers arrive in two ascending runs and the set stays a handful of ranges.

    Args:
        contiguous: every number up to this one is in the set.
        above: ranges beyond it, in any order.

    Raises:
        SequenceError: a range is empty, outside 1..2^62, or there are too many.
    """

    def __init__(self, contiguous: int = 0, above: Iterable[tuple[int, int]] = ()) -> None:
        if not 0 <= contiguous <= MAX_SEQUENCE:
            raise SequenceError(f"a sequence number is in 0..2^62, got {contiguous}")
        self._contiguous = contiguous
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in above:
            self._add_range(first, last)

    @property
    def contiguous(self) -> int:
        """The highest number up to which every number is in the set; 0 where 1 is missing."""
        return self._contiguous

    @property
    def above(self) -> list[SequenceRange]:
        """Ranges beyond ``contiguous``, ascending, with a hole before each."""
        return [SequenceRange(first, last) for first, last in zip(self._firsts, self._lasts, strict=True)]

    def __contains__(self, sequence: int) -> bool:
        if sequence <= self._contiguous:
            return True
        index = bisect_right(self._firsts, sequence) - 1
        return index >= 0 and sequence <= self._lasts[index]

    def add(self, sequence: int) -> bool:
        """Add a number.

        Returns:
            Whether it is new.

        Raises:
            SequenceError: it is outside 1..2^62, or the set has too many holes.
        """
        if sequence in self:
            return False
        self._add_range(sequence, sequence)
        return True

    def settle(self, upto: int) -> None:
        """Add every number up to ``upto``: the sender holds none of them any more.

        Raises:
            SequenceError: it is outside 0..2^62.
        """
        if upto > self._contiguous:
            self._add_range(1, upto)

    def _add_range(self, first: int, last: int) -> None:
        if not 1 <= first <= last <= MAX_SEQUENCE:
            raise SequenceError(f"a range of sequence numbers ascends within 1..2^62, got {first}..{last}")
        if first <= self._contiguous + 1:
            self._contiguous = max(self._contiguous, last)
        else:
            # neighbours that touch or overlap become one
            begin = bisect_right(self._lasts, first - 2)
            end = bisect_right(self._firsts, last + 1)
            if begin < end:
                first, last = min(first, self._firsts[begin]), max(last, self._lasts[end - 1])
            elif len(self._firsts) >= MAX_RANGES:
                raise SequenceError(f"a session has more than {MAX_RANGES} holes in its sequence numbers")
            self._firsts[begin:end] = [first]
            self._lasts[begin:end] = [last]
        while self._firsts and self._firsts[0] <= self._contiguous + 1:
            self._contiguous = max(self._contiguous, self._lasts.pop(0))
            del self._firsts[0]

    def dumps(self) -> str:
        """Return the set as text, ``12;15-17,20-20``."""
        ranges = ",".join(f"{first}-{last}" for first, last in self.above)
        return f"{self._contiguous};{ranges}"

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what ``dumps`` wrote.

        Raises:
            SequenceError: it is something else.
        """
        try:
            contiguous, _, ranges = text.partition(";")
            pairs = [tuple(map(int, pair.split("-"))) for pair in ranges.split(",") if pair]
            return cls(int(contiguous), ((first, last) for first, last in pairs))
        except ValueError as err:
            raise SequenceError(f"not a set of sequence numbers: {text[:60]!r}") from err
