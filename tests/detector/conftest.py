"""The shipped detector in onnxruntime, and pictures with known answers."""

from pathlib import Path

import numpy as np
import pytest

from manypath_lab.detector.boxes import OnnxDetector
from manypath_lab.detector.export import build_graph
from manypath_lab.detector.weights import load_detector

REFERENCE = Path(__file__).with_name("reference.npz")
Reference = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def graph() -> bytes:
    return build_graph(load_detector()).SerializeToString(deterministic=True)


@pytest.fixture(scope="session")
def detector(graph: bytes) -> OnnxDetector:
    return OnnxDetector(graph)


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Outputs of the original graph on two photos (of the finer maps every 8th and 4th cell), and the final boxes."""
    with np.load(REFERENCE) as file:
        return dict(file)
