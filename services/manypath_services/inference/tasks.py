"""What a network can be asked about a picture, and how its answer is read; no transport.

A question knows which outputs of a model it needs, how the picture becomes the input, and what the outputs mean.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from grpc import StatusCode
from PIL import Image as PillowImage

from manypath_api.inference import open_inference_pb2 as pb
from manypath_services.common.errors import ServiceError
from manypath_services.inference.picture_input import PictureInput
from manypath_services.inference.tensors import Array, datatype_of

Image = npt.NDArray[np.uint8]
Metadata = pb.ModelMetadataResponse.TensorMetadata
Asked = pb.ModelInferRequest.InferRequestedOutputTensor

CLASS_NAMES, CLASS_COLOURS = "class_names", "class_colours"
"""Parameters of a mask that our worker sends: JSON lists by class index, colours as "#rrggbb"."""
_SCORES = ("FP32", "FP16", "FP64")
_INDEXES = ("UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "UINT32", "UINT64")
CLASSIFIER_SIDE = 1024
"""Pixels of the longest side that a classifier of any size is given."""
_MOST_LABELS = 2**20  # classes of a classifier
_LONGEST_NAME = 256  # characters of a class's name
_LONGEST_LINE = 1024  # bytes of "score:index:label"
_LONGEST_LIST = 2**17  # characters of a JSON list
_CLASSES = 256  # of a mask: a byte a pixel


class AnswerError(ServiceError):
    """A model does not give what is asked for, or its answer makes no sense."""

    code = StatusCode.FAILED_PRECONDITION


class Label(NamedTuple):
    """What a classifier says.

    Attributes:
        index: of the class.
        name: of the class; empty if neither the server nor the client knows it.
        score: as the server gives it; a probability from our worker.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which a label has no use for
    name: str
    score: float


class ClassMap(NamedTuple):
    """What a segmenter says.

    Attributes:
        indexes: class of each pixel, uint8 [H, W] as the picture has them.
        names: by class index; empty if the server does not tell.
        colours: uint8 [classes, 3], RGB by class index; empty if the server does not tell.
    """

    indexes: Image
    names: tuple[str, ...]
    colours: Image


class Output(NamedTuple):
    """A tensor that came back.

    Attributes:
        array: its elements; bytes as objects.
        parameters: that came with it.
    """

    array: Array
    parameters: Mapping[str, pb.InferParameter]

    @property
    def datatype(self) -> str:
        """In the protocol's words."""
        return datatype_of(self.array)


class Kind(enum.Enum):
    """What a model's outputs look like."""

    CLASSIFIER = "classifier"
    SEGMENTER = "segmenter"
    DETECTOR = "detector"
    OTHER = "other"


Answer_co = TypeVar("Answer_co", covariant=True)


class Question(Protocol[Answer_co]):
    """Something to ask of a model that takes one picture."""

    def outputs(self, outputs: Sequence[Metadata]) -> Sequence[str]:
        """Return the names of the outputs that hold the answer.

        Raises:
            AnswerError: there is none.
        """

    def tensor(self, picture: PictureInput, image: Image) -> Array:
        """Return the input for a picture."""

    def mark(self, asked: Asked) -> None:
        """Add what the server has to know."""

    def answer(self, outputs: Sequence[Output], image: Image) -> Answer_co:
        """Read the outputs, which are in the order of ``outputs``.

        Raises:
            AnswerError: they make no sense.
        """


class Classify(NamedTuple):
    """Which labels does a picture deserve?

    Attributes:
        top_k: how many, at least 1.
        names: by class index, for servers that do not send them.
        longest_side: of what is sent to a model of any size, in pixels; it looks at few more than 200.
    """

    top_k: int
    names: tuple[str, ...] = ()
    longest_side: int = CLASSIFIER_SIDE

    def outputs(self, outputs: Sequence[Metadata]) -> Sequence[str]:
        """Return the first output of floats."""
        scores = [tensor.name for tensor in outputs if tensor.datatype in _SCORES]
        if not scores:
            raise AnswerError(f"has outputs {_listed(outputs)}, a classifier has one of {', '.join(_SCORES)}")
        return scores[:1]

    def tensor(self, picture: PictureInput, image: Image) -> Array:
        """Return the picture's middle where the model has a size, else the picture, shrunk where it is large."""
        return picture.prepare(image) if picture.size is not None else picture.prepare_whole(image, self.longest_side)

    def mark(self, asked: Asked) -> None:
        """Ask for names, as Triton and our worker send them."""
        asked.parameters["classification"].int64_param = self.top_k

    def answer(self, outputs: Sequence[Output], image: Image) -> list[Label]:
        """Read names, or rank scores."""
        array = outputs[0].array
        if array.size != array.shape[-1]:
            raise AnswerError(f"answered {list(array.shape)} for one picture, expected [1, classes]")
        if array.size > _MOST_LABELS:
            raise AnswerError(f"answered {array.size} classes, accepted are {_MOST_LABELS}")
        flat = array.ravel()
        return self._parse(flat[: self.top_k]) if array.dtype == object else self._rank(flat)

    def _parse(self, lines: Array) -> list[Label]:
        """Read Triton's "score:index:label", where ":label" may be missing."""
        found: list[Label] = []
        for line in lines:
            score, _, rest = line[:_LONGEST_LINE].decode("utf-8", errors="replace").partition(":")
            index, _, name = rest.partition(":")
            try:
                label = Label(int(index), name[:_LONGEST_NAME] or self._name(int(index)), float(score))
            except ValueError as err:
                raise AnswerError(f"answered {line[:80]!r}, expected score:index:label") from err
            if not 0 <= label.index < _MOST_LABELS or not math.isfinite(label.score):
                raise AnswerError(
                    f"answered {line[:80]!r}, expected an index of 0..{_MOST_LABELS - 1} and a finite score"
                )
            found.append(label)
        return found

    def _rank(self, scores: Array) -> list[Label]:
        if not np.isfinite(scores).all():
            raise AnswerError("answered scores that are no finite numbers")
        order = np.argsort(-scores, kind="stable")[: self.top_k]
        return [Label(int(index), self._name(int(index)), float(scores[index])) for index in order]

    def _name(self, index: int) -> str:
        return self.names[index] if 0 <= index < len(self.names) else ""


class Segment(NamedTuple):
    """Which class does each pixel of a picture belong to?

    A model may answer with class indexes, or with a score for each class.

    Attributes:
        longest_side: of what is sent, in pixels: a larger picture is shrunk, and its mask enlarged again.
    """

    longest_side: int

    def outputs(self, outputs: Sequence[Metadata]) -> Sequence[str]:
        """Return the first map of indexes, or else of scores."""
        maps = [tensor.name for tensor in outputs if _is_index_map(tensor)]
        maps += [tensor.name for tensor in outputs if _is_score_map(tensor)]
        if not maps:
            raise AnswerError(
                f"has outputs {_listed(outputs)}, a segmenter has indexes [N, H, W] or scores [N, C, H, W]"
            )
        return maps[:1]

    def tensor(self, picture: PictureInput, image: Image) -> Array:
        """Return the whole picture, shrunk where it is large or the model has a size."""
        return picture.prepare_whole(image, self.longest_side)

    def mark(self, asked: Asked) -> None:
        """Nothing is to be said."""

    def answer(self, outputs: Sequence[Output], image: Image) -> ClassMap:
        """Read the map, in the size of the picture."""
        array = outputs[0].array
        if array.dtype.kind == "f":
            if array.ndim not in (3, 4) or array.size != np.prod(array.shape[-3:]):
                raise AnswerError(f"answered {list(array.shape)} for one picture, expected [1, classes, H, W]")
            if not np.isfinite(array).all():
                raise AnswerError("answered scores that are no finite numbers")
            array = array.reshape(array.shape[-3:]).argmax(axis=0)
        elif array.dtype.kind not in "iu" or array.ndim < 2 or array.size != np.prod(array.shape[-2:]):
            raise AnswerError(f"answered {array.dtype} {list(array.shape)} for one picture, expected [1, H, W]")
        array = array.reshape(array.shape[-2:])
        if array.min() < 0 or array.max() >= _CLASSES:
            raise AnswerError(f"answered classes {array.min()} to {array.max()}, accepted are 0 to {_CLASSES - 1}")
        height, width = image.shape[:2]
        indexes = PillowImage.fromarray(array.astype(np.uint8))
        if indexes.size != (width, height):
            indexes = indexes.resize((width, height), PillowImage.Resampling.NEAREST)
        names = strings(outputs[0], CLASS_NAMES)
        return ClassMap(np.asarray(indexes), names, _colours(strings(outputs[0], CLASS_COLOURS)))


class Everything(NamedTuple):
    """Whatever a model has to say of a picture."""

    names: tuple[str, ...]

    def outputs(self, outputs: Sequence[Metadata]) -> Sequence[str]:
        """Return them all."""
        return [tensor.name for tensor in outputs]

    def tensor(self, picture: PictureInput, image: Image) -> Array:
        """Return the whole picture."""
        return picture.prepare_whole(image)

    def mark(self, asked: Asked) -> None:
        """Nothing is to be said."""

    def answer(self, outputs: Sequence[Output], image: Image) -> list[Output]:
        """Return them as they came."""
        return list(outputs)


def kind_of(outputs: Sequence[Metadata]) -> Kind:
    """Return what a model is, seen from outside: it has one output that looks like scores or like a map."""
    if len(outputs) == 1:
        (output,) = outputs
        if output.datatype in _SCORES and len(output.shape) in (1, 2):
            return Kind.CLASSIFIER
        if _is_index_map(output) or (_is_score_map(output) and len(output.shape) == 4):
            return Kind.SEGMENTER
    return Kind.OTHER


def _is_index_map(tensor: Metadata) -> bool:
    return tensor.datatype in _INDEXES and len(tensor.shape) in (2, 3, 4)


def _is_score_map(tensor: Metadata) -> bool:
    return tensor.datatype in _SCORES and len(tensor.shape) in (3, 4)


def _listed(outputs: Sequence[Metadata]) -> dict[str, str]:
    return {tensor.name: tensor.datatype for tensor in outputs}


def strings(output: Output, parameter: str) -> tuple[str, ...]:
    """Return a parameter that is a JSON list of strings; empty if it was not sent.

    Raises:
        AnswerError: it is something else.
    """
    text = output.parameters[parameter].string_param if parameter in output.parameters else "[]"
    if len(text) > _LONGEST_LIST:
        raise AnswerError(f"answered {parameter} of {len(text)} characters, accepted are {_LONGEST_LIST}")
    try:
        found = json.loads(text)
    except ValueError as err:
        raise AnswerError(f"answered {parameter} {text[:80]!r}, expected a JSON list") from err
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found) or len(found) > _CLASSES:
        raise AnswerError(f"answered {parameter} {text[:80]!r}, expected at most {_CLASSES} strings")
    return tuple(found)


def _colours(texts: Sequence[str]) -> Image:
    try:
        values = [bytes.fromhex(text.removeprefix("#")) for text in texts]
        return np.array([list(value) for value in values], np.uint8).reshape(len(texts), 3)
    except ValueError as err:
        raise AnswerError(f"answered {CLASS_COLOURS} {list(texts)[:3]}, expected colours as #rrggbb") from err
