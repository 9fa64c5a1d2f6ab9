"""The only module that knows the entropy coder: CompressAI's 64-bit rANS with 16-bit probabilities.

What makes it safe on hostile bytes, and why each part is here:

* The library codes values outside a table by an escape whose length it does not bound. Our tables give the escape
  cell no probability at all, so no stream can reach it. Values outside a table are coded as the table's last symbol
  and an excess in a chunk of its own (``Escapes``).
* The library reads one 32-bit word at most per symbol and does not check where the stream ends. A chunk is therefore
  followed by a word of zeros for each symbol that could be asked of it.
* A symbol whose scale index is ``SKIPPED_INDEX`` is zero by agreement and never coded.
"""

from __future__ import annotations

import google_crc32c
import numpy as np
import numpy.typing as npt

from manypath.entropy._compressai import import_ans
from manypath.entropy.tables import PROBABILITY_BITS, SKIPPED_INDEX, Tables
from manypath.errors import FormatError

Symbols = npt.NDArray[np.int32]
SYMBOL_LIMIT = 2**15 - 1  # |symbol|, so that y_hat stays exact in float32
_STATE_BYTES = 8


class Rows:
    """Tables in the form the library takes.

    Args:
        tables: integer CDFs.
        skip: whether row ``SKIPPED_INDEX`` stands for symbols that are not coded.
    """

    def __init__(self, tables: Tables, *, skip: bool) -> None:
        self.bounds = tables.bounds.astype(np.int32)
        self.skip = skip
        end = 1 << PROBABILITY_BITS
        sizes = 2 * self.bounds + 3  # symbols, the empty escape cell, the end
        self.cdfs = [[*map(int, row[: size - 1]), end] for row, size in zip(tables.cdf, sizes.tolist(), strict=True)]
        self.sizes = sizes.tolist()
        self.offsets = (-self.bounds).tolist()


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

    def write(self, excess: Symbols) -> None:
        """Append excesses, each 0..65535."""
        for value in excess.tolist():
            left = value
            while left >= 0x80:
                self._bytes.append(left & 0x7F | 0x80)
                left >>= 7
            self._bytes.append(left)

    def read(self, count: int) -> Symbols:
        """Take the next ``count`` excesses.

        Raises:
            FormatError: there are not so many, or one is too long or too large.
        """
        out = np.zeros(count, dtype=np.int32)
        if self._lost:
            return out
        for number in range(count):
            value = shift = 0
            while True:
                if self._at >= len(self._bytes) or shift > 14:
                    raise FormatError("the escapes end early or hold a number of more than three bytes")
                byte = self._bytes[self._at]
                self._at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
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


class Checksum:
    """CRC-32C of the symbols as little-endian int16, in coding order."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, symbols: Symbols) -> None:
        """Extend by symbols."""
        self.value = google_crc32c.extend(self.value, symbols.astype("<i2").tobytes())


class ChunkEncoder:
    """Writes one chunk: symbols pushed in coding order."""

    def __init__(self, escapes: Escapes, checksum: Checksum) -> None:
        self._coder = import_ans().BufferedRansEncoder()
        self._escapes = escapes
        self._checksum = checksum
        self._empty = True

    def push(self, symbols: Symbols, rows: Rows, indexes: Symbols) -> Symbols:
        """Code symbols with one table each, both flat.

        Returns:
            The symbols as the decoder will see them: zero where skipped, limited to ``SYMBOL_LIMIT``.
        """
        symbols = np.clip(symbols, -SYMBOL_LIMIT, SYMBOL_LIMIT)
        coded, own = symbols, indexes
        if rows.skip:
            kept = indexes != SKIPPED_INDEX
            symbols = np.where(kept, symbols, 0)
            coded, own = symbols[kept], indexes[kept]
        self._checksum.add(symbols)
        bounds = rows.bounds[own]
        excess = np.abs(coded) - bounds
        beyond = excess >= 0
        if beyond.any():
            self._escapes.write(excess[beyond])
            coded = np.clip(coded, -bounds, bounds)
        if len(coded):
            self._empty = False
            self._coder.encode_with_indexes(coded.tolist(), own.tolist(), rows.cdfs, rows.sizes, rows.offsets)
        return symbols

    def finish(self) -> bytes:
        """Return the chunk; empty if nothing was coded."""
        if self._empty:
            return b""
        chunk: bytes = self._coder.flush()
        return chunk


class ChunkDecoder:
    """Reads one chunk.

    Args:
        chunk: its bytes.
        escapes: the band's excesses.
        checksum: extended by what is read.
        most: symbols that may be pulled in all.
    """

    def __init__(self, chunk: bytes, escapes: Escapes, checksum: Checksum, most: int) -> None:
        if chunk and (len(chunk) % 4 or len(chunk) < _STATE_BYTES):
            raise FormatError(f"a chunk is empty or at least two 32-bit words, got {len(chunk)} bytes")
        self._empty = not chunk
        self._left = most
        self._coder = import_ans().RansDecoder()
        self._coder.set_stream(chunk + bytes(4 * most + 2 * _STATE_BYTES))
        self._escapes = escapes
        self._checksum = checksum

    def pull(self, rows: Rows, indexes: Symbols) -> Symbols:
        """Read one symbol for each index, flat.

        Raises:
            FormatError: the chunk is empty though symbols are asked, or the escapes do not fit them.
        """
        kept = indexes != SKIPPED_INDEX if rows.skip else np.ones(indexes.shape, dtype=bool)
        own = indexes[kept]
        self._left -= len(own)
        if self._left < 0:
            raise AssertionError("more symbols asked than the decoder was made for")
        symbols = np.zeros(indexes.shape, dtype=np.int32)
        if len(own):
            if self._empty:
                raise FormatError(f"a chunk is empty, but {len(own)} symbols should be in it")
            coded = np.asarray(
                self._coder.decode_stream(own.tolist(), rows.cdfs, rows.sizes, rows.offsets), dtype=np.int32
            )
            beyond = np.abs(coded) == rows.bounds[own]
            count = int(beyond.sum())
            if count:
                excess = self._escapes.read(count)
                coded[beyond] += np.sign(coded[beyond]) * excess
                if int(np.abs(coded).max()) > SYMBOL_LIMIT:
                    raise FormatError(f"a symbol exceeds {SYMBOL_LIMIT}")
            symbols[kept] = coded
        self._checksum.add(symbols)
        return symbols
