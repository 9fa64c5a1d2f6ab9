"""Ways to break a whole stream: damage as on a wire, and lies aimed at one structure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from manypath.bitstream import HEADER_BYTES, checksum, parse

DEFAULT_SEED = 20


class Mutant(NamedTuple):
    """A broken stream.

    Attributes:
        data: its bytes.
        kind: what was done to it.
        checksum_fixed: whether its CRC was computed anew, as an attacker would.
    """

    data: bytes
    kind: str
    checksum_fixed: bool


Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def flip_bits(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Flip one to eight bits."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwrite(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Overwrite up to 16 bytes by noise, zeros or ones."""
    at = _position(rng, data)
    length = min(rng.randint(1, 16), len(data) - at)
    return data[:at] + _filler(rng, length) + data[at + length :]


def truncate(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Keep a beginning."""
    return data[: _position(rng, data)]


def insert(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Insert up to 64 bytes anywhere, the end included."""
    at = rng.choice((_position(rng, data), len(data)))
    return data[:at] + _filler(rng, rng.randint(1, 64)) + data[at:]


def delete(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Take out up to 64 bytes."""
    at = _position(rng, data)
    return data[:at] + data[at + rng.randint(1, 64) :]


def splice(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The beginning of one stream, the end of another."""
    other = rng.choice(seeds)
    return data[: _position(rng, data)] + other[_position(rng, other) :]


def edit_header(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Set one field to a value at an edge of its range, or near to what it was."""
    offset, size = rng.choice(((0, 4), (4, 1), (5, 1), (6, 4), (10, 2), (12, 2), (14, 1), (15, 1), (16, 4), (20, 4)))
    old = int.from_bytes(data[offset : offset + size], "little")
    edges = (
        0,
        1,
        2,
        16,
        17,
        63,
        64,
        224,
        225,
        255,
        16383,
        16384,
        65535,
        2**32 - 1,
        old - 1,
        old + 1,
        old ^ 64,
    )
    new = rng.choice(edges) & ((1 << 8 * size) - 1)
    return data[:offset] + new.to_bytes(size, "little") + data[offset + size :]


def edit_table(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Let one length of the table lie, in value or in form."""
    chunks = _chunks(data)
    numbers = _numbers(data)
    forged = [_leb128(number) for number in numbers]
    which = rng.randrange(len(forged))
    number = numbers[which]
    edges = (
        0,
        1,
        127,
        128,
        number - 4,
        number - 1,
        number + 1,
        number + 4,
        2**30 - 1,
        2**30,
        2**31,
        2**32 - 1,
        2**32,
        2**35 - 1,
    )
    value = max(0, rng.choice(edges))
    forms = (
        _leb128(value),
        _leb128(value),
        _leb128(number, padding=rng.randint(1, 6)),
        b"\xff" * rng.randint(1, 9),
    )
    forged[which] = rng.choice(forms)
    return data[:HEADER_BYTES] + b"".join(forged) + b"".join(chunks)


def shift_border(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Move words from one chunk to the next by two lengths that lie together: the sum stays right."""
    chunks = _chunks(data)
    numbers, units = _numbers(data), _units(data)
    first, second = sorted(rng.sample(range(len(chunks)), 2))
    moved = min(rng.choice((1, 2, 4, 8, numbers[first])), numbers[first])
    numbers[first] -= moved
    numbers[second] += moved * units[first] // units[second]
    return data[:HEADER_BYTES] + b"".join(map(_leb128, numbers)) + b"".join(chunks)


def edit_chunks(rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Exchange, empty, lengthen, shorten or replace one chunk, with a table that says so."""
    chunks = _chunks(data)
    which, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    chunk = chunks[which]
    edits = (
        chunks[other],
        b"",
        chunk + _filler(rng, 4 * rng.randint(1, 4)),
        chunk[:-4],
        chunk[: rng.randrange(len(chunk) + 1) & ~3],
        _filler(rng, len(chunk)),
        _filler(rng, 4 * rng.randint(0, 64)),
        rng.choice(_chunks(rng.choice(seeds))),
    )
    units = _units(data)
    edited = rng.choice(edits)
    chunks[which] = edited[: len(edited) // units[which] * units[which]]
    numbers = [len(chunk) // unit for chunk, unit in zip(chunks, units, strict=True)]
    return data[:HEADER_BYTES] + b"".join(map(_leb128, numbers)) + b"".join(chunks)


def edit_words(rng: random.Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Change a few bytes behind the table, where only the entropy decoder can tell."""
    out = bytearray(data)
    first = len(data) - sum(map(len, _chunks(data)))
    for _ in range(rng.randint(1, 4)):
        if first < len(out):
            out[rng.randrange(first, len(out))] = rng.randrange(256)
    return bytes(out)


ANYWHERE: tuple[Mutation, ...] = (flip_bits, overwrite, truncate, insert, delete, splice)
AIMED: tuple[Mutation, ...] = (edit_header, edit_table, shift_border, edit_chunks, edit_words)


def mutants(seeds: Sequence[bytes], start: int, count: int, seed: int = DEFAULT_SEED) -> Iterator[Mutant]:
    """Yield mutants number start .. start + count - 1 of whole streams."""
    for number in range(start, start + count):
        rng = random.Random(f"{seed}:{number}")
        mutation = rng.choice(ANYWHERE + AIMED)
        data = mutation(rng, rng.choice(seeds), seeds)
        # Aimed lies are mostly stopped by the CRC, so mostly fix it; damage on a wire comes without.
        fixed = len(data) >= HEADER_BYTES and rng.random() < (0.9 if mutation in AIMED else 0.5)
        yield Mutant(with_good_checksum(data) if fixed else data, mutation.__name__, fixed)


def with_good_checksum(data: bytes) -> bytes:
    """Return the stream with its CRC computed anew."""
    crc = checksum(data[:HEADER_BYTES], data[HEADER_BYTES:])
    return data[:16] + crc.to_bytes(4, "little") + data[20:]


def _position(rng: random.Random, data: bytes) -> int:
    """A place in the stream; half the time near its beginning, where the structure is."""
    return rng.randrange(min(len(data), HEADER_BYTES + 32) if rng.random() < 0.5 else len(data))


def _filler(rng: random.Random, length: int) -> bytes:
    return rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))


def _chunks(data: bytes) -> list[bytes]:
    return [chunk for strip in parse(data).strips for chunk in strip]


def _units(data: bytes) -> list[int]:
    """The bytes that each number of the table counts: words, and bytes of a strip's last chunk."""
    return [unit for strip in parse(data).strips for unit in [4] * (len(strip) - 1) + [1]]


def _numbers(data: bytes) -> list[int]:
    return [len(chunk) // unit for chunk, unit in zip(_chunks(data), _units(data), strict=True)]


def _leb128(value: int, padding: int = 0) -> bytes:
    """The format's numbers, with ``padding`` bytes that its shortest form forbids."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * padding
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
