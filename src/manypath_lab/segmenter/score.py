"""How well an exported segmenter does on labelled street scenes, run as the worker runs it: onnxruntime, one thread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from manypath_lab.onnx_session import open_session
from manypath_lab.segmenter.confusion import Confusion
from manypath_lab.segmenter.data import CLASSES, Scene


class OnnxSegmenter:
    """Runs an exported segmenter.

    Args:
        file: the ONNX file.
        threads: of onnxruntime.

    Raises:
        CheckpointError: there is no such file, or it is not a segmenter.
    """

    def __init__(self, file: Path, threads: int = 1) -> None:
        self._session: Any = open_session(file, ["mask"], threads)

    def mask(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the class of each pixel, uint8 [H, W], of a picture, uint8 [H, W, 3]."""
        result: npt.NDArray[np.uint8] = self._session.run(["mask"], {"image": image[None]})[0][0]
        return result


def score(segmenter: OnnxSegmenter, scenes: Iterable[Scene]) -> Confusion:
    """Return the counts over all scenes."""
    confusion = Confusion(len(CLASSES))
    for scene in scenes:
        confusion.add(scene.mask, segmenter.mask(scene.image))
    return confusion


def table(confusion: Confusion) -> str:
    """Return IoU and share of labelled pixels per class, the mean IoU and the accuracy, as text."""
    shares = confusion.counts.sum(1) / max(1, confusion.counts.sum())
    width = max(map(len, CLASSES))
    lines = [f"{'class':{width}}    IoU  pixels"]
    for name, iou, share in zip(CLASSES, confusion.iou(), shares, strict=True):
        lines.append(f"{name:{width}}  {'absent' if np.isnan(iou) else f'{iou:5.1%}'}  {share:6.1%}")
    lines.append(f"{'mean IoU':{width}}  {confusion.mean_iou():5.1%}")
    lines.append(f"{'accuracy':{width}}  {confusion.accuracy():5.1%}")
    return "\n".join(lines)
