"""Bounds on a protobuf message before it is parsed: millions of empty parts cost seconds and gigabytes to parse.

The parser holds the interpreter's lock for as long as it works, so it must not begin what is not worth it. Only tags
and lengths are read here, and never more of them than a message may have; other calls get their turn in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from manypath_services.common.errors import MessageError

MAX_PARTS = 10_000
"""Fields of a message, those of its parts included; reading so many tags takes some milliseconds."""
MAX_PACKED_BYTES = 2**25
"""Of one list of numbers; in memory each takes up to eight bytes, however small it was on the wire."""
_MAX_DEPTH = 32
_AT_ONCE = 500  # parts, of half a millisecond, before others get their turn

_VARINT, _FIXED64, _LENGTH, _GROUP, _END_GROUP, _FIXED32 = range(6)
_BYTES_TYPES = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_WIDE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_FLOAT,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED32,
}


class _Part(NamedTuple):
    start: int
    end: int
    kind: Descriptor | None
    depth: int


def parser(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Awaitable[Any]]:
    """Return what reads a message after its parts were counted.

    Args:
        deserializer: ``FromString`` of a generated message class; None returns the bytes as they are.
    """
    kind: Descriptor | None = getattr(getattr(deserializer, "__self__", None), "DESCRIPTOR", None)

    async def parse(message: bytes) -> Any:
        if deserializer is None:
            return message
        for _ in counted_parts(message, kind):
            await asyncio.sleep(0)
        try:
            return deserializer(message)
        except DecodeError as err:
            name = kind.full_name if kind is not None else "message"
            raise MessageError(f"the message is no {name}: malformed protobuf of {len(message)} bytes") from err

    return parse


def counted_parts(message: bytes, kind: Descriptor | None, limit: int = MAX_PARTS) -> Iterator[None]:
    """Refuse a message of too many parts, without parsing it; yields now and then, for others to have their turn.

    Args:
        message: as it came.
        kind: whose fields of message type are looked into; None looks at the outermost alone.
        limit: fields accepted, at every depth together.

    Raises:
        MessageError: more parts, a list of numbers that is too long, or tags and lengths that make no sense.
    """
    count = 0
    waiting = [_Part(0, len(message), kind, 0)]
    while waiting:
        part = waiting.pop()
        position = part.start
        while position < part.end:
            count += 1
            if count > limit:
                raise MessageError(f"the message has more than {limit} parts; nothing of ours needs so many")
            if count % _AT_ONCE == 0:
                yield
            tag, position = _varint(message, position, part.end)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                _, position = _varint(message, position, part.end)
            elif wire == _FIXED64:
                position += 8
            elif wire == _FIXED32:
                position += 4
            elif wire == _LENGTH:
                length, start = _varint(message, position, part.end)
                position = start + length
                waiting.extend(_inside(part, number, start, position))
            elif wire not in (_GROUP, _END_GROUP):
                raise MessageError(f"malformed protobuf: wire type {wire} at byte {position}")
            if position > part.end:
                raise MessageError(f"malformed protobuf: a field ends behind its message of {len(message)} bytes")


def _inside(part: _Part, number: int, start: int, end: int) -> tuple[_Part, ...]:
    """Return the message that a part's field of some length is, if it is one."""
    field = part.kind.fields_by_number.get(number) if part.kind is not None else None
    if field is None or field.type in _BYTES_TYPES:
        return ()
    if field.message_type is not None:
        if part.depth >= _MAX_DEPTH:
            raise MessageError(f"the message is nested deeper than {_MAX_DEPTH} levels")
        return (_Part(start, min(end, part.end), field.message_type, part.depth + 1),)
    if end - start > _packed_limit(field):
        raise MessageError(
            f"{field.full_name} is a list of {end - start} bytes, accepted are {_packed_limit(field)}; "
            "send large arrays as raw bytes"
        )
    return ()


def _packed_limit(field: FieldDescriptor) -> int:
    return MAX_PACKED_BYTES if field.type in _WIDE_TYPES else MAX_PACKED_BYTES // 4


def _varint(message: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    raise MessageError(f"malformed protobuf: a number that does not end, at byte {position}")
