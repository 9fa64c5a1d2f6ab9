"""One lie, one error: every way in which a container can contradict itself."""

from __future__ import annotations

import tracemalloc

import pytest

from manypath.bitstream import HEADER_BYTES, Bitstream, checksum, pack, parse, parse_header
from manypath.errors import CorruptError, FormatError, LimitError, TruncatedError

CHUNKS = (b"\x01\x02\x03\x04", b"", b"\xaa" * 200)
GOOD = pack(Bitstream(100, 50, 96, b"\xc0\xff\xee\x00", 0x12345678, (CHUNKS,)))
TABLE = HEADER_BYTES  # the table is 01 00 c8 01: one word, none, 200 bytes
PAYLOAD = TABLE + 4


def with_good_checksum(data: bytes) -> bytes:
    """The same lie as an attacker would tell it: with the CRC computed anew."""
    crc = checksum(data[:HEADER_BYTES], data[HEADER_BYTES:])
    return data[:16] + crc.to_bytes(4, "little") + data[20:]


def patch(offset: int, new: bytes) -> bytes:
    return with_good_checksum(GOOD[:offset] + new + GOOD[offset + len(new) :])


def replace_table(table: bytes, payload: bytes = GOOD[PAYLOAD:]) -> bytes:
    return with_good_checksum(GOOD[:TABLE] + table + payload)


def test_the_honest_stream_parses() -> None:
    assert parse(with_good_checksum(GOOD)).strips == (CHUNKS,)


@pytest.mark.parametrize("data", [b"X", b"MPTX", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\xff\xd8\xff" + GOOD])
def test_a_wrong_magic_is_a_format_error_however_short(data: bytes) -> None:
    with pytest.raises(FormatError, match="not a Manypath bitstream"):
        parse(data)


@pytest.mark.parametrize("end", [0, 1, 3, 4, 5, 23])
def test_a_cut_header_is_truncated(end: int) -> None:
    with pytest.raises(TruncatedError, match="the header has 24 bytes"):
        parse_header(GOOD[:end])


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_unknown_version_is_a_format_error(version: int) -> None:
    with pytest.raises(FormatError, match="version"):
        parse(patch(4, bytes([version])))


@pytest.mark.parametrize("flags", [1, 0x80, 0xFF])
def test_a_reserved_flag_is_a_format_error(flags: int) -> None:
    with pytest.raises(FormatError, match="flags"):
        parse(patch(5, bytes([flags])))


@pytest.mark.parametrize("offset", [10, 12])
@pytest.mark.parametrize("side", [16385, 65536])
def test_a_side_beyond_16384_is_a_format_error(offset: int, side: int) -> None:
    with pytest.raises(FormatError, match=r"(width|height) must be in \[1, 16384\]"):
        parse(patch(offset, (side - 1).to_bytes(2, "little")))


@pytest.mark.parametrize("code", [225, 255])
def test_a_quality_beyond_8_is_a_format_error(code: int) -> None:
    with pytest.raises(FormatError, match="quality code"):
        parse(patch(14, bytes([code])))


@pytest.mark.parametrize("count", [0, 1, 17, 255])
def test_too_few_or_too_many_chunks_are_a_format_error(count: int) -> None:
    with pytest.raises(FormatError, match="chunks per strip"):
        parse(patch(15, bytes([count])))


def test_a_picture_above_the_readers_limit_is_a_limit_error() -> None:
    assert parse(GOOD, max_pixels=5000).width == 100
    with pytest.raises(LimitError, match="100x50"):
        parse(GOOD, max_pixels=4999)


def test_the_limit_is_checked_before_the_table_is_walked() -> None:
    with pytest.raises(LimitError):
        parse(patch(10, b"\xff\x3f\xff\x3f"), max_pixels=2**20)


def test_a_table_that_cannot_be_there_is_truncated() -> None:
    with pytest.raises(TruncatedError, match="slice table has 1024 lengths"):
        # 16384 x 16384 has 64 strips, and each now claims 16 chunks: 1024 numbers in 208 bytes.
        parse(with_good_checksum(GOOD[:10] + b"\xff\x3f\xff\x3f\x60\x10" + GOOD[16:]))


@pytest.mark.parametrize("table", [b"\x01\x00\xc8", b"\x80\x80\x80", b"\x01\x00\xff\xff\xff"])
def test_a_stream_that_ends_inside_its_table_is_truncated(table: bytes) -> None:
    with pytest.raises(TruncatedError, match="inside the slice table"):
        parse(replace_table(table, b""))


@pytest.mark.parametrize("entry", [b"\x81\x00", b"\x80\x00", b"\x81\x80\x80\x80\x00"])
def test_a_number_not_in_shortest_form_is_a_format_error(entry: bytes) -> None:
    with pytest.raises(FormatError, match="shortest form"):
        parse(replace_table(entry + b"\x00\xc8\x01"))


@pytest.mark.parametrize("entry", [b"\x81\x80\x80\x80\x80\x00", b"\xff" * 10])
def test_a_number_of_more_than_five_bytes_is_a_format_error(entry: bytes) -> None:
    with pytest.raises(FormatError, match="longer than 5 bytes"):
        parse(replace_table(entry + b"\x00\xc8\x01"))


def test_a_chunk_above_32_bits_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="at most 1073741823"):  # words
        parse(replace_table(b"\x80\x80\x80\x80\x04\x00\xc8\x01"))
    with pytest.raises(FormatError, match="at most 4294967295"):  # bytes: the last chunk
        parse(replace_table(b"\x01\x00\x80\x80\x80\x80\x10"))


def test_a_huge_claimed_length_is_truncated_and_allocates_nothing() -> None:
    lie = replace_table(b"\xff\xff\xff\xff\x03" * 2 + b"\xff\xff\xff\xff\x0f")
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError, match="12884901879 bytes"):
            parse(lie)
        cut = parse(lie, allow_truncated=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cut.strips == ((b"", b"", b""),)
    assert cut.missing == 3
    assert peak < 64 * 1024  # bytes


def test_a_chunk_that_is_cut_short_is_truncated() -> None:
    with pytest.raises(TruncatedError, match="the chunks have 204 bytes, only 203 are there"):
        parse(with_good_checksum(GOOD[:-1]))


def test_bytes_after_the_last_chunk_are_a_format_error() -> None:
    with pytest.raises(FormatError, match="1 bytes follow"):
        parse(with_good_checksum(GOOD + b"\x00"))
    with pytest.raises(FormatError, match="232 bytes follow"):
        parse(with_good_checksum(GOOD + GOOD))
    with pytest.raises(FormatError, match="follow"):
        parse(with_good_checksum(GOOD + b"\x00"), allow_truncated=True)


@pytest.mark.parametrize("offset", [6, 9, 10, 14, 16, 19, 20, 23, PAYLOAD, len(GOOD) - 1])
def test_a_flipped_bit_where_nothing_else_can_tell_is_corrupt(offset: int) -> None:
    damaged = bytearray(GOOD)
    damaged[offset] ^= 1
    with pytest.raises(CorruptError, match="checksum"):
        parse(bytes(damaged))
    with pytest.raises(CorruptError):  # a stream that lacks nothing is checked whole, whatever was allowed
        parse(bytes(damaged), allow_truncated=True)


def test_every_single_bit_flip_is_noticed() -> None:
    for bit in range(8 * len(GOOD)):
        damaged = bytearray(GOOD)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FormatError, TruncatedError, CorruptError)):
            parse(bytes(damaged))


def test_two_chunks_exchanged_are_corrupt() -> None:
    swapped = GOOD[:PAYLOAD] + GOOD[PAYLOAD + 4 :] + GOOD[PAYLOAD : PAYLOAD + 4]
    with pytest.raises(CorruptError):
        parse(swapped)
