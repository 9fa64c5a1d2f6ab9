"""The only module that knows the entropy coder: CompressAI's 64-bit rANS with 16-bit probabilities.

All symbols of a strip are one rANS stream, cut into chunks at the words where a decoder comes to the end of a part.
What makes it safe on hostile bytes, and why each part is here:

* The library codes values outside a table by an escape whose length it does not bound. Our tables give the escape
  cell no probability at all, so no stream can reach it. Values outside a table are coded as the table's last symbol
  and an excess in a chunk of its own (``Escapes``).
* The library reads one 32-bit word at most per symbol and does not check where the stream ends. A stream is therefore
  followed by a word of zeros for each symbol that could be asked of it.
* The library writes into a buffer of one word per symbol, which too few symbols overflow with the state alone. Below
  four, symbols that no decoder asks for follow.
* A symbol whose scale index is ``SKIPPED_INDEX`` is zero by agreement and never coded.

The library takes sequences of Python integers. Bytes are the cheapest of these to walk: symbols are counted from their
table's first, so that nearly all fit (encoding 158,000 symbols took 13 ms from lists and 8 ms from bytes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from manypath.entropy._compressai import import_ans
from manypath.entropy.escapes import SYMBOL_LIMIT, Escapes
from manypath.entropy.tables import PROBABILITY_BITS, SKIPPED_INDEX, Tables
from manypath.errors import FormatError

Symbols = npt.NDArray[np.int16]
RowNumbers = npt.NDArray[np.unsignedinteger[Any]]
_WORD_BYTES = 4
_STATE_BYTES = 8
_STATE_LOW_BITS, _STATE_HIGH_BITS = 31, 63  # the state lies in [2^31, 2^63)
_FEWEST = 4  # symbols; a word is written at most every other symbol, and the state takes two
# The state shrinks by a symbol's information but for a relative error of at most 2^-15; over the 3 million symbols of
# the largest strip these errors cancel to far less than this many bits.
_MARGIN_BITS = 4


class Rows:
    """Tables in the form the library takes: the rows of all alphabets, one after another.

    Args:
        alphabets: integer CDFs.
        skip: whether row ``SKIPPED_INDEX`` stands for symbols that are not coded.

    Attributes:
        starts: where each alphabet's rows begin.
        kind: smallest type that holds a row's number.
    """

    def __init__(self, alphabets: Sequence[Tables], *, skip: bool) -> None:
        self.skip = skip
        self.bounds = np.concatenate([tables.bounds for tables in alphabets]).astype(np.int32)
        self.starts = np.cumsum([0, *(len(tables.bounds) for tables in alphabets)])[:-1].tolist()
        self.kind: type[np.unsignedinteger[Any]] = np.uint8 if len(self.bounds) <= 256 else np.uint16
        end = 1 << PROBABILITY_BITS
        sizes = 2 * self.bounds + 3  # symbols, the empty escape cell, the end
        rows = [row for tables in alphabets for row in tables.cdf]
        self.cdfs = [[*map(int, row[: size - 1]), end] for row, size in zip(rows, sizes.tolist(), strict=True)]
        self.sizes = sizes.tolist()
        self.offsets = [0] * len(rows)  # symbols are counted from the first of their table
        counts = [np.diff(row[:-1]) for row in self.cdfs]
        self._first = np.cumsum([0, *map(len, counts)])[:-1]
        self._bits = PROBABILITY_BITS - np.log2(np.concatenate(counts))

    def kept(self, numbers: RowNumbers) -> npt.NDArray[np.intp]:
        """Return where symbols are coded."""
        return np.flatnonzero(numbers != SKIPPED_INDEX) if self.skip else np.arange(len(numbers))

    def information(self, cells: npt.NDArray[np.int32], numbers: RowNumbers) -> float:
        """Return the bits of symbols, counted from the first of their table."""
        return float(self._bits[self._first[numbers] + cells].sum())


class Checksum:
    """CRC-32C of the symbols as little-endian int16, in coding order."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, symbols: Symbols) -> None:
        """Extend by symbols."""
        self.value = google_crc32c.extend(self.value, symbols.astype("<i2", copy=False).tobytes())


class StripEncoder:
    """Writes one strip: symbols pushed in coding order, a chunk for each part, and the escapes.

    Args:
        rows: the tables.
        checksum: extended by the symbols when the strip is finished.
    """

    def __init__(self, rows: Rows, checksum: Checksum) -> None:
        self._rows = rows
        self._checksum = checksum
        self._symbols: list[Symbols] = []
        self._numbers: list[RowNumbers] = []
        self._ends: list[int] = []
        self._pushed = 0

    def push(self, symbols: Symbols, numbers: RowNumbers) -> None:
        """Add symbols and the row of each, both flat.

        Args:
            symbols: at most ``SYMBOL_LIMIT`` in magnitude, 0 where not coded.
            numbers: of rows.
        """
        self._symbols.append(symbols)
        self._numbers.append(numbers)
        self._pushed += len(symbols)

    def end_chunk(self) -> None:
        """Say that a part ends here."""
        self._ends.append(self._pushed)

    def finish(self) -> tuple[bytes, ...]:
        """Return the chunks, the escapes last."""
        symbols, numbers = np.concatenate(self._symbols), np.concatenate(self._numbers, dtype=self._rows.kind)
        self._checksum.add(symbols)
        kept = self._rows.kept(numbers)
        own = numbers[kept]
        bounds = self._rows.bounds[own]
        coded = symbols[kept].astype(np.int32)
        escapes = Escapes()
        excess = np.abs(coded) - bounds
        beyond = excess >= 0
        if beyond.any():
            escapes.write(excess[beyond])
            coded = np.clip(coded, -bounds, bounds)
        cells = coded + bounds
        stream = self._coded(cells, own)
        ends = np.searchsorted(kept, self._ends).tolist()
        return (*self._cut(stream, cells, own, ends), escapes.finish())

    def _coded(self, cells: npt.NDArray[np.int32], own: RowNumbers) -> bytes:
        """Return symbols, counted from the first of their table, as one rANS stream."""
        if not len(own):
            return (1 << _STATE_LOW_BITS).to_bytes(_STATE_BYTES, "little")
        if len(own) < _FEWEST:
            cells, own = np.resize(cells, _FEWEST), np.resize(own, _FEWEST)
        stream: bytes = (
            import_ans()
            .RansEncoder()
            .encode_with_indexes(
                _sequence(cells), _sequence(own), self._rows.cdfs, self._rows.sizes, self._rows.offsets
            )
        )
        return stream

    def _cut(
        self, stream: bytes, cells: npt.NDArray[np.int32], own: RowNumbers, ends: Sequence[int]
    ) -> Sequence[bytes]:
        """Cut a stream so that a decoder that has the chunks up to one has the words for the symbols up to its end.

        The library does not tell how many words a decoder takes; they follow from the information in the symbols.
        """
        state = math.log2(int.from_bytes(stream[:_STATE_BYTES], "little"))
        chunks, begin, bits, start = [], 0, 0.0, 0
        for end in ends[:-1]:
            bits += self._rows.information(cells[start:end], own[start:end])
            words = math.ceil((bits + _MARGIN_BITS + _STATE_LOW_BITS - state) / (8 * _WORD_BYTES))
            stop = min(max(begin, _STATE_BYTES + _WORD_BYTES * max(words, 0)), len(stream))
            chunks.append(stream[begin:stop])
            begin, start = stop, end
        return [*chunks, stream[begin:]]


class StripDecoder:
    """Reads one strip's rANS stream.

    Args:
        rows: the tables.
        chunks: the words that are there, escapes not among them.
        escapes: the strip's excesses.
        checksum: extended by what is read.
        most: symbols that may be pulled in all.

    Raises:
        FormatError: the chunks are not whole words, or do not begin with a state.
    """

    def __init__(self, rows: Rows, chunks: Sequence[bytes], escapes: Escapes, checksum: Checksum, most: int) -> None:
        stream = b"".join(chunks)
        if len(chunks[0]) < _STATE_BYTES or len(stream) % _WORD_BYTES:
            raise FormatError(f"a strip begins with a chunk of two 32-bit words or more, got {len(chunks[0])} bytes")
        state = int.from_bytes(stream[:_STATE_BYTES], "little")
        if not _STATE_LOW_BITS < state.bit_length() <= _STATE_HIGH_BITS:
            raise FormatError(f"a strip's first state must be in [2^31, 2^63), got {state:#x}")
        self._rows = rows
        self._left = most
        self._coder = import_ans().RansDecoder()
        self._coder.set_stream(stream + bytes(_WORD_BYTES * most))
        self._escapes = escapes
        self._checksum = checksum

    def pull(self, numbers: RowNumbers) -> Symbols:
        """Read one symbol for each row number, flat.

        Raises:
            FormatError: the escapes do not fit the symbols.
        """
        rows = self._rows
        kept = rows.kept(numbers)
        own = numbers[kept]
        self._left -= len(own)
        if self._left < 0:
            raise AssertionError("more symbols asked than the decoder was made for")
        symbols = np.zeros(len(numbers), dtype=np.int16)
        if len(own):
            bounds = rows.bounds[own]
            coded = self._cells(own, int(bounds.max())).astype(np.int32) - bounds
            beyond = np.abs(coded) == bounds
            count = int(beyond.sum())
            if count:
                coded[beyond] += np.sign(coded[beyond]) * self._escapes.read(count)
                if int(np.abs(coded).max()) > SYMBOL_LIMIT:
                    raise FormatError(f"a symbol exceeds {SYMBOL_LIMIT}")
            symbols[kept] = coded
        self._checksum.add(symbols)
        return symbols

    def _cells(self, own: RowNumbers, bound: int) -> npt.NDArray[np.integer[Any]]:
        """Decode symbols, counted from the first of their table. The library copies every row that it is shown."""
        rows = self._rows
        low, high = int(own.min()), int(own.max()) + 1
        found: list[int] = self._coder.decode_stream(
            _sequence(own - low), rows.cdfs[low:high], rows.sizes[low:high], rows.offsets[low:high]
        )
        if 2 * bound < 256:
            return np.frombuffer(bytearray(found), dtype=np.uint8)
        return np.fromiter(found, dtype=np.int32, count=len(found))


def _sequence(numbers: npt.NDArray[np.integer[Any]]) -> bytearray | memoryview:
    """Return numbers that are not negative as a sequence of integers that is cheap to walk."""
    if numbers.dtype == np.uint8 or int(numbers.max(initial=0)) < 256:
        return bytearray(numbers.astype(np.uint8, copy=False).tobytes())
    return numbers.astype(np.int32).data
