"""Asking a detector where things are in a picture, and reading its boxes.

Ours answers with rows of one length (``boxes``, ``scores``, ``classes``, ``count``). A user's own may call its tensors
otherwise, or give one tensor with a row of six numbers for each box, as many YOLO exports with suppression inside do:
``DetectorTensors`` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from grpc import StatusCode

from manypath_services.common.errors import ServiceError
from manypath_services.inference.picture_input import PictureInput
from manypath_services.inference.tasks import CLASS_NAMES, AnswerError, Asked, Image, Metadata, Output, strings
from manypath_services.inference.tensors import Array

MIN_SCORE = 0.3
"""Of a box, where the request does not say: below it NanoDet-g errs as often as not."""
MOST_BOXES = 100
"""Of a picture, where the request does not say."""
_CLASSES = 2**16  # no detector has more; an index travels as uint32


class ClassNameError(ServiceError):
    """A request asks for boxes of a class that the detector does not have."""

    code = StatusCode.INVALID_ARGUMENT


class DetectorTensors(NamedTuple):
    """Names of a detector's outputs.

    Attributes:
        boxes: [1, N, 4], left, top, right, bottom in pixels of the input.
        scores: [1, N].
        classes: [1, N], indexes.
        count: [1] or [1, 1], how many of the N rows are boxes; a model may lack it: rows without a score are none.
        rows: [1, N, 6], all in one: left, top, right, bottom, score, class; taken where the model has it.
    """

    boxes: str = "boxes"
    scores: str = "scores"
    classes: str = "classes"
    count: str = "count"  # type: ignore[assignment]  # hides tuple.count, which names have no use for
    rows: str = "rows"

    def wanted(self, outputs: Sequence[Metadata]) -> list[str]:
        """Return the names of those that a model has and that together are an answer; empty if it has none."""
        names = [tensor.name for tensor in outputs]
        if self.rows in names:
            return [self.rows]
        three = [self.boxes, self.scores, self.classes]
        return [*three, *([self.count] if self.count in names else [])] if set(three) <= set(names) else []


class BoxFound(NamedTuple):
    """One thing in a picture.

    Attributes:
        corners: left, top, right, bottom in pixels of the picture as it came, within it.
        index: of the class.
        name: of the class; empty if the server does not tell.
        score: 0..1.
    """

    corners: tuple[float, float, float, float]
    index: int  # type: ignore[assignment]  # hides tuple.index, which a box has no use for
    name: str
    score: float


class BoxesFound(NamedTuple):
    """What a detector says.

    Attributes:
        boxes: best first.
    """

    boxes: tuple[BoxFound, ...]


class Detect:
    """Where are which things in a picture? One question serves one picture.

    Args:
        longest_side: of what is sent to a model of any size, in pixels: a larger picture is shrunk.
        min_score: boxes of a lower score are left out.
        classes: names of those wanted, or their indexes as text; empty is all.
        most: boxes at most, the best.
        tensors: names of the outputs.
    """

    def __init__(
        self,
        longest_side: int,
        *,
        min_score: float = MIN_SCORE,
        classes: Sequence[str] = (),
        most: int = MOST_BOXES,
        tensors: DetectorTensors = DetectorTensors(),  # noqa: B008  immutable
    ) -> None:
        self._longest_side = longest_side
        self._min_score = min_score
        self._classes = tuple(classes)
        self._most = most
        self._tensors = tensors
        self._sent: tuple[int, int] | None = None  # height and width of the model's input

    def outputs(self, outputs: Sequence[Metadata]) -> Sequence[str]:
        """Return the names of the outputs that hold boxes."""
        names = self._tensors.wanted(outputs)
        if not names:
            have = [tensor.name for tensor in outputs]
            needed = self._tensors
            raise AnswerError(
                f"has outputs {have}, a detector has {needed.boxes}, {needed.scores} and {needed.classes}, or "
                f"{needed.rows}; set MANYPATH_DECODER_DETECTOR_TENSORS to its names"
            )
        return names

    def tensor(self, picture: PictureInput, image: Image) -> Array:
        """Return the whole picture, shrunk where it is large or the model has a size."""
        array = picture.prepare_whole(image, self._longest_side)
        axes = array.shape[-2:] if picture.channels_first else array.shape[-3:-1]
        self._sent = int(axes[0]), int(axes[1])
        return array

    def mark(self, asked: Asked) -> None:
        """Nothing is to be said."""

    def answer(self, outputs: Sequence[Output], image: Image) -> BoxesFound:
        """Read the boxes, best first, in pixels of the picture.

        Raises:
            AnswerError: the tensors make no sense.
            ClassNameError: a class that was asked for does not exist.
        """
        boxes, scores, classes = self._rows(outputs)
        names = next((told for output in outputs if (told := strings(output, CLASS_NAMES))), ())
        height, width = image.shape[:2]
        sent = self._sent or (height, width)
        factors = np.array([width / sent[1], height / sent[0]] * 2)
        corners = np.clip(boxes * factors, 0.0, np.array([width, height] * 2, np.float64))
        chosen = (scores >= self._min_score) & (scores > 0)
        if self._classes:
            chosen &= np.isin(classes, self._indexes(names))
        order = np.flatnonzero(chosen)
        order = order[np.argsort(-scores[order], kind="stable")][: self._most]
        found = (
            BoxFound(
                (float(corners[row, 0]), float(corners[row, 1]), float(corners[row, 2]), float(corners[row, 3])),
                int(classes[row]),
                names[classes[row]] if classes[row] < len(names) else "",
                float(scores[row]),
            )
            for row in order
        )
        return BoxesFound(tuple(found))

    def _rows(
        self, outputs: Sequence[Output]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return boxes [N, 4], scores [N] and classes [N] of the rows that are boxes."""
        arrays = [output.array for output in outputs]
        if any(array.dtype.kind not in "fiu" for array in arrays):
            raise AnswerError(f"answered {[str(array.dtype) for array in arrays]}, expected numbers")
        if len(arrays) == 1:
            table = _of_one_picture(arrays[0], 6)
            boxes, scores, classes = table[:, :4], table[:, 4], table[:, 5]
        else:
            boxes = _of_one_picture(arrays[0], 4)
            scores, classes = (array.astype(np.float64).ravel() for array in arrays[1:3])
            if not len(boxes) == len(scores) == len(classes):
                raise AnswerError(f"answered {len(boxes)} boxes, {len(scores)} scores and {len(classes)} classes")
            if len(arrays) > 3:
                number = arrays[3].ravel()
                if len(number) != 1 or not 0 <= number[0] <= len(boxes):
                    raise AnswerError(f"answered a count of {number[:4].tolist()} for {len(boxes)} rows")
                boxes, scores, classes = (part[: int(number[0])] for part in (boxes, scores, classes))
        if not all(np.isfinite(part).all() for part in (boxes, scores, classes)):
            raise AnswerError("answered boxes that are not finite numbers")
        if len(classes) and not 0 <= classes.min() <= classes.max() < _CLASSES:
            raise AnswerError(f"answered classes {classes.min()} to {classes.max()}, accepted are 0 to {_CLASSES - 1}")
        return boxes, scores, classes.astype(np.int64)

    def _indexes(self, names: tuple[str, ...]) -> list[int]:
        found = []
        for wanted in self._classes:
            if wanted in names:
                found.append(names.index(wanted))
            elif wanted.isascii() and wanted.isdecimal():
                found.append(int(wanted[:9]))
            else:
                known = ", ".join(names[:100]) or "not told by this server: give indexes"
                raise ClassNameError(f"the detector has no class {wanted[:40]!r}; its classes are {known}")
        return found


def _of_one_picture(array: Array, columns: int) -> npt.NDArray[np.float64]:
    if array.ndim not in (2, 3) or array.shape[-1] != columns or (array.ndim == 3 and array.shape[0] != 1):
        raise AnswerError(f"answered {list(array.shape)} for one picture, expected [1, N, {columns}]")
    return array.reshape(-1, columns).astype(np.float64)
