"""Boxes found in a picture, and how an exported detector is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from manypath_lab.onnx_session import open_session

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


class OnnxDetector:
    """Runs an exported detector.

    Args:
        model: the ONNX file, or its bytes.
        threads: of onnxruntime.

    Raises:
        CheckpointError: there is no such file, or it is not a detector.
    """

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        self._session: Any = open_session(model, _OUTPUTS, threads)

    def find(self, image: npt.NDArray[np.uint8]) -> Boxes:
        """Return the boxes in a picture, uint8 [H, W, 3]."""
        boxes, scores, classes, count = self._session.run(list(_OUTPUTS), {"image": image[None]})
        most = int(count[0, 0])
        return Boxes(boxes[0, :most], scores[0, :most], classes[0, :most])
