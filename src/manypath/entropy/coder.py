"""The only module that knows the entropy coder: CompressAI's 64-bit rANS with 16-bit probabilities.

All symbols of a strip are one rANS stream, cut into chunks at the words where a decoder comes to the end of a part.
What makes it safe on hostile bytes, and why each part is here:

* The library codes values outside a table by an escape whose length it does not bound. Our tables give the escape
  cell no probability at all, so no stream can reach it. Values outside a table are coded as the table's last symbol
  and an excess in a chunk of its own (``Escapes``).
* The library reads a 32-bit word where a symbol leaves a state below 2^31, and does not check where the stream ends.
  A symbol takes 16 bits at most, so the state is then at least 2^47, and the next symbol reads none. A stream is
  therefore followed by a word of zeros for every other symbol that could be asked of it.
* The library writes into a buffer of one word per symbol, which too few symbols overflow with the state alone. Below
  four, symbols that no decoder asks for follow.
* A symbol whose scale index is ``SKIPPED_INDEX`` is zero by agreement and never coded.

The library takes and gives sequences of Python integers. Bytes are the cheapest of these: symbols are counted from 128,
so that nearly all fit (encoding 158,000 symbols took 13 ms from lists and 8 ms from bytes).
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
Coded = npt.NDArray[np.signedinteger[Any]]
_WORD_BYTES = 4
_STATE_BYTES = 8
_STATE_LOW_BITS, _STATE_HIGH_BITS = 31, 63  # the state lies in [2^31, 2^63)
_CENTRE = 128  # stands for the symbol 0
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
        self.offsets = (_CENTRE - self.bounds).tolist()  # what the library counts a table's first symbol as
        counts = [np.diff(row[:-1]) for row in self.cdfs]
        self._zero = (np.cumsum([0, *map(len, counts)])[:-1] + self.bounds).astype(np.int32)
        self._bits = PROBABILITY_BITS - np.log2(np.concatenate(counts))
        # twice the largest bound must fit
        self._short: Coded = self.bounds.astype(np.int16 if int(self.bounds.max()) < 2**14 else np.int32)
        self._byte = np.resize(np.minimum(self.bounds, 255), 256).astype(np.uint8).tobytes()
        self._most = np.maximum.accumulate(self.bounds)

    def kept(self, numbers: RowNumbers) -> npt.NDArray[np.intp] | None:
        """Return where symbols are coded; None where all are."""
        if not self.skip:
            return None
        coded = numbers != SKIPPED_INDEX
        return None if int(np.count_nonzero(coded)) == len(coded) else np.flatnonzero(coded)

    def bounds_of(self, numbers: RowNumbers) -> Coded:
        """Return the bound of each row, of a type that holds twice the largest."""
        if numbers.dtype == np.uint8 and self._most[int(numbers.max(initial=0))] < 256:
            # bytes are looked up in half the time
            found = np.frombuffer(numbers.tobytes().translate(self._byte), dtype=np.uint8)
            return found.astype(self._short.dtype, copy=False)
        bounds: Coded = self._short[numbers]
        return bounds

    def information(self, coded: Coded, numbers: RowNumbers) -> float:
        """Return the bits of symbols within their tables."""
        places = self._zero.take(numbers, mode="clip")  # which is quicker than an error for what cannot be
        places += coded
        return float(self._bits.take(places, mode="clip").sum())


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
        checksum: extended by the symbols.
    """

    def __init__(self, rows: Rows, checksum: Checksum) -> None:
        self._rows = rows
        self._checksum = checksum
        self._escapes = Escapes()
        self._coder = import_ans().BufferedRansEncoder()
        self._coded = 0
        self._chunks: list[list[tuple[Coded, RowNumbers]]] = [[]]  # what was coded, the last one's not yet ended

    def push(self, symbols: Symbols, numbers: RowNumbers) -> None:
        """Add symbols and the row of each, both flat.

        Args:
            symbols: at most ``SYMBOL_LIMIT`` in magnitude, 0 where not coded.
            numbers: of rows.
        """
        self._checksum.add(symbols)
        kept = self._rows.kept(numbers)
        if kept is not None:
            symbols, numbers = symbols[kept], numbers[kept]
        if not len(numbers):
            return
        bounds = self._rows.bounds_of(numbers)
        coded = symbols.astype(bounds.dtype, copy=False)
        excess = np.abs(coded) - bounds
        beyond = excess >= 0
        if beyond.any():
            self._escapes.write(excess[beyond])
            coded = np.clip(coded, -bounds, bounds)
        self._add(coded, numbers)

    def _add(self, coded: Coded, numbers: RowNumbers) -> None:
        """Add symbols within their tables. The library copies every row that it is shown."""
        rows, low, high = self._rows, int(numbers.min()), int(numbers.max()) + 1
        self._coder.encode_with_indexes(
            _sequence(coded + _CENTRE),
            _sequence(numbers - low),
            rows.cdfs[low:high],
            rows.sizes[low:high],
            rows.offsets[low:high],
        )
        self._coded += len(numbers)
        self._chunks[-1].append((coded, numbers))

    def end_chunk(self) -> None:
        """Say that a part ends here."""
        self._chunks.append([])

    def finish(self) -> tuple[bytes, ...]:
        """Return the chunks, the escapes last."""
        chunks = [_joined(parts) for parts in self._chunks[:-1]]
        stream = (1 << _STATE_LOW_BITS).to_bytes(_STATE_BYTES, "little")
        if self._coded:
            if self._coded < _FEWEST:
                coded, numbers = (np.resize(np.concatenate(own), _FEWEST) for own in zip(*chunks, strict=True))
                self._add(coded[self._coded :], numbers[self._coded :])
            stream = self._coder.flush()
        return (*self._cut(stream, chunks), self._escapes.finish())

    def _cut(self, stream: bytes, parts: Sequence[tuple[Coded, RowNumbers]]) -> Sequence[bytes]:
        """Cut a stream so that a decoder that has the chunks up to one has the words for the symbols up to its end.

        The library does not tell how many words a decoder takes; they follow from the information in the symbols.
        """
        state = math.log2(int.from_bytes(stream[:_STATE_BYTES], "little"))
        chunks, begin, bits = [], 0, 0.0
        for coded, numbers in parts[:-1]:
            bits += self._rows.information(coded, numbers)
            words = math.ceil((bits + _MARGIN_BITS + _STATE_LOW_BITS - state) / (8 * _WORD_BYTES))
            stop = min(max(begin, _STATE_BYTES + _WORD_BYTES * max(words, 0)), len(stream))
            chunks.append(stream[begin:stop])
            begin = stop
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
        self._coder.set_stream(stream + bytes(_WORD_BYTES * ((most + 1) // 2)))
        self._escapes = escapes
        self._checksum = checksum

    def pull(self, numbers: RowNumbers) -> Symbols:
        """Read one symbol for each row number, flat.

        Raises:
            FormatError: the escapes do not fit the symbols.
        """
        kept = self._rows.kept(numbers)
        own = numbers if kept is None else numbers[kept]
        self._left -= len(own)
        if self._left < 0:
            raise AssertionError("more symbols asked than the decoder was made for")
        coded = self._coded(own).astype(np.int16, copy=False) if len(own) else np.zeros(0, dtype=np.int16)
        if kept is None:
            symbols = coded
        else:
            symbols = np.zeros(len(numbers), dtype=np.int16)
            symbols[kept] = coded
        self._checksum.add(symbols)
        return symbols

    def _coded(self, own: RowNumbers) -> Coded:
        """Decode the symbols of rows that all have one."""
        bounds = self._rows.bounds_of(own)
        coded = self._read(own).astype(bounds.dtype)
        coded -= _CENTRE
        beyond = np.abs(coded) == bounds
        count = int(np.count_nonzero(beyond))
        if count:
            last = coded[beyond].astype(np.int32)
            last += np.sign(last) * self._escapes.read(count)
            if int(np.abs(last).max()) > SYMBOL_LIMIT:
                raise FormatError(f"a symbol exceeds {SYMBOL_LIMIT}")
            coded[beyond] = last
        return coded

    def _read(self, own: RowNumbers) -> npt.NDArray[np.integer[Any]]:
        """Decode symbols, counted from ``_CENTRE``. The library copies every row that it is shown."""
        rows, low, high = self._rows, int(own.min()), int(own.max()) + 1
        found: list[int] = self._coder.decode_stream(
            _sequence(own - low), rows.cdfs[low:high], rows.sizes[low:high], rows.offsets[low:high]
        )
        try:
            return np.frombuffer(bytearray(found), dtype=np.uint8)
        except ValueError:  # one is no byte
            return np.fromiter(found, dtype=np.int32, count=len(found))


def _joined(parts: Sequence[tuple[Coded, RowNumbers]]) -> tuple[Coded, RowNumbers]:
    """Return what was coded in several parts as one."""
    if not parts:
        return np.zeros(0, dtype=np.int16), np.zeros(0, dtype=np.uint8)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([coded for coded, _ in parts]), np.concatenate([numbers for _, numbers in parts])


def _sequence(numbers: npt.NDArray[np.integer[Any]]) -> bytearray | memoryview:
    """Return numbers as a sequence of integers that is cheap to walk: of bytes if they are."""
    if numbers.dtype == np.uint8 or (int(numbers.min(initial=0)) >= 0 and int(numbers.max(initial=0)) < 256):
        return bytearray(numbers.astype(np.uint8, copy=False).tobytes())
    return numbers.astype(np.int32).data
