"""The entropy coder: exact, close to the information, and safe on any bytes."""

import numpy as np
import pytest

from manypath.entropy.coder import Checksum, RowNumbers, Rows, StripDecoder, StripEncoder, Symbols
from manypath.entropy.escapes import Escapes
from manypath.entropy.tables import SCALES, check_tables, gaussian_row, gaussian_tables, integer_cdf, scale_table, stack
from manypath.errors import CheckpointError, FormatError

TABLES = gaussian_tables()
HYPER = stack([gaussian_row(16.0)] * 5)
ROWS = Rows([TABLES, HYPER], skip=True)
STATE = (2**31).to_bytes(8, "little")


def draw(count: int, seed: int) -> tuple[Symbols, RowNumbers]:
    random = np.random.default_rng(seed)
    indexes = random.integers(0, SCALES, count).astype(np.uint8)
    symbols = np.round(random.normal(0, scale_table()[indexes])).astype(np.int16)
    return np.where(indexes == 0, 0, symbols), indexes


def write(symbols: Symbols, indexes: RowNumbers, parts: int = 1) -> tuple[tuple[bytes, ...], int]:
    checksum = Checksum()
    encoder = StripEncoder(ROWS, checksum)
    for own, rows in zip(np.array_split(symbols, parts), np.array_split(indexes, parts), strict=True):
        encoder.push(own, rows)
        encoder.end_chunk()
    return encoder.finish(), checksum.value


def test_what_is_pushed_is_pulled() -> None:
    symbols, indexes = draw(20_000, 1)
    symbols[::97] = np.clip(symbols[::97].astype(int) * 50, -32767, 32767)  # escapes
    (*chunks, excess), checksum = write(symbols, indexes, 4)
    check, escapes = Checksum(), Escapes(excess)
    decoder = StripDecoder(ROWS, chunks, escapes, check, len(indexes))
    pulled = [decoder.pull(rows) for rows in np.array_split(indexes, 7)]
    escapes.check_consumed()
    assert np.array_equal(np.concatenate(pulled), symbols)
    assert check.value == checksum


def test_alphabets_share_one_stream() -> None:
    symbols, indexes = draw(3000, 4)
    numbers = np.concatenate([np.arange(5, dtype=np.uint8) + ROWS.starts[1], indexes])
    symbols = np.concatenate([np.asarray([-30, 4, 0, 17, 64], np.int16), symbols])
    (*chunks, excess), _ = write(symbols, numbers, 2)
    decoder = StripDecoder(ROWS, chunks, Escapes(excess), Checksum(), len(numbers))
    assert np.array_equal(np.concatenate([decoder.pull(numbers[:5]), decoder.pull(numbers[5:])]), symbols)


@pytest.mark.parametrize("seed", range(20))
def test_the_chunks_up_to_one_are_enough_for_its_symbols(seed: int) -> None:
    """Whatever follows instead of what was cut off, and with hardly a word more than is needed."""
    random = np.random.default_rng(seed)
    symbols, indexes = draw(int(random.integers(50, 6000)), seed)
    indexes //= int(random.integers(1, 9))
    symbols = np.where(indexes == 0, 0, symbols % 3 - 1)
    chunks, _ = write(symbols, indexes, 6)
    done = 0
    for count in range(1, 6):
        done += len(np.array_split(symbols, 6)[count - 1])
        for rest in (b"", random.bytes(256)):
            decoder = StripDecoder(ROWS, [*chunks[:count], rest], Escapes(lost=True), Checksum(), len(indexes))
            assert np.array_equal(np.clip(decoder.pull(indexes[:done]), -1, 1), symbols[:done])
        cell = symbols[:done].astype(int) + TABLES.bounds[indexes[:done]]
        counts = TABLES.cdf[indexes[:done], cell + 1] - TABLES.cdf[indexes[:done], cell]
        information = -np.log2(counts[indexes[:done] != 0] / 65536).sum() / 8
        assert sum(map(len, chunks[:count])) <= information + 8 + 1 + 4  # a state, the margin, a started word


def test_real_bytes_are_never_far_from_the_information() -> None:
    symbols, indexes = draw(50_000, 2)
    kept = (indexes != 0) & (np.abs(symbols) <= TABLES.bounds[indexes])
    symbols, indexes = symbols[kept], indexes[kept]
    at = symbols + TABLES.bounds[indexes]
    width = TABLES.cdf[indexes, at + 1] - TABLES.cdf[indexes, at]
    information = -np.log2(width / 65536).sum() / 8
    chunks, _ = write(symbols, indexes, 5)
    assert information <= sum(map(len, chunks)) <= 1.001 * information + 12


def test_nothing_to_code_takes_a_state_alone() -> None:
    chunks, _ = write(np.zeros(100, np.int16), np.zeros(100, np.uint8), 3)
    assert chunks == (STATE, b"", b"", b"")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_symbols_come_back(count: int) -> None:
    numbers = np.full(count, SCALES - 1, np.uint8)
    symbols = np.full(count, 500, np.int16)  # as unlikely as can be
    (*chunks, excess), _ = write(symbols, numbers)
    assert np.array_equal(StripDecoder(ROWS, chunks, Escapes(excess), Checksum(), count).pull(numbers), symbols)


@pytest.mark.parametrize("count", [4, 5, 1000, 1001])
def test_a_word_is_read_at_most_every_other_symbol(count: int) -> None:
    """However unlikely they are: so many words of zeros follow a stream that could end early."""
    rarest = int(TABLES.bounds[SCALES - 1])
    (*chunks, _), _ = write(np.full(count, rarest, np.int16), np.full(count, SCALES - 1, np.uint8))
    assert count / 3 < len(b"".join(chunks)) / 4 <= 2 + (count + 1) // 2
    state, read = 2**31, 0  # with zeros after it, of which each symbol takes as much as one can
    for _ in range(count):
        state >>= 16
        if state < 2**31:
            state, read = state << 32, read + 1
    assert read == (count + 1) // 2


def test_symbols_that_are_no_bytes_come_back_beside_those_that_are() -> None:
    for largest in (127, 128, 129, 300):
        numbers = np.full(50, SCALES - 1, np.uint8)
        symbols = np.linspace(-largest, largest, 50).round().astype(np.int16)
        (*chunks, excess), _ = write(symbols, numbers)
        assert np.array_equal(StripDecoder(ROWS, chunks, Escapes(excess), Checksum(), 50).pull(numbers), symbols)


def test_random_bytes_give_symbols_or_a_named_error() -> None:
    random = np.random.default_rng(3)
    indexes = random.integers(0, SCALES, 500).astype(np.uint8)
    for _ in range(300):
        chunk = random.bytes(4 * int(random.integers(2, 30)))
        excess = random.bytes(int(random.integers(0, 6)))
        try:
            pulled = StripDecoder(ROWS, [chunk], Escapes(excess), Checksum(), 500).pull(indexes)
        except FormatError:
            continue
        assert np.abs(pulled).max() < 2**15


def test_reading_past_the_end_stays_in_zeros() -> None:
    indexes = np.full(10_000, SCALES - 1, np.uint8)
    escapes = Escapes(bytes(10_000))
    pulled = StripDecoder(ROWS, [b"\xff" * 7 + b"\x7f"], escapes, Checksum(), 10_000).pull(indexes)
    zeros = [b"\xff" * 7 + b"\x7f" + bytes(40_000)]
    assert np.array_equal(pulled, StripDecoder(ROWS, zeros, Escapes(bytes(10_000)), Checksum(), 10_000).pull(indexes))


@pytest.mark.parametrize("state", [0, 2**31 - 1, 2**63, 2**64 - 1])
def test_a_state_out_of_range_is_refused(state: int) -> None:
    with pytest.raises(FormatError, match="first state"):
        StripDecoder(ROWS, [state.to_bytes(8, "little")], Escapes(), Checksum(), 10)


@pytest.mark.parametrize("chunks", [[b"", STATE], [STATE[:4]], [STATE, b"\x01\x02"]])
def test_a_band_without_a_state_or_with_half_a_word_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(FormatError, match="two 32-bit words"):
        StripDecoder(ROWS, chunks, Escapes(), Checksum(), 10)


@pytest.mark.parametrize("excess", [b"", b"\x80", b"\x80\x80\x80\x00", b"\xff\xff\x7f"])
def test_escapes_that_lie_are_named(excess: bytes) -> None:
    with pytest.raises(FormatError):
        Escapes(excess).read(1)


def test_left_over_escapes_are_named() -> None:
    with pytest.raises(FormatError, match="left over"):
        Escapes(b"\x00").check_consumed()


def test_an_integer_cdf_is_whole_and_leaves_nothing_out() -> None:
    cdf = integer_cdf(np.asarray([1e-12, 0.5, 0.5, 1e-12]))
    assert cdf[0] == 0
    assert cdf[-1] == 65536
    assert (np.diff(cdf) >= 1).all()


def test_tables_that_do_not_rise_are_refused() -> None:
    check_tables(TABLES, SCALES)
    broken = TABLES.cdf.copy()
    broken[3, 2] = broken[3, 1]
    with pytest.raises(CheckpointError, match="rise"):
        check_tables(TABLES._replace(cdf=broken), SCALES)
