"""The default segmenter as an ONNX model in the worker's repository."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_lab.model_repository import ModelExport, ServedModel, TensorNote, provide_model
from manypath_lab.segmenter.data import CLASSES
from manypath_lab.segmenter.weights import load_segmenter, shipped_file

if TYPE_CHECKING:
    import onnx

    from manypath_lab.segmenter.network import SegmenterNetwork

MODEL_NAME = "street-segmenter"
MODEL_VERSION = "1"


def export_segmenter(
    repository: Path | None = None, *, weights: Path | None = None, force: bool = False
) -> ModelExport:
    """Puts the segmenter into a model repository, from the cache if a whole copy is there.

    Args:
        repository: folder with one sub-folder per model; default: `model_repository.default_repository()`.
        weights: other than the shipped ones.
        force: build even if a whole copy is there.

    Returns:
        The model's folder and digest.

    Raises:
        CheckpointError: the weights are missing, or are no segmenter's.
    """
    file = shipped_file() if weights is None else weights
    load_segmenter(file)  # says what is wrong with it
    return provide_model(_served(file), repository, force=force)


def build_graph(network: SegmenterNetwork) -> onnx.ModelProto:
    """Return the network as ONNX; see `SegmenterGraph.convert` for what it takes and gives."""
    from manypath_lab.segmenter.graph import SegmenterGraph

    return SegmenterGraph().convert(network)


def _served(file: Path) -> ServedModel:
    return ServedModel(
        name=MODEL_NAME,
        version=MODEL_VERSION,
        task="segmentation",
        labels=CLASSES,
        inputs=(TensorNote("image", "UINT8", (-1, -1, -1, 3)),),
        outputs=(TensorNote("mask", "UINT8", (-1, -1, -1)),),
        source=f"segmenter.safetensors, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}",
        licence="research use: trained on CamVid (CC BY-NC 4.0 as redistributed)",
        build=lambda: build_graph(load_segmenter(file)),
    )
