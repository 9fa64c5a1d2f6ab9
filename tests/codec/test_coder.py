"""The entropy coder: exact, close to the information, and safe on any bytes."""

import numpy as np
import pytest

from manypath.entropy.coder import Checksum, ChunkDecoder, ChunkEncoder, Escapes, Rows
from manypath.entropy.tables import SCALES, check_tables, gaussian_tables, integer_cdf, scale_table
from manypath.errors import CheckpointError, FormatError

ROWS = Rows(gaussian_tables(), skip=True)


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    indexes = random.integers(0, SCALES, count).astype(np.int32)
    symbols = np.round(random.normal(0, scale_table()[indexes])).astype(np.int32)
    return symbols, indexes


def write(symbols: np.ndarray, indexes: np.ndarray) -> tuple[bytes, bytes, int, np.ndarray]:
    escapes, checksum = Escapes(), Checksum()
    encoder = ChunkEncoder(escapes, checksum)
    seen = encoder.push(symbols, ROWS, indexes)
    return encoder.finish(), escapes.finish(), checksum.value, seen


def test_what_is_pushed_is_pulled() -> None:
    symbols, indexes = draw(20_000, 1)
    symbols[::97] *= 50  # escapes
    chunk, excess, checksum, seen = write(symbols, indexes)
    check, escapes = Checksum(), Escapes(excess)
    pulled = ChunkDecoder(chunk, escapes, check, len(indexes)).pull(ROWS, indexes)
    escapes.check_consumed()
    assert np.array_equal(pulled, seen)
    assert check.value == checksum
    kept = indexes != 0
    assert np.array_equal(seen[kept], symbols[kept])
    assert not seen[~kept].any()


def test_real_bytes_are_never_far_from_the_information() -> None:
    symbols, indexes = draw(50_000, 2)
    tables = gaussian_tables()
    kept = (indexes != 0) & (np.abs(symbols) <= tables.bounds[indexes])
    symbols, indexes = symbols[kept], indexes[kept]
    at = symbols + tables.bounds[indexes]
    width = tables.cdf[indexes, at + 1] - tables.cdf[indexes, at]
    information = -np.log2(width / 65536).sum() / 8
    chunk, excess, _, _ = write(symbols, indexes)
    assert information <= len(chunk) + len(excess) <= 1.001 * information + 16


def test_nothing_to_code_takes_no_bytes() -> None:
    chunk, excess, _, _ = write(np.zeros(100, np.int32), np.zeros(100, np.int32))
    assert (chunk, excess) == (b"", b"")


def test_random_bytes_give_symbols_or_a_named_error() -> None:
    random = np.random.default_rng(3)
    indexes = random.integers(0, SCALES, 500).astype(np.int32)
    for _ in range(300):
        chunk = random.bytes(4 * int(random.integers(2, 30)))
        excess = random.bytes(int(random.integers(0, 6)))
        try:
            pulled = ChunkDecoder(chunk, Escapes(excess), Checksum(), 500).pull(ROWS, indexes)
        except FormatError:
            continue
        assert np.abs(pulled).max() < 2**15


def test_reading_past_the_end_stays_in_zeros() -> None:
    indexes = np.full(10_000, SCALES - 1, np.int32)
    escapes = Escapes(bytes(10_000))
    pulled = ChunkDecoder(b"\xff" * 8, escapes, Checksum(), 10_000).pull(ROWS, indexes)
    assert pulled.shape == (10_000,)


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
    tables = gaussian_tables()
    check_tables(tables, SCALES)
    broken = tables.cdf.copy()
    broken[3, 2] = broken[3, 1]
    with pytest.raises(CheckpointError, match="rise"):
        check_tables(tables._replace(cdf=broken), SCALES)
