"""The default detector as an ONNX model in the worker's repository."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_lab.detector.weights import class_names, load_detector, notices, shipped_file
from manypath_lab.model_repository import ModelExport, ServedModel, TensorNote, provide_model

if TYPE_CHECKING:
    import onnx

    from manypath_lab.detector.network import DetectorNetwork

MODEL_NAME = "nanodet-g"
MODEL_VERSION = "1"


def export_detector(repository: Path | None = None, *, weights: Path | None = None, force: bool = False) -> ModelExport:
    """Put the detector into a model repository, from the cache if a whole copy is there.

    Args:
        repository: folder with one sub-folder per model; default: `model_repository.default_repository()`.
        weights: other than the shipped ones.
        force: build even if a whole copy is there.

    Returns:
        The model's folder and digest.

    Raises:
        CheckpointError: the weights are missing, or are no such detector's.
    """
    file = shipped_file() if weights is None else weights
    load_detector(file)  # says what is wrong with it
    return provide_model(_served(file), repository, force=force)


def build_graph(network: DetectorNetwork) -> onnx.ModelProto:
    """Return the network as ONNX; see `DetectorGraph.convert` for what it takes and gives."""
    from manypath_lab.detector.graph import DetectorGraph

    return DetectorGraph().convert(network, class_names())


def _served(file: Path) -> ServedModel:
    from manypath_lab.detector.graph import BOXES, CLASS_INDEXES, COUNT, IMAGE, MOST_BOXES, SCORES

    return ServedModel(
        name=MODEL_NAME,
        version=MODEL_VERSION,
        task="detection",
        labels=class_names(),
        inputs=(TensorNote(IMAGE, "UINT8", (-1, -1, -1, 3)),),
        outputs=(
            TensorNote(BOXES, "FP32", (-1, MOST_BOXES, 4)),
            TensorNote(SCORES, "FP32", (-1, MOST_BOXES)),
            TensorNote(CLASS_INDEXES, "INT32", (-1, MOST_BOXES)),
            TensorNote(COUNT, "INT32", (-1, 1)),
        ),
        source=f"NanoDet-g weights.safetensors, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}",
        licence="Apache-2.0, Copyright 2020-2021 RangiLyu; the copy by MIT, Copyright (c) 2021 Vladimir Mandic",
        build=lambda: build_graph(load_detector(file)),
        notices=notices(),
    )
