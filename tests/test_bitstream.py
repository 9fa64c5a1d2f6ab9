"""The container: round trips, pinned bytes, strips, cut streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manypath.bitstream import HEADER_BYTES, MAX_CHUNKS, MIN_CHUNKS, Bitstream, pack, parse, parse_header
from manypath.errors import FormatError, TruncatedError
from manypath.geometry import MAX_SIDE, MAX_STRIP_PIXELS, strip_heights
from manypath.quality import QUALITY_CODES

EXAMPLE = Bitstream(
    width=3,
    height=2,
    quality_code=96,
    model_digest=bytes.fromhex("c0ffee00"),
    symbols_checksum=0x12345678,
    strips=((b"\x01\x02\x03\x04", b"", b"\xaa" * 200),),
)
EXAMPLE_BYTES = bytes.fromhex(
    "4d505448 01 00 c0ffee00 0200 0100 60 03 9c75df23 78563412"  # header
    "01 00 c801"  # table
    "01020304"
) + bytes([0xAA] * 200)

sides = st.one_of(st.integers(1, 200), st.integers(1, MAX_SIDE), st.sampled_from([1, 64, 65, MAX_SIDE]))


@st.composite
def bitstreams(draw: st.DrawFn) -> Bitstream:
    width, height = draw(sides), draw(sides)
    count = draw(st.integers(MIN_CHUNKS, MAX_CHUNKS))
    # Lengths around each change of the length's own size; contents do not matter to the container.
    words = st.one_of(st.integers(0, 3), st.sampled_from([127, 128]))
    byte_count = st.one_of(st.integers(0, 3), st.sampled_from([127, 128, 16383, 16384]))
    filler = draw(st.binary(min_size=1, max_size=8))
    strips = []
    for _ in strip_heights(width, height):
        counted = draw(st.lists(words, min_size=count - 1, max_size=count - 1))
        lengths = [*(4 * number for number in counted), draw(byte_count)]
        strips.append(tuple((filler * (n // len(filler) + 1))[:n] for n in lengths))
    return Bitstream(
        width=width,
        height=height,
        quality_code=draw(st.integers(0, QUALITY_CODES - 1)),
        model_digest=draw(st.binary(min_size=4, max_size=4)),
        symbols_checksum=draw(st.integers(0, 2**32 - 1)),
        strips=tuple(strips),
    )


@given(bitstreams())
def test_what_is_packed_is_parsed_again(stream: Bitstream) -> None:
    data = pack(stream)
    assert parse(data) == stream
    assert parse(data, allow_truncated=True) == stream
    header = parse_header(data[:HEADER_BYTES])
    assert (header.width, header.height, header.quality_code) == stream[:3]
    assert header.chunks == len(stream.strips[0])


@given(bitstreams(), st.data())
def test_a_cut_stream_is_refused_or_gives_its_whole_chunks_on_demand(stream: Bitstream, data: st.DataObject) -> None:
    packed = pack(stream)
    end = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(TruncatedError):
        parse(packed[:end])
    table_end = len(packed) - sum(len(chunk) for strip in stream.strips for chunk in strip)
    if end < table_end:
        with pytest.raises(TruncatedError):
            parse(packed[:end], allow_truncated=True)
        return
    cut = parse(packed[:end], allow_truncated=True)
    whole = [chunk for strip in stream.strips for chunk in strip]
    kept = [chunk for strip in cut.strips for chunk in strip]
    present = len(whole) - cut.missing
    assert cut.missing > 0
    assert kept == whole[:present] + [b""] * cut.missing
    assert sum(map(len, whole[:present])) <= end - table_end < sum(map(len, whole[: present + 1]))


def test_the_bytes_of_version_1_are_pinned() -> None:
    assert pack(EXAMPLE) == EXAMPLE_BYTES
    assert parse(EXAMPLE_BYTES) == EXAMPLE


def test_the_header_alone_is_enough_for_the_facts() -> None:
    header = parse_header(EXAMPLE_BYTES[:HEADER_BYTES])
    assert header == (1, 3, 2, 96, bytes.fromhex("c0ffee00"), 3, 0x23DF759C, 0x12345678)


@given(sides, sides)
def test_strips_cover_the_padded_picture_and_stay_within_four_megapixels(width: int, height: int) -> None:
    heights = strip_heights(width, height)
    padded_width, padded_height = -(-width // 64) * 64, -(-height // 64) * 64
    assert sum(heights) == padded_height
    assert all(h > 0 and h % 64 == 0 for h in heights)
    assert all(h * padded_width <= MAX_STRIP_PIXELS for h in heights)
    assert len(heights) <= 64
    # As few strips as the limit allows, and all but the last alike.
    assert len(set(heights[:-1])) <= 1
    assert heights[-1] <= heights[0]
    assert len(heights) == 1 or (heights[0] + 64) * padded_width > MAX_STRIP_PIXELS


@pytest.mark.parametrize(
    ("width", "height", "heights"),
    [
        (1, 1, (64,)),
        (64, 65, (128,)),
        (768, 512, (512,)),
        (2048, 2048, (2048,)),
        (2049, 2048, (1984, 64)),
        (3840, 2160, (1088, 1088)),
        (16384, 16384, (256,) * 64),
        (16384, 1, (64,)),
        (1, 16384, (16384,)),
    ],
)
def test_strip_heights_are_pinned(width: int, height: int, heights: tuple[int, ...]) -> None:
    assert strip_heights(width, height) == heights


@pytest.mark.parametrize(
    "wrong",
    [
        EXAMPLE._replace(width=0),
        EXAMPLE._replace(height=MAX_SIDE + 1),
        EXAMPLE._replace(quality_code=QUALITY_CODES),
        EXAMPLE._replace(strips=()),
        EXAMPLE._replace(strips=((b"",),)),
        EXAMPLE._replace(strips=((b"",) * (MAX_CHUNKS + 1),)),
        EXAMPLE._replace(strips=EXAMPLE.strips * 2),
        EXAMPLE._replace(width=4096, height=4096, strips=((b"", b""), (b"", b""), (b"", b""), (b"",))),
        EXAMPLE._replace(strips=((b"\x01\x02\x03", b"", b""),)),
        EXAMPLE._replace(model_digest=b"abc"),
        EXAMPLE._replace(symbols_checksum=2**32),
    ],
)
def test_what_the_format_cannot_say_is_not_packed(wrong: Bitstream) -> None:
    with pytest.raises(FormatError):
        pack(wrong)


def test_a_cut_stream_is_not_packed_as_if_it_were_whole() -> None:
    cut = parse(EXAMPLE_BYTES[:-1], allow_truncated=True)
    with pytest.raises(TruncatedError, match="lacks 1 chunk"):
        pack(cut)
