"""The street segmenter as a judge, in onnxruntime."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.tasks import Case, Record


class SegmenterJudge:
    """A segmenter; its record is the counts of (truth, answer), void left out, then pixels that agree, then all pixels.

    Two answers agree where the reconstruction's class is the original's, void included.
    """

    label = "street segmenter"

    def __init__(self, file: pathlib.Path | None = None, *, threads: int = 1) -> None:
        """Load the network.

        Args:
            file: weights that ``manypath segmenter export`` wrote; the shipped ones by default.
            threads: of onnxruntime.

        Raises:
            CheckpointError: the file is missing, or is no segmenter's.
        """
        import onnxruntime

        from manypath_lab.segmenter.export import build_graph
        from manypath_lab.segmenter.weights import CLASSES, load_segmenter, shipped_file

        network = load_segmenter(file)
        digest = hashlib.sha256((file or shipped_file()).read_bytes()).hexdigest()
        self.name = "segmenter" if file is None else file.stem
        self.version = f"segmenter {digest[:16]}"
        self._classes = len(CLASSES)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        graph = build_graph(network).SerializeToString()
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._own: dict[str, Pixels] = {}

    def question(self, case: Case) -> str:
        """The mask decides the counts."""
        return hashlib.sha256(np.ascontiguousarray(case.truth).tobytes()).hexdigest()[:16]

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the counts of each image."""
        return [self._count(case, self._mask(image)) for case, image in zip(cases, images, strict=True)]

    def _count(self, case: Case, mask: Pixels) -> Record:
        digest = case.picture.digest
        if digest not in self._own:
            self._own[digest] = self._mask(case.picture.pixels)
        counts = confusion(case.truth, mask, self._classes)
        return np.asarray([*counts, np.count_nonzero(mask == self._own[digest]), mask.size], dtype=np.int32)

    def _mask(self, image: Pixels) -> Pixels:
        (masks,) = self._session.run(None, {"image": image[None]})
        mask: Pixels = masks[0]
        return mask


def confusion(truth: Any, answer: Pixels, classes: int) -> Record:
    """Return how often each (truth, answer) occurs, int32 [classes * classes]; labels from ``classes`` on are void."""
    known = truth < classes
    pairs = truth[known].astype(np.int64) * classes + answer[known]
    return np.bincount(pairs, minlength=classes * classes).astype(np.int32)
