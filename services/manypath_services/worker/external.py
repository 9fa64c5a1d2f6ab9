"""Whether an ONNX file refers to other files: onnxruntime would read them from the working directory.

The file is protobuf; of its tree only the parts that lead to tensors are walked, by their numbers in onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _MODEL = range(8)
_PARTS: Mapping[int, Mapping[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _FUNCTION: {7: _NODE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1  # fields of a tensor


def refers_outside(graph: bytes) -> bool:
    """Return whether any tensor's data lie in another file; bytes that are no ONNX file refer to nothing."""
    waiting = [(_MODEL, memoryview(graph))]
    while waiting:
        kind, part = waiting.pop()
        try:
            for number, value in _fields(part):
                if kind == _TENSOR and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL)):
                    return True
                below = _PARTS[kind].get(number)
                if below is not None and isinstance(value, memoryview):
                    waiting.append((below, value))
        except IndexError:
            return False  # damaged: onnxruntime says so
    return False


def _fields(part: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(part):
        tag, position = _varint(part, position)
        wire = tag & 7
        value: int | memoryview = 0
        if wire == 0:
            value, position = _varint(part, position)
        elif wire == 2:
            length, position = _varint(part, position)
            value = part[position : position + length]
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise IndexError("no such wire type in an ONNX file")
        yield tag >> 3, value


def _varint(part: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = part[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
