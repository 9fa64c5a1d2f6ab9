"""Mean intersection over union of the street segmenter, in onnxruntime."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from manypath_lab.evaluation.judges.judge import Floats, Measure, Record, share
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case
from manypath_lab.onnx_session import open_session


def mean_iou(sums: Floats) -> Floats:
    """Return the mean intersection over union, percent, of confusion counts [..., n * n], truth by answer.

    Classes that neither the truth nor an answer holds are left out.
    """
    classes = round(sums.shape[-1] ** 0.5)
    counts = sums.reshape(*sums.shape[:-1], classes, classes)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    union = counts.sum(-1) + counts.sum(-2) - hits
    known = union > 0
    ratio = np.divide(hits, union, out=np.zeros_like(hits), where=known)
    out: Floats = 100.0 * ratio.sum(-1) / np.maximum(known.sum(-1), 1)
    return out


def mask_measures(classes: int) -> tuple[Measure, ...]:
    """Return mIoU against the masks, and the share of pixels answered as on the original, of ``mask_record``'s."""
    drops = (1.0, 2.0, 5.0)
    return (
        Measure("miou", "mIoU (%)", slice(0, classes**2), mean_iou, digits=1, drops=drops),
        Measure("agreement", "pixels answered as on the original (%)", slice(-2, None), share, digits=1, drops=drops),
    )


def mask_record(truth: Pixels, mask: Pixels, mask_of_original: Pixels, classes: int) -> Record:
    """Return the counts of (truth, answer), then pixels that agree, then all pixels: float64 [classes**2 + 2].

    True labels from ``classes`` on are void and left out; two answers agree where their class is the same, void
    included.
    """
    known = truth < classes
    pairs = truth[known].astype(np.int64) * classes + mask[known]
    counts = np.bincount(pairs, minlength=classes**2)
    return np.asarray([*counts, np.count_nonzero(mask == mask_of_original), mask.size], dtype=np.float64)


class SegmenterJudge:
    """A segmenter; see ``mask_record`` for what it notes of a picture."""

    label = "street segmenter"

    def __init__(self, file: pathlib.Path | None = None, *, threads: int = 1) -> None:
        """Load the network.

        Args:
            file: weights that ``manypath lab segmenter export`` wrote; the shipped ones by default.
            threads: of onnxruntime.

        Raises:
            CheckpointError: the file is missing, or is no segmenter's.
        """
        from manypath_lab.segmenter.export import build_graph
        from manypath_lab.segmenter.weights import CLASSES, load_segmenter, shipped_file

        network = load_segmenter(file)
        digest = hashlib.sha256((file or shipped_file()).read_bytes()).hexdigest()
        self.name = "segmenter" if file is None else file.stem
        self.version = f"segmenter {digest[:16]}"
        self.measures = mask_measures(len(CLASSES))
        self._classes = len(CLASSES)
        self._session: Any = open_session(build_graph(network).SerializeToString(), ["mask"], threads)
        self._of_original: dict[str, Pixels] = {}

    def question(self, case: Case) -> str:
        """The mask decides the counts."""
        return "mask " + hashlib.sha256(np.ascontiguousarray(case.truth).tobytes()).hexdigest()[:16]

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the counts of each image."""
        return [self._record(case, image) for case, image in zip(cases, images, strict=True)]

    def _record(self, case: Case, image: Pixels) -> Record:
        digest = case.picture.digest
        if digest not in self._of_original:
            self._of_original[digest] = self._mask(case.picture.pixels)
        return mask_record(case.truth, self._mask(image), self._of_original[digest], self._classes)

    def _mask(self, image: Pixels) -> Pixels:
        mask: Pixels = self._session.run(None, {"image": image[None]})[0][0]
        return mask
