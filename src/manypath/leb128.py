"""Unsigned LEB128, bounded: seven bits a byte, the lowest first; the highest bit says that more follow.

The container's table and the escapes write the same numbers. What is wrong with one is told in Python's own words; who
knows the place makes an error of the project's tree of it.
"""

from __future__ import annotations


def write(value: int) -> bytes:
    """Return a number that is not negative in its shortest form."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read(data: bytes | bytearray, position: int, most: int) -> tuple[int, int]:
    """Return the number at ``position`` and the position behind it.

    Args:
        data: where it stands.
        position: of its first byte.
        most: bytes that it may take.

    Raises:
        EOFError: there are not enough bytes.
        ValueError: its first ``most`` bytes do not end it.
    """
    value = 0
    for index in range(most):
        if position + index >= len(data):
            raise EOFError
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError
