"""The container: what surrounds the entropy-coded chunks, packed and parsed without trust.

The format is laid down in ``docs/bitstream.md``; the order of the checks here is the order there. Two rules
keep the parser safe on any bytes:

* a claimed length is compared with the bytes that are there before anything is allocated for it;
* each lie has its own error, and only errors of the :class:`~manypath.errors.BitstreamError` tree leave.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

import google_crc32c

from manypath import leb128
from manypath.arguments import as_bytes
from manypath.errors import CorruptError, FormatError, LimitError, TruncatedError
from manypath.geometry import MAX_PIXELS, MAX_SIDE, strip_heights
from manypath.quality import QUALITY_CODES, code_to_quality

MAGIC = b"MPTH"
VERSION = 1
HEADER_BYTES = 24
MIN_CHUNKS, MAX_CHUNKS = 2, 16  # per strip

_HEADER = struct.Struct("<4sBB4sHHBBII")
_CRC_START, _CRC_END = 16, 20  # bytes
_MAX_LEB128_BYTES = 5
_MAX_LENGTH = 2**32 - 1  # bytes of one chunk
_WORD_BYTES = 4  # all chunks of a strip but the last are whole words of the entropy coder, and counted in them


class Header(NamedTuple):
    """The 24 fixed bytes, checked.

    Attributes:
        version: of the format; always 1.
        width: pixels, 1..16384.
        height: pixels, 1..16384.
        quality_code: 0..224; quality = 1 + code / 32.
        model_digest: 4 bytes that name the weights.
        chunks: chunks per strip, 2..16.
        crc: CRC-32C that the stream claims; not checked here.
        symbols_checksum: uint32 over the decoded symbols; the codec's to check.
    """

    version: int
    width: int
    height: int
    quality_code: int
    model_digest: bytes
    chunks: int
    crc: int
    symbols_checksum: int


class Bitstream(NamedTuple):
    """What a container carries.

    Attributes:
        width: pixels, 1..16384.
        height: pixels, 1..16384.
        quality_code: 0..224; quality = 1 + code / 32.
        model_digest: 4 bytes that name the weights.
        symbols_checksum: uint32 over the decoded symbols.
        strips: chunks of each strip from the top; as many strips as :func:`strip_heights` returns.
        missing: chunks at the end of the stream that a cut took away and that stand as ``b""`` in ``strips``;
            0 in a whole stream. A chunk may also be empty by right, so only this number tells.
    """

    width: int
    height: int
    quality_code: int
    model_digest: bytes
    symbols_checksum: int
    strips: tuple[tuple[bytes, ...], ...]
    missing: int = 0


class StreamInfo(NamedTuple):
    """What a bitstream says of itself, without any network.

    Attributes:
        version: of the format.
        model_digest: of the model that wrote it, 8 hexadecimal digits.
        width: pixels.
        height: pixels.
        quality: 1.0..8.0.
        strips: independent strips.
        bytes: of the whole stream.
        bpp: bits per pixel.
        slices_present: whole slices in every strip.
        slices: slices that the model writes.
    """

    version: int
    model_digest: str
    width: int
    height: int
    quality: float
    strips: int
    bytes: int
    bpp: float
    slices_present: int
    slices: int


def pack(stream: Bitstream) -> bytes:
    """Return the container's bytes; ``parse`` of them is ``stream`` again.

    Raises:
        FormatError: a field is outside what the format can say, or a chunk but a strip's last is not in whole words.
        TruncatedError: chunks are missing; a cut stream cannot be made whole.
    """
    if stream.missing:
        raise TruncatedError(f"cannot pack a stream that lacks {stream.missing} chunks; encode it again")
    chunks = len(stream.strips[0]) if stream.strips else 0
    _check_fields(stream.width, stream.height, stream.quality_code, chunks)
    strips = len(strip_heights(stream.width, stream.height))
    if len(stream.strips) != strips or any(len(strip) != chunks for strip in stream.strips):
        found = [len(strip) for strip in stream.strips]
        raise FormatError(
            f"a {stream.width}x{stream.height} picture has {strips} strips of equally many chunks, got {found}"
        )
    if len(stream.model_digest) != 4 or not 0 <= stream.symbols_checksum <= 0xFFFFFFFF:
        raise FormatError("model_digest must be 4 bytes and symbols_checksum a uint32")
    flat = [chunk for strip in stream.strips for chunk in strip]
    table = [leb128.write(_counted(len(chunk), _unit(entry, chunks))) for entry, chunk in enumerate(flat)]
    payload = b"".join([*table, *flat])
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        0,
        stream.model_digest,
        stream.width - 1,
        stream.height - 1,
        stream.quality_code,
        chunks,
        0,
        stream.symbols_checksum,
    )
    crc = checksum(head, payload).to_bytes(4, "little")
    return b"".join((head[:_CRC_START], crc, head[_CRC_END:], payload))


def parse_header(data: bytes) -> Header:
    """Return the checked header of ``data``; whatever follows the first 24 bytes is not looked at.

    Raises:
        FormatError: wrong magic, version, flags, or a field out of range.
        TruncatedError: fewer than 24 bytes, and those that are there could be ours.
    """
    data = as_bytes(data)
    if not data.startswith(MAGIC[: len(data)]):
        raise FormatError(f"not a Manypath bitstream: starts with {data[:4].hex()}, expected {MAGIC.hex()}")
    if len(data) < HEADER_BYTES:
        raise TruncatedError(f"the header has {HEADER_BYTES} bytes, only {len(data)} are there")
    _, version, flags, digest, width, height, quality, chunks, crc, symbols = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FormatError(f"format version {version} is not known, this reader knows {VERSION}; upgrade manypath")
    if flags:
        raise FormatError(f"flags must be 0 in version {VERSION}, got {flags:#04x}")
    _check_fields(width + 1, height + 1, quality, chunks)
    return Header(version, width + 1, height + 1, quality, digest, chunks, crc, symbols)


def parse(data: bytes, *, max_pixels: int = MAX_PIXELS, allow_truncated: bool = False) -> Bitstream:
    """Return what ``data`` carries.

    Args:
        data: a whole container, or with ``allow_truncated`` its beginning, at least the header and table.
        max_pixels: largest width * height that is accepted, in pixels without padding.
        allow_truncated: accept a stream that was cut: chunks that are not whole come back as ``b""`` and are
            counted in ``missing``. The checksum covers the whole stream, so that of a cut one is not checked.

    Raises:
        FormatError: not a Manypath bitstream, or its fields contradict each other.
        TruncatedError: the bytes end before they should.
        LimitError: the picture has more than ``max_pixels`` pixels.
        CorruptError: everything is in its place, but the checksum differs.
    """
    data = as_bytes(data)
    header = parse_header(data)
    if header.width * header.height > max_pixels:
        raise LimitError(
            f"the picture has {header.width}x{header.height} pixels, this reader accepts {max_pixels} in all;"
            " raise its limit"
        )
    strips = len(strip_heights(header.width, header.height))
    lengths, start = _read_table(data, strips, header.chunks)
    claimed, there = sum(lengths), len(data) - start
    if there > claimed:
        raise FormatError(f"{there - claimed} bytes follow the last chunk, nothing may")
    if there < claimed and not allow_truncated:
        raise TruncatedError(f"the chunks have {claimed} bytes, only {there} are there")
    if there == claimed:
        actual = checksum(data[:HEADER_BYTES], data[HEADER_BYTES:])
        if actual != header.crc:
            raise CorruptError(f"checksum is {actual:08x}, the header says {header.crc:08x}; fetch the stream again")
    flat, missing = _cut(data, start, lengths)
    return Bitstream(
        width=header.width,
        height=header.height,
        quality_code=header.quality_code,
        model_digest=header.model_digest,
        symbols_checksum=header.symbols_checksum,
        strips=tuple(tuple(flat[i : i + header.chunks]) for i in range(0, len(flat), header.chunks)),
        missing=missing,
    )


def checksum(header: bytes, payload: bytes) -> int:
    """Return the CRC-32C of a container: its 24 header bytes but for the CRC field, then all that follows."""
    crc = google_crc32c.value(header[:_CRC_START] + header[_CRC_END:HEADER_BYTES])
    return int(google_crc32c.extend(crc, payload))


def _check_fields(width: int, height: int, quality_code: int, chunks: int) -> None:
    for name, value, low, high in (
        ("width", width, 1, MAX_SIDE),
        ("height", height, 1, MAX_SIDE),
        ("quality code", quality_code, 0, QUALITY_CODES - 1),
        ("chunks per strip", chunks, MIN_CHUNKS, MAX_CHUNKS),
    ):
        if not low <= value <= high:
            raise FormatError(f"{name} must be in [{low}, {high}], got {value}")


def _unit(entry: int, chunks: int) -> int:
    """Return the bytes that one count of a table's entry stands for."""
    return 1 if entry % chunks == chunks - 1 else _WORD_BYTES


def _counted(length: int, unit: int) -> int:
    if length > _MAX_LENGTH or length % unit:
        raise FormatError(f"a chunk has at most {_MAX_LENGTH} bytes, a multiple of {unit} here; got {length}")
    return length // unit


def _read_table(data: bytes, strips: int, chunks: int) -> tuple[list[int], int]:
    """Return the lengths of all chunks in bytes, and the offset behind the table."""
    count = strips * chunks
    # Each length takes at least one byte: refuse a table that cannot be there before walking it.
    if len(data) - HEADER_BYTES < count:
        raise TruncatedError(f"the slice table has {count} lengths, only {len(data) - HEADER_BYTES} bytes are there")
    lengths, position = [], HEADER_BYTES
    for entry in range(count):
        first = position
        try:
            value, position = leb128.read(data, first, _MAX_LEB128_BYTES)
        except EOFError as err:
            raise TruncatedError(f"the bytes end inside the slice table, at entry {entry} of {count}") from err
        except ValueError as err:
            raise FormatError(f"entry {entry} of the slice table is longer than {_MAX_LEB128_BYTES} bytes") from err
        if position > first + 1 and not data[position - 1]:
            raise FormatError(f"entry {entry} of the slice table is not in its shortest form")
        unit = _unit(entry, chunks)
        if value > _MAX_LENGTH // unit:
            raise FormatError(
                f"entry {entry} of the slice table is {value}, at most {_MAX_LENGTH // unit} is accepted there"
            )
        lengths.append(value * unit)
    return lengths, position


def _cut(data: bytes, start: int, lengths: Iterable[int]) -> tuple[list[bytes], int]:
    """Return the chunks and how many of the last ones are not whole; nothing is taken beyond ``data``."""
    chunks, missing, position = [], 0, start
    for length in lengths:
        if missing or position + length > len(data):
            chunks.append(b"")
            missing += 1
        else:
            chunks.append(data[position : position + length])
            position += length
    return chunks, missing


def inspect(bitstream: bytes) -> StreamInfo:
    """Return what a bitstream, any bytes-like object, says of itself; a cut stream is fine.

    Raises:
        BitstreamError: it is none.
    """
    bitstream = as_bytes(bitstream)
    stream = parse(bitstream, allow_truncated=True)  # of a whole one the checksum counts as well
    chunks = len(stream.strips[0])
    present = chunks_present(stream, chunks)
    return StreamInfo(
        VERSION,
        stream.model_digest.hex(),
        stream.width,
        stream.height,
        code_to_quality(stream.quality_code),
        len(stream.strips),
        len(bitstream),
        8 * len(bitstream) / (stream.width * stream.height),
        max(0, min(present) - 1) if present[-1] < chunks else chunks - 2,
        chunks - 2,
    )


def chunks_present(stream: Bitstream, chunks: int) -> list[int]:
    """Return how many chunks of each strip are there."""
    total = len(stream.strips) * chunks - stream.missing
    return [max(0, min(chunks, total - strip * chunks)) for strip in range(len(stream.strips))]
