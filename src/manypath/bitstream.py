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

from manypath.errors import CorruptError, FormatError, LimitError, TruncatedError

MAGIC = b"MPTH"
VERSION = 1
HEADER_BYTES = 24
MAX_SIDE = 16384  # pixels
MAX_PIXELS = 2**28  # = MAX_SIDE ** 2: by default nothing that the header can say is refused for its size
QUALITY_CODES_PER_LEVEL = 32
MAX_QUALITY_CODE = 224  # quality 8.0 in steps of 1/32 above 1.0
MIN_CHUNKS, MAX_CHUNKS = 2, 16  # per band
ALIGNMENT = 64  # pixels; a picture is padded to this, and a band is whole rows of it
MAX_BAND_PIXELS = 2**22  # padded pixels

_HEADER = struct.Struct("<4sBB4sHHBBII")
_CRC_START, _CRC_END = 16, 20  # bytes
_MAX_LEB128_BYTES = 5
_MAX_LENGTH = 2**32 - 1  # bytes of one chunk
_WORD_BYTES = 4  # all chunks of a band but the last are whole words of the entropy coder, and counted in them


class Header(NamedTuple):
    """The 24 fixed bytes, checked.

    Attributes:
        version: of the format; always 1.
        width: pixels, 1..16384.
        height: pixels, 1..16384.
        quality_code: 0..224; quality = 1 + code / 32.
        model_digest: 4 bytes that name the weights.
        chunks: chunks per band, 2..16.
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
        bands: chunks of each band from the top; as many bands as :func:`band_heights` returns.
        missing: chunks at the end of the stream that a cut took away and that stand as ``b""`` in ``bands``;
            0 in a whole stream. A chunk may also be empty by right, so only this number tells.
    """

    width: int
    height: int
    quality_code: int
    model_digest: bytes
    symbols_checksum: int
    bands: tuple[tuple[bytes, ...], ...]
    missing: int = 0


class StreamInfo(NamedTuple):
    """What a bitstream says of itself, without any network.

    Attributes:
        version: of the format.
        model_digest: of the model that wrote it, 8 hexadecimal digits.
        width: pixels.
        height: pixels.
        quality: 1.0..8.0.
        bands: independent bands.
        bytes: of the whole stream.
        bpp: bits per pixel.
        slices_present: whole slices in every band.
        slices: slices that the model writes.
    """

    version: int
    model_digest: str
    width: int
    height: int
    quality: float
    bands: int
    bytes: int
    bpp: float
    slices_present: int
    slices: int


def band_heights(width: int, height: int) -> tuple[int, ...]:
    """Return the height of each horizontal band from the top, in padded pixels.

    Both ends cut by this rule, so bands need no bytes in the stream.

    Args:
        width: of the picture, pixels, at least 1.
        height: of the picture, pixels, at least 1.
    """
    row_pixels = _align(width) * ALIGNMENT
    full = max(1, MAX_BAND_PIXELS // row_pixels) * ALIGNMENT
    count, rest = divmod(_align(height), full)
    return (full,) * count + ((rest,) if rest else ())


def pack(stream: Bitstream) -> bytes:
    """Return the container's bytes; ``parse`` of them is ``stream`` again.

    Raises:
        FormatError: a field is outside what the format can say, or a chunk but a band's last is not in whole words.
        TruncatedError: chunks are missing; a cut stream cannot be made whole.
    """
    if stream.missing:
        raise TruncatedError(f"cannot pack a stream that lacks {stream.missing} chunks; encode it again")
    chunks = len(stream.bands[0]) if stream.bands else 0
    _check_fields(stream.width, stream.height, stream.quality_code, chunks)
    bands = len(band_heights(stream.width, stream.height))
    if len(stream.bands) != bands or any(len(band) != chunks for band in stream.bands):
        found = [len(band) for band in stream.bands]
        raise FormatError(
            f"a {stream.width}x{stream.height} picture has {bands} bands of equally many chunks, got {found}"
        )
    if len(stream.model_digest) != 4 or not 0 <= stream.symbols_checksum <= 0xFFFFFFFF:
        raise FormatError("model_digest must be 4 bytes and symbols_checksum a uint32")
    flat = [chunk for band in stream.bands for chunk in band]
    table = [_leb128(_counted(len(chunk), _unit(entry, chunks))) for entry, chunk in enumerate(flat)]
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
    header = parse_header(data)
    if header.width * header.height > max_pixels:
        raise LimitError(
            f"the picture has {header.width}x{header.height} pixels, this reader accepts {max_pixels} in all;"
            " raise its limit"
        )
    bands = len(band_heights(header.width, header.height))
    lengths, start = _read_table(data, bands, header.chunks)
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
        bands=tuple(tuple(flat[i : i + header.chunks]) for i in range(0, len(flat), header.chunks)),
        missing=missing,
    )


def checksum(header: bytes, payload: bytes) -> int:
    """Return the CRC-32C of a container: its 24 header bytes but for the CRC field, then all that follows."""
    crc = google_crc32c.value(header[:_CRC_START] + header[_CRC_END:HEADER_BYTES])
    return int(google_crc32c.extend(crc, payload))


def _align(pixels: int) -> int:
    return -(-pixels // ALIGNMENT) * ALIGNMENT


def _check_fields(width: int, height: int, quality_code: int, chunks: int) -> None:
    for name, value, low, high in (
        ("width", width, 1, MAX_SIDE),
        ("height", height, 1, MAX_SIDE),
        ("quality code", quality_code, 0, MAX_QUALITY_CODE),
        ("chunks per band", chunks, MIN_CHUNKS, MAX_CHUNKS),
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


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_table(data: bytes, bands: int, chunks: int) -> tuple[list[int], int]:
    """Return the lengths of all chunks in bytes, and the offset behind the table."""
    count = bands * chunks
    # Each length takes at least one byte: refuse a table that cannot be there before walking it.
    if len(data) - HEADER_BYTES < count:
        raise TruncatedError(f"the slice table has {count} lengths, only {len(data) - HEADER_BYTES} bytes are there")
    lengths, position = [], HEADER_BYTES
    for entry in range(count):
        value = 0
        for index in range(_MAX_LEB128_BYTES):
            if position == len(data):
                raise TruncatedError(f"the bytes end inside the slice table, at entry {entry} of {count}")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        else:
            raise FormatError(f"entry {entry} of the slice table is longer than {_MAX_LEB128_BYTES} bytes")
        if index and not byte:
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


def code_to_quality(code: int) -> float:
    """Return the quality 1.0..8.0 that a header's code stands for."""
    return 1.0 + code / QUALITY_CODES_PER_LEVEL


def inspect(bitstream: bytes) -> StreamInfo:
    """Return what a bitstream says of itself; a cut stream is fine.

    Raises:
        BitstreamError: it is none.
    """
    header = parse_header(bitstream)
    stream = parse(bitstream, allow_truncated=True)
    if not stream.missing:
        stream = parse(bitstream)  # whole: then the checksum counts as well
    present = chunks_present(stream, header.chunks)
    pixels = header.width * header.height
    return StreamInfo(
        header.version,
        header.model_digest.hex(),
        header.width,
        header.height,
        code_to_quality(header.quality_code),
        len(stream.bands),
        len(bitstream),
        8 * len(bitstream) / pixels,
        max(0, min(present) - 1) if present[-1] < header.chunks else header.chunks - 2,
        header.chunks - 2,
    )


def chunks_present(stream: Bitstream, chunks: int) -> list[int]:
    """Return how many chunks of each band are there."""
    total = len(stream.bands) * chunks - stream.missing
    return [max(0, min(chunks, total - band * chunks)) for band in range(len(stream.bands))]
