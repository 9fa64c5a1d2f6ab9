"""What callers hand in, turned once into what it should be: a value of another type is an error of the tree, too."""

from __future__ import annotations

import math
import numbers
from typing import Any

from manypath.errors import FormatError, RequestError


def as_bytes(stream: object) -> bytes:
    """Return any bytes-like object (bytes, bytearray, memoryview, mmap, an array of bytes) as bytes.

    Raises:
        FormatError: it is none.
    """
    if isinstance(stream, bytes):
        return stream
    try:
        return bytes(memoryview(stream))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as err:
        raise FormatError(f"a bitstream must be bytes or a bytes-like object, got {type(stream).__name__}") from err


def as_number(value: object, name: str, error: type[RequestError] = RequestError) -> float:
    """Return a real number as a float, which may be infinite or not a number.

    Args:
        value: an int, a float, or what numpy calls so.
        name: for the message.
        error: to raise.

    Raises:
        RequestError: of the given class: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise error(f"{name} must be a number, got {value!r:.80}")
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        large: Any = value
        return math.inf if large > 0 else -math.inf
