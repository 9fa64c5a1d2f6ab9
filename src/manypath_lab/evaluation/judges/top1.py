"""Top-1 of the published classifiers, in onnxruntime.

The picture's central square is resized to the network's input, nothing of a square picture is cut off: every pixel
that was paid for counts, and the pictures for which this was chosen had been squeezed to a square by their source.
Measured on 650 ImageNet validation pictures of 227x227: top-1 82.5 % with lite0, 83.5 % with lite1, 83.2 % with lite2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from manypath_lab.classifier.export import build_graph
from manypath_lab.classifier.networks import NETWORKS, load_network
from manypath_lab.evaluation.judges.judge import Measure, Record, share
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.sets import Case
from manypath_lab.onnx_session import open_session

_BATCH = 10  # pictures a run: larger is no faster on one core

MEASURES = (
    Measure("top1", "top-1 (%)", slice(0, 2), share, digits=1, drops=(1.0, 2.0, 5.0)),
    # A classifier's answers change more often than its accuracy does: losses and gains cancel.
    Measure("agreement", "same answer as on the original (%)", slice(2, 4), share, digits=1, drops=(2.0, 5.0, 10.0)),
)


class ClassifierJudge:
    """A classifier; its record is (right, 1, as on the original, 1)."""

    measures = MEASURES

    def __init__(self, name: str, *, threads: int = 1) -> None:
        """Load the network.

        Args:
            name: out of ``NETWORKS``.
            threads: of onnxruntime.

        Raises:
            RequestError: there is no such network.
            CheckpointError: its package is missing, or its weights are not the published ones.
        """
        network = load_network(name)
        size, digest = NETWORKS[name]
        self.name = name
        self.label = f"EfficientNet-{name.capitalize()}"
        self.version = f"{name} {digest[:16]} square {size} top1"
        graph = build_graph(network, name=name, size=size, crop=(1, 1))
        self._session: Any = open_session(graph.SerializeToString(), ["probabilities"], threads)
        self._of_original: dict[str, int] = {}

    def question(self, case: Case) -> str:
        """The label decides what is right."""
        return f"label {int(case.truth)}"

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the record of each image."""
        unknown = [case for case in cases if case.picture.digest not in self._of_original]
        answers = self._answers([case.picture.pixels for case in unknown])
        self._of_original |= {case.picture.digest: answer for case, answer in zip(unknown, answers, strict=True)}
        return [
            np.asarray([answer == case.truth, 1.0, answer == self._of_original[case.picture.digest], 1.0], np.float64)
            for case, answer in zip(cases, self._answers(images), strict=True)
        ]

    def _answers(self, images: Sequence[Pixels]) -> list[int]:
        """Return the best class of each image, those of one size together."""
        best: list[npt.NDArray[np.intp]] = []
        for _, group in groupby(images, key=lambda image: image.shape):
            alike = list(group)
            for start in range(0, len(alike), _BATCH):
                (scores,) = self._session.run(None, {"image": np.stack(alike[start : start + _BATCH])})
                best.append(scores.argmax(1))
        return [int(answer) for answers in best for answer in answers]
