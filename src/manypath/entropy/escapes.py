"""Excesses of symbols beyond their table: a chunk of their own, in bounded numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from manypath import leb128
from manypath.errors import FormatError

SYMBOL_LIMIT = 2**15 - 1  # |symbol|, so that y_hat stays exact in float32


class Escapes:
    """Excesses of symbols beyond their table, as unsigned LEB128 of at most three bytes, in coding order.

    Args:
        chunk: to read from.
        lost: the chunk was cut off; every excess reads as 0.
    """

    def __init__(self, chunk: bytes = b"", *, lost: bool = False) -> None:
        self._bytes = bytearray(chunk)
        self._at = 0
        self._lost = lost

    def write(self, excess: npt.NDArray[np.int32]) -> None:
        """Append excesses, each 0..65535."""
        for value in excess.tolist():
            self._bytes += leb128.write(value)

    def read(self, count: int) -> npt.NDArray[np.int32]:
        """Take the next ``count`` excesses.

        Raises:
            FormatError: there are not so many, or one is too long or too large.
        """
        out = np.zeros(count, dtype=np.int32)
        if self._lost:
            return out
        for number in range(count):
            try:
                value, self._at = leb128.read(self._bytes, self._at, 3)
            except (EOFError, ValueError) as err:
                raise FormatError("the escapes end early or hold a number of more than three bytes") from err
            if value > SYMBOL_LIMIT:
                raise FormatError(f"an escape of {value} exceeds the largest symbol, {SYMBOL_LIMIT}")
            out[number] = value
        return out

    def finish(self) -> bytes:
        """Return the chunk that was written."""
        return bytes(self._bytes)

    def check_consumed(self) -> None:
        """Raise unless everything was read.

        Raises:
            FormatError: bytes are left over.
        """
        if self._at != len(self._bytes):
            raise FormatError(f"{len(self._bytes) - self._at} bytes of escapes are left over")
