"""Whether a detector finds the original's boxes in a reconstruction: F1 and average precision, in onnxruntime.

No labels are needed: what the detector finds in the original is the truth. A box counts as found above a score of 0.3;
a pair has one class and an overlap (intersection over union) of at least 0.5.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np

from manypath.paths import DecodePath
from manypath_lab.detector.agreement import OVERLAPS, THRESHOLD, average_precision, count, f1, match
from manypath_lab.detector.boxes import Boxes, OnnxDetector
from manypath_lab.evaluation.judges.judge import Floats, Measure, Record
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case
from manypath_lab.onnx_session import read_graph

_STEPS = 50
"""Steps of the score that boxes are ranked by; those of one step count as equal, so that records can be added up."""
_ALL, _SMALL, _RANKED = slice(0, 3), slice(3, 6), slice(6, None)


def _f1(sums: Floats) -> Floats:
    return 100.0 * f1(sums)


def _ap(sums: Floats) -> Floats:
    """Return percent of [..., (targets, pairs by overlap and step, boxes by step)], the mean over all overlaps."""
    return _precision(sums, len(OVERLAPS))


def _ap50(sums: Floats) -> Floats:
    """Return the same of the first overlap alone."""
    return _precision(sums, 1)


def _precision(sums: Floats, overlaps: int) -> Floats:
    steps = sums[..., 1:].reshape(*sums.shape[:-1], len(OVERLAPS) + 1, _STEPS)
    values = [average_precision(steps[..., one, :], steps[..., -1, :], sums[..., 0]) for one in range(overlaps)]
    out: Floats = 100.0 * np.mean(values, axis=0)
    return out


MEASURES = (
    # 0.9 and 0.8 of F1; the originals agree with themselves at 100.
    Measure("f1", "boxes as on the original, F1 (%)", _ALL, _f1, digits=1, drops=(10.0, 20.0)),
    Measure("f1-small", "small boxes as on the original, F1 (%)", _SMALL, _f1, digits=1, drops=(10.0, 20.0)),
    Measure("ap50", "average precision of boxes, overlap 0.5 (%)", _RANKED, _ap50, digits=1),
    Measure("ap", "average precision of boxes, overlaps 0.5 to 0.95 (%)", _RANKED, _ap, digits=1),
)


def box_record(predicted: Boxes, target: Boxes) -> Record:
    """Return what one picture adds, float64 [7 + 11 * 50].

    Pairs, missed and extra boxes; the same of small boxes; how many targets; pairs of all boxes by overlap and step of
    the score, the highest first; all boxes by step of the score.

    Args:
        predicted: in the reconstruction.
        target: in the original.
    """
    sure = target.above(THRESHOLD)
    steps = _STEPS - 1 - np.minimum((predicted.scores * _STEPS).astype(np.int64), _STEPS - 1)
    ranked = [np.bincount(steps[match(predicted, sure, overlap) >= 0], minlength=_STEPS) for overlap in OVERLAPS]
    ranked.append(np.bincount(steps, minlength=_STEPS))
    head = [*count(predicted, target), *count(predicted, target, small_only=True), len(sure.scores)]
    return np.concatenate([np.asarray(head, np.float64), np.concatenate(ranked).astype(np.float64)])


class DetectorJudge:
    """A detector; see ``box_record`` for what it notes of a picture."""

    measures = MEASURES
    path = DecodePath.DETECTION.value
    """Ours that is made for it, whatever the set of pictures is the home of."""

    def __init__(self, file: pathlib.Path | None = None, *, threads: int = 1) -> None:
        """Load the network.

        Args:
            file: an ONNX file with the inputs and outputs of ``manypath lab detector export``; the shipped detector by
                default.
            threads: of onnxruntime.

        Raises:
            CheckpointError: the file is missing, or is no detector.
        """
        from manypath_lab.detector.export import build_graph
        from manypath_lab.detector.weights import load_detector

        if file is None:
            model = build_graph(load_detector()).SerializeToString(deterministic=True)
        else:
            model = read_graph(file)
        self._detector = OnnxDetector(model, threads)
        self.name = "detector" if file is None else file.stem
        self.label = "NanoDet-g" if file is None else file.stem
        self.version = f"detector {hashlib.sha256(model).hexdigest()[:16]} {_STEPS} steps"
        self._of_original: dict[str, Boxes] = {}

    def question(self, case: Case) -> str:
        """The picture alone decides."""
        return "boxes"

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the record of each image."""
        pairs = zip(cases, images, strict=True)
        return [box_record(self._detector.find(image), self._target(case)) for case, image in pairs]

    def _target(self, case: Case) -> Boxes:
        digest = case.picture.digest
        if digest not in self._of_original:
            self._of_original[digest] = self._detector.find(case.picture.pixels)
        return self._of_original[digest]
