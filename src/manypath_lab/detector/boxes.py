"""Boxes found in a picture, and how an exported detector is run: onnxruntime, as the worker runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manypath.errors import CheckpointError

Floats = npt.NDArray[np.float32]
_OUTPUTS = ("boxes", "scores", "classes", "count")


class Boxes(NamedTuple):
    """What a detector found, best first.

    Attributes:
        corners: float32 [N, 4], left, top, right, bottom in pixels of the picture.
        scores: float32 [N], 0..1.
        classes: int32 [N].
    """

    corners: Floats
    scores: Floats
    classes: npt.NDArray[np.int32]

    def above(self, score: float) -> Boxes:
        """Return those of a higher score."""
        return self.where(self.scores > score)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Boxes:
        """Return those that are chosen, bool [N]."""
        return Boxes(self.corners[chosen], self.scores[chosen], self.classes[chosen])

    @property
    def areas(self) -> Floats:
        """Return square pixels, float32 [N]."""
        sides = self.corners[:, 2:] - self.corners[:, :2]
        areas: Floats = sides[:, 0] * sides[:, 1]
        return areas


def read_model(file: Path) -> bytes:
    """Return an ONNX file.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as err:
        raise CheckpointError(
            f"{file} cannot be read: {err.strerror}; `manypath lab detector export` writes a detector"
        ) from err


class OnnxDetector:
    """Runs an exported detector.

    Args:
        model: the ONNX file, or its bytes.
        threads: of onnxruntime.

    Raises:
        CheckpointError: there is no such file, or it is not a detector.
    """

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        import onnxruntime

        name, source = ("the model", model) if isinstance(model, bytes) else (str(model), read_model(model))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime raises a dozen unrelated classes
            raise CheckpointError(f"{name} does not load: {err}") from err
        names = [tensor.name for tensor in (*self._session.get_inputs(), *self._session.get_outputs())]
        if names != ["image", *_OUTPUTS]:
            raise CheckpointError(f"{name} must take image and give {', '.join(_OUTPUTS)}; it has {', '.join(names)}")

    def find(self, image: npt.NDArray[np.uint8]) -> Boxes:
        """Return the boxes in a picture, uint8 [H, W, 3]."""
        boxes, scores, classes, count = self._session.run(list(_OUTPUTS), {"image": image[None]})
        most = int(count[0, 0])
        return Boxes(boxes[0, :most], scores[0, :most], classes[0, :most])
